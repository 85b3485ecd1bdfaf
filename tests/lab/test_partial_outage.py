"""Some tenants fail, the others are well; and the three situations for another tool."""

from dataclasses import replace

import pandas as pd
import pytest

from breakerlab.lab.other_tools import batch_job, managed_queue, metrics_collector
from breakerlab.lab.partial_outage import one_circuit_each, partial_outage
from breakerlab.policy import Backoff, Breaker, Policy, Retry
from breakerlab.replay import replay

RETRY = Retry(attempts=3, backoff=Backoff(base=0.2, cap=2.0))
HALF = Breaker(failure_rate=0.5, window=20, minimum_calls=20, recovery_timeout=10.0)


def answered_by_tenant(requests: pd.DataFrame) -> pd.Series:
    during = requests[(requests["time"] >= 31.0) & (requests["time"] < 89.0)]
    return during["outcome"].eq("ok").groupby(during["endpoint"], observed=True).mean()


def test_the_named_tenants_fail_and_the_others_do_not() -> None:
    shares = answered_by_tenant(replay(partial_outage(4, failing=1), Policy(retry=RETRY)).requests)
    assert shares["tenant 1"] == 0.0
    assert (shares.drop("tenant 1") == 1.0).all()
    assert partial_outage(4, failing=0).faults == ()


def test_one_circuit_shuts_out_the_well_and_one_for_each_does_not() -> None:
    outage, policy = partial_outage(8, failing=1), Policy(retry=RETRY, breaker=HALF)
    together = answered_by_tenant(replay(outage, policy).requests)
    apart = pd.concat([run.requests for run in one_circuit_each(outage, policy).values()])
    assert together.drop("tenant 1").mean() < 0.6
    assert (answered_by_tenant(apart).drop("tenant 1") == 1.0).all()


def test_each_tenant_alone_has_the_arrivals_that_it_has_among_the_others() -> None:
    outage = partial_outage(3, failing=1)
    together = replay(outage, Policy.none(), seed=5)
    apart = one_circuit_each(outage, Policy.none(), seed=5)
    for name, run in apart.items():
        mine = together.requests[together.requests["endpoint"] == name]
        assert run.requests["time"].tolist() == mine["time"].tolist()
    n = sum(run.summary()["answered"] for run in apart.values())
    assert n == together.summary()["answered"]


def test_a_full_service_of_your_own_is_served_best_by_holding_back() -> None:
    breaker = Policy(breaker=replace(HALF, recovery_timeout=5.0))
    shares = {
        "breaker": replay(batch_job(), breaker).summary()["success_rate"],
        "as it is": replay(batch_job(), Policy()).summary()["success_rate"],
        "35 slots": replay(batch_job(slots=35), Policy()).summary()["success_rate"],
        "backpressure": replay(batch_job(workers=16), Policy()).summary()["success_rate"],
    }
    assert list(shares) == sorted(shares, key=shares.__getitem__)
    assert shares["backpressure"] == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_dropped_and_a_breaker_adds_nothing(seed: int) -> None:
    five = Breaker(failure_threshold=5, recovery_timeout=5.0)
    patient, drop, both = (
        replay(metrics_collector(), policy, seed).summary()
        for policy in (Policy(10.0, breaker=five), Policy(0.2), Policy(0.2, breaker=five))
    )
    assert patient["other_failed"] > 300
    assert patient["restarts"] == 2
    assert drop["other_failed"] == both["other_failed"] == 0
    assert drop["answered"] > both["answered"]


def test_a_queue_that_manages_itself_does_every_job_of_those_who_wait() -> None:
    on_slow = Breaker(slow_call_rate=0.5, slow_call_duration=2.0, recovery_timeout=5.0)
    impatient = Policy(5.0, retry=Retry(attempts=3, total_time=None, final_reserve=0.0))
    assert replay(managed_queue(), Policy(60.0)).summary()["success_rate"] == 1.0
    assert replay(managed_queue(), Policy(60.0, breaker=on_slow)).summary()["success_rate"] < 0.95
    assert replay(managed_queue(), impatient).summary()["success_rate"] < 0.5
