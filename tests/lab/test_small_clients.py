"""The same traffic from few or many clients: what each one's breaker can know."""

import pandas as pd
import pytest

from breakerlab.lab.small_clients import RULES, small_clients


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return small_clients((1, 100, 1000)).set_index(["rule", "clients"])


def test_there_is_a_row_for_each_rule_and_number_of_clients(found: pd.DataFrame) -> None:
    assert list(found.index) == [(rule, clients) for rule in RULES for clients in (1, 100, 1000)]


def test_many_clients_notice_nothing_and_a_shared_circuit_does(found: pd.DataFrame) -> None:
    attempts = found["attempts"]
    assert attempts["window of 20", 1] < 0.05
    assert attempts["window of 20", 1000] == attempts["no breaker", 1000] > 2.5
    assert attempts["window of 20, shared", 1000] == attempts["window of 20, shared", 1] < 0.05


def test_a_rule_that_is_quick_enough_costs_answers_on_a_calm_day(found: pd.DataFrame) -> None:
    answered = found["answered"]
    assert answered["no breaker", 1] > 0.99
    assert answered["window of 20", 1] > 0.99
    assert answered["window of 2", 1] < 0.2
    assert found["attempts"]["window of 2", 1000] < found["attempts"]["window of 20", 1000]
