"""Attempts per request: the closed form (R1, R2), and that the simulator agrees with it."""

import pytest

from breakerlab.lab.retry_load import attempts_per_request, capped_and_budgeted, simulated_load


def test_r1_and_r2() -> None:
    assert attempts_per_request(0.5, 4) == 1.875
    assert attempts_per_request(1.0, 4, 3) == 64.0
    assert attempts_per_request(0.0, 4, 2) == 1.0


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_layers_multiply_as_layer_by_layer(p: float) -> None:
    """The outer layer meets an inner one that fails with p**n and costs R1."""
    inner, failing = attempts_per_request(p, 3), p**3
    assert attempts_per_request(p, 3, 2) == pytest.approx(inner * attempts_per_request(failing, 3))


def test_the_replay_agrees_with_the_closed_form() -> None:
    table = simulated_load((0.3, 0.8), 3, (1, 2), requests=2000, seeds=6)
    for row in table.itertuples():
        exact = attempts_per_request(row.probability, 3, row.layers)
        half = (row.high - row.low) / 2.0
        assert half < 0.05 * exact
        assert abs(row.mean - exact) < 2.0 * half  # about 99.5 %


def test_a_budget_holds_where_a_cap_lets_the_load_grow() -> None:
    """R4, R5: 1 + r however much fails, and back to 1 where only successes earn."""
    table = capped_and_budgeted((0.1, 0.5, 1.0), requests=4000)
    assert table.loc[1.0, "cap of 4"] == 4.0
    for deposit in ("call", "success"):
        assert table[f"budget per {deposit}"].to_list() == pytest.approx(table[f"theory, per {deposit}"], abs=0.01)
    assert table["theory, per call"].to_list() == pytest.approx([1.1, 1.1, 1.1])
    assert table["theory, per success"].to_list() == pytest.approx([1 / 0.91, 1 / 0.95, 1.0])
