"""The state diagram in the docs is what the rules do."""

import draw_circuit
import pytest

from breakerlab.policy import State
from breakerlab.policy import breaker as rules


def test_the_page_is_what_the_rules_give() -> None:
    assert draw_circuit.PAGE.read_text(encoding="utf-8") == draw_circuit.page()


def test_every_way_from_state_to_state_is_found() -> None:
    ways = {(before, after) for before, after, _ in draw_circuit.edges()}
    assert ways == {
        (State.CLOSED, State.OPEN),
        (State.OPEN, State.HALF_OPEN),
        (State.HALF_OPEN, State.CLOSED),
        (State.HALF_OPEN, State.OPEN),
    }


def test_a_rule_that_goes_another_way_would_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe's success that left the circuit open, say."""
    plain = rules.enter
    monkeypatch.setattr(
        rules, "enter", lambda b, code: plain(b, rules.OPEN if getattr(b, "state_code", 0) == rules.HALF_OPEN else code)
    )
    ways = {(before, after) for before, after, _ in draw_circuit.edges()}
    assert (State.HALF_OPEN, State.CLOSED) not in ways
