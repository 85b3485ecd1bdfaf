"""Who comes back together."""

from breakerlab.lab.herd import at_the_cap
from breakerlab.policy import Backoff


def test_r7_who_is_capped_after_the_draw_comes_back_together() -> None:
    table = at_the_cap(Backoff(base=1.0, factor=2.0, cap=20.0), clients=1000, attempt=12)
    together = table["back in the same 0.1 s"].str.replace(",", "").astype(int)
    assert together["none"] == 1000
    assert together["full"] < 30  # 5 on average
    assert 350 < together["decorrelated"] < 450
    assert table.loc["decorrelated", "exactly at the cap"] == "41%"
    assert table.loc["full", "exactly at the cap"] == "0%"


def test_additive_jitter_waits_longer_than_its_cap() -> None:
    table = at_the_cap(Backoff(base=1.0, factor=2.0, cap=20.0))
    assert table.loc["additive", "longest wait"] == "30.0 s"
    assert set(table.drop(index="additive")["longest wait"]) == {"20.0 s"}
