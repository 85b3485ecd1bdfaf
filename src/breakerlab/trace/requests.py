"""From attempts to logical requests: one row per request and service."""

from __future__ import annotations

import numpy as np
import pandas as pd


def requests_frame(attempts: pd.DataFrame) -> pd.DataFrame:
    """One row per service and request, in order of time.

    `time`, `client` and `endpoint` are those of the first attempt, `outcome` and `status` those of the last,
    `attempts` counts them, and `latency` is the time (s) from the start of the first until the caller knew the final
    outcome: NaN if the log does not say.
    """
    service = attempts["service"].array.codes
    request = attempts["request"].to_numpy()
    order = np.lexsort((attempts["attempt"].to_numpy(), request, service))
    service, request = service[order], request[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (service[1:] != service[:-1]) | (request[1:] != request[:-1])
    places = np.flatnonzero(begins)
    counts = np.diff(np.append(places, len(order)))
    first, last = order[places], order[places + counts - 1]

    time, latency = attempts["time"].to_numpy(), attempts["latency"].to_numpy()
    by_time = np.lexsort((first, time[first]))
    first, last, counts = first[by_time], last[by_time], counts[by_time]
    return pd.DataFrame(
        {
            "service": attempts["service"].array.take(first),
            "request": attempts["request"].to_numpy()[first],
            "time": time[first],
            "latency": (time[last] - time[first]) + latency[last],
            "attempts": counts.astype(np.int64),
            "outcome": attempts["outcome"].array.take(last),
            "status": attempts["status"].array.take(last),
            "client": attempts["client"].array.take(first),
            "endpoint": attempts["endpoint"].array.take(first),
        },
        copy=False,
    )
