"""The orders of notebook 06: told, not told, doubled."""

from breakerlab.lab.writes import IMPATIENT, fates_of_orders, slow_shop
from breakerlab.policy import Policy
from breakerlab.replay import replay


def test_only_blind_retries_double_orders_and_a_key_costs_no_confirmation() -> None:
    table = fates_of_orders()
    assert (table["doubled"] > 0).tolist() == [False, True, False]
    assert table.loc["retried under a key", "confirmed"] == table.loc["retried blindly", "confirmed"]
    assert table.loc["sent once", "confirmed"] < table.loc["retried under a key", "confirmed"]
    assert (table["confirmed"] + table["untold"] == table["orders"]).all()


def test_the_shop_refuses_none_so_that_each_attempt_is_carried_out() -> None:
    run = replay(slow_shop("blind"), IMPATIENT)
    attempts = run.trace.attempts
    shop = attempts[attempts["service"] == "llm"]
    assert set(shop["outcome"]) == {"ok", "timeout"}
    assert len(shop) - shop["request"].nunique() == fates_of_orders().loc["retried blindly", "doubled"]


def test_without_retries_nothing_is_doubled() -> None:
    assert (fates_of_orders(Policy(timeout=2.0))["doubled"] == 0).all()
