"""A recording before it is made: who will call when is drawn beforehand, so that a prediction can come first."""

from __future__ import annotations

import numpy as np
import pandas as pd

from breakerlab.live.callers import draw_arrivals
from breakerlab.live.incident import Incident
from breakerlab.trace import Source, Trace


def planned(incident: Incident) -> Trace:
    """What a recording of ``incident`` will say that is certain: its parameters and policy, and every caller's time,
    endpoint and tokens.

    One attempt for each caller, on service ``app``, with the outcome ``lost``: nobody knows it yet. Nothing is run.
    """
    arrivals = draw_arrivals(incident)
    columns = {
        "time": [arrival.due for arrival in arrivals],
        "latency": np.full(len(arrivals), np.nan),
        "outcome": "lost",
        "service": "app",
        "request": [arrival.request for arrival in arrivals],
        "attempt": np.ones(len(arrivals), np.int64),
        "client": "callers",
        "endpoint": [arrival.endpoint for arrival in arrivals],
        "tokens_out": pd.array([arrival.tokens for arrival in arrivals], dtype="Int64"),
    }
    facts = {"scenario": incident.name, "parameters": incident.parameters(), "policy": incident.policy.to_dict()}
    return Trace.from_columns(columns, source=Source(name=f"{incident.name}, planned", format="planned", facts=facts))
