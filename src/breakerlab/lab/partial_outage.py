"""An outage of some tenants, shards or models of a service: what one circuit makes of it, and one for each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from breakerlab.policy import Policy
from breakerlab.replay import App, Fault, Lognormal, Poisson, Run, Scenario, Service, Workload, replay


def partial_outage(tenants: int = 8, failing: int = 1, *, rate: float = 20.0) -> Scenario:
    """`tenants` with the same load, `rate` requests/s together; from 30 to 90 s every attempt for `failing` fails.

    The service has room for everybody, so that one tenant's calls are never in another's way.
    """
    names = [f"tenant {number}" for number in range(1, tenants + 1)]
    return Scenario(
        [Poisson(rate / tenants, endpoint=name) for name in names],
        Service(slots=1000, queue_limit=None, time=Lognormal(0.3, 0.5)),
        App(workers=1000),
        (Fault(30.0, 90.0, error=1.0, endpoints=tuple(names[:failing])),) if failing else (),
        duration=120.0,
        name=f"{failing} of {tenants} tenants fail",
    )


def one_circuit_each(outage: Scenario, policy: Policy, seed: int = 0) -> dict[str, Run]:
    """A run for each endpoint of `outage` alone, with the arrivals that it has among the others at this seed, under a
    `policy` whose circuit sees nobody else's calls.

    Exact where the service has room for everybody, as in `partial_outage`.
    """
    arrivals = outage.arrivals(seed)
    return {name: replay(_alone(outage, arrivals, name), policy, seed) for name in outage.endpoints}


def _alone(outage: Scenario, arrivals: Workload, name: str) -> Scenario:
    mine = arrivals.endpoint == outage.endpoints.index(name)
    none_else = Workload(
        time=arrivals.time[mine],
        endpoint=np.zeros(np.count_nonzero(mine), np.int64),
        tokens=arrivals.tokens[mine],
        request=arrivals.request[mine],
        endpoints=(name,),
        write=arrivals.write[mine],
    )
    faults = [fault for fault in outage.faults if not fault.endpoints or name in fault.endpoints]
    return replace(outage, workload=none_else, faults=faults)
