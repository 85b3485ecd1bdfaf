"""The figures of a run: what each is called, its unit, and how many digits of it are told."""

import math
from typing import Final, NamedTuple

from breakerlab.lab.service_name import IN_TRACES, ServiceName

BY: Final = "served_by_"


class Quantity(NamedTuple):
    """A figure of `Run.summary`: its label, its unit ("" for a count), and the digits after the point."""

    label: str
    unit: str = ""
    digits: int = 0

    @property
    def title(self) -> str:
        """The label with the unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def scale(self) -> float:
        """What the figure is multiplied with to be told in the unit: shares are told in percent."""
        return 100.0 if self.unit == "%" else 1.0

    def told(self, value: float, *, signed: bool = False) -> str:
        """The figure, or with its sign a difference of two; "-" for NaN, and "never" for what is infinite."""
        if math.isnan(value):
            return "-"
        if math.isinf(value):
            return "never" if value > 0 else "minus infinity"
        sign = "+" if signed else ""
        return f"{self.scale * value:{sign},.{self.digits}f}"


QUANTITIES: Final = {
    "requests": Quantity("{service} requests"),
    "answered": Quantity("{service} requests answered"),
    "success_rate": Quantity("share answered", "%", 1),
    "goodput": Quantity("goodput", "answers/s", 2),
    "attempts": Quantity("attempts on the {service}"),
    "amplification": Quantity("attempts per request", "", 2),
    "status_503": Quantity("answers 503"),
    "status_429": Quantity("answers 429"),
    "timeouts": Quantity("attempts timed out"),
    "rejected": Quantity("refused locally, never sent"),
    "other_requests": Quantity("other requests"),
    "other_failed": Quantity("other requests failed"),
    "pool_peak": Quantity("most workers in use"),
    "failed_probes": Quantity("failed health checks"),
    "restarts": Quantity("restarts of the app"),
    "lost": Quantity("attempts lost in restarts"),
    "duplicates": Quantity("writes done again"),
    "in_flight": Quantity("under way at the end"),
    "latency_p50": Quantity("success latency, median", "s", 2),
    "latency_p90": Quantity("success latency, 90 %", "s", 2),
    "latency_p99": Quantity("success latency, 99 %", "s", 2),
    "median_failure": Quantity("failure known, median", "s", 2),
    "failure_p50": Quantity("failure known, median", "s", 2),
    "failure_p90": Quantity("failure known, 90 %", "s", 2),
    "rejection_p50": Quantity("refusal known, median", "s", 2),
    "time_to_recover": Quantity("time to recover", "s", 1),
}
"""By their names in a summary; the labels leave room for the service's name."""


def quantity(name: str, service: ServiceName) -> Quantity:
    """The figure of a summary that has this name, of runs whose service is called `service`.

    Answers are named by who gave them; a name that nobody knows is its own label.
    """
    if name.startswith(BY):
        who = name.removeprefix(BY)
        return Quantity("served by " + (f"the {service.noun}" if who == IN_TRACES else who))
    known = QUANTITIES.get(name, Quantity(name.replace("_", " ")))
    return known._replace(label=service.put_into(known.label))
