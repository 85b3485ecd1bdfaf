"""Orders sent to a shop that is slow for half a minute: what becomes of each, by how they are retried."""

from typing import Final

import pandas as pd

from breakerlab.policy import Backoff, Policy, Retry
from breakerlab.replay import App, Fault, Lognormal, Poisson, Scenario, Service, replay

WAYS: Final = {"sent once": "once", "retried blindly": "blind", "retried under a key": "keyed"}
SLOW: Final = Fault(30.0, 60.0, latency=4.0)
SHOP: Final = Service(slots=200, queue_limit=None, time=Lognormal(0.6, 0.5))
IMPATIENT: Final = Policy(
    timeout=2.0, retry=Retry(attempts=3, total_time=None, final_reserve=0.0, backoff=Backoff(base=0.5, cap=8.0))
)


def slow_shop(writes: str) -> Scenario:
    """Nine orders per second for two minutes; from 30 to 60 s each takes four times as long, and none is refused.

    writes: as in `App`.
    """
    app = App(workers=200, caller_timeout=10.0, writes=writes)
    return Scenario(Poisson(9.0, endpoint="POST /order", writes=1.0), SHOP, app, (SLOW,), duration=120.0, name="shop")


def fates_of_orders(policy: Policy = IMPATIENT, *, seed: int = 0) -> pd.DataFrame:
    """What became of the orders, one row for each way to send them.

    Columns: `orders`; `confirmed`, those whose caller was told; `untold`, carried out, and their caller was told that
    they failed; `doubled`, times that an order was carried out again. The shop refuses none, so that each order is
    carried out at least once.
    """
    return pd.DataFrame({name: _fates(slow_shop(writes), policy, seed) for name, writes in WAYS.items()}).T


def _fates(scenario: Scenario, policy: Policy, seed: int) -> dict[str, int]:
    n = replay(scenario, policy, seed).summary()
    counts = {"orders": n["requests"], "confirmed": n["answered"], "untold": n["requests"] - n["answered"]}
    return {name: int(value) for name, value in {**counts, "doubled": n["duplicates"]}.items()}
