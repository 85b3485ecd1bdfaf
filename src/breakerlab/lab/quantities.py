"""The numbers of a summary, in words and with their units."""

from typing import Final, NamedTuple


class Quantity(NamedTuple):
    """What a number of `Run.summary` is called, and its unit; "" for a count."""

    label: str
    unit: str


QUANTITIES: Final = {
    "requests": Quantity("LLM requests", ""),
    "answered": Quantity("LLM requests answered", ""),
    "attempts": Quantity("attempts on the LLM", ""),
    "amplification": Quantity("attempts per request", ""),
    "goodput": Quantity("goodput", "answers/s"),
    "success_rate": Quantity("share answered", ""),
    "status_503": Quantity("answers 503", ""),
    "status_429": Quantity("answers 429", ""),
    "timeouts": Quantity("attempts timed out", ""),
    "rejected": Quantity("refused locally, never sent", ""),
    "other_requests": Quantity("other requests", ""),
    "other_failed": Quantity("other requests failed", ""),
    "pool_peak": Quantity("most workers in use", ""),
    "failed_probes": Quantity("failed health checks", ""),
    "restarts": Quantity("restarts of the app", ""),
    "lost": Quantity("attempts lost in restarts", ""),
    "duplicates": Quantity("writes done again", ""),
    "in_flight": Quantity("under way at the end", ""),
    "latency_p50": Quantity("latency, median", "s"),
    "latency_p90": Quantity("latency, 90 %", "s"),
    "latency_p99": Quantity("latency, 99 %", "s"),
    "median_failure": Quantity("failure known, median", "s"),
    "failure_p50": Quantity("failure known, median", "s"),
    "failure_p90": Quantity("failure known, 90 %", "s"),
    "rejection_p50": Quantity("refusal known, median", "s"),
    "time_to_recover": Quantity("time to recover", "s"),
}


def quantity(name: str) -> Quantity:
    """The label and unit of a number of a summary; answers by who gave them have their own names."""
    if name.startswith("served_by_"):
        return Quantity(f"served by {name.removeprefix('served_by_')}", "")
    return QUANTITIES.get(name, Quantity(name.replace("_", " "), ""))
