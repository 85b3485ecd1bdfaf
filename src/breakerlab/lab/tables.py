"""What changed, as a table that a person can read aloud."""

from collections.abc import Mapping
from typing import Final

import pandas as pd

from breakerlab.lab.quantities import quantity
from breakerlab.lab.service_name import ServiceName, service_name
from breakerlab.replay import Run, summary
from breakerlab.trace import Trace, eight_steps

ROWS: Final = {
    "{Service} requests from callers": "requests",
    "{Service} requests answered while the caller waited": "answered",
    "Attempts sent to the {service}": "attempts",
    "Attempts per {service} request": "amplification",
    "Attempts answered 503": "status_503",
    "Attempts refused locally, never sent": "rejected",
    "Requests to other endpoints": "other_requests",
    "Requests to other endpoints that failed": "other_failed",
    "Most workers in use": "pool_peak",
    "Failed health checks": "failed_probes",
    "Restarts of the app": "restarts",
    "{Service} attempts lost in a restart": "lost",
}

COUNTS: Final = {"requests": "requests", "answered": "answered", "attempts": "attempts", "refused": "rejected"}


def what_changed(runs: Mapping[str, Trace | Run]) -> pd.DataFrame:
    """One column per run, one row per count; attempts per request with two decimals."""
    service = service_name(*runs.values())
    columns = {name: _column(run, service) for name, run in runs.items()}
    return pd.DataFrame(columns, index=[service.put_into(label) for label in ROWS])


def _column(run: Trace | Run, service: ServiceName) -> list[str]:
    numbers = summary(run.trace if isinstance(run, Run) else run)
    return [quantity(key, service).told(numbers[key]) for key in ROWS.values()]


def eight_steps_table(runs: Mapping[str, Trace | Run]) -> pd.DataFrame:
    """The eight steps of a meltdown, one a row: the second at which each run first shows it, or "not seen"."""
    columns = {name: eight_steps(run.trace if isinstance(run, Run) else run) for name, run in runs.items()}
    steps = next(iter(columns.values()))
    shown = {name: [_second(step.seen_at) for step in found] for name, found in columns.items()}
    return pd.DataFrame(shown, index=[f"{step.number}. {step.name}" for step in steps])


def _second(seen_at: float | None) -> str:
    return "not seen" if seen_at is None else f"{seen_at:.1f} s"


def attempts_table(run: Trace | Run) -> pd.DataFrame:
    """The attempts on the service, one a row, in their order: start and end (s, to the tenth) and outcome."""
    trace = run.trace if isinstance(run, Run) else run
    sent = trace.attempts[trace.attempts["service"] != "app"]
    columns = {"start": sent["time"], "end": sent["time"] + sent["latency"]}
    shown = {name: [f"{second:.1f} s" for second in seconds] for name, seconds in columns.items()}
    rows = pd.Index([f"attempt {number}" for number in sent["attempt"]])
    return pd.DataFrame({**shown, "outcome": sent["outcome"].astype(str).tolist()}, index=rows)


def counts(runs: Mapping[str, Run], *more: str) -> pd.DataFrame:
    """What came of requests and attempts: one row per run. more: further names of `Run.summary`, as columns."""
    service = service_name(*runs.values())
    shown = {key: quantity(key, service) for key in (*COUNTS.values(), *more)}
    summaries = {name: run.summary() for name, run in runs.items()}
    rows = {name: [one.told(figures[key]) for key, one in shown.items()] for name, figures in summaries.items()}
    titles = [*COUNTS, *(shown[key].title for key in more)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=titles)


def speed_and_answers(runs: Mapping[str, Run]) -> pd.DataFrame:
    """How fast all callers heard something, beside how many were answered: one row per run."""
    rows = {name: _speed_and_answers(run) for name, run in runs.items()}
    titles = ["95 % of all callers hear something within", "answered while the caller waited"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=titles)


def _speed_and_answers(run: Run) -> list[str]:
    return [f"{run.requests['latency'].quantile(0.95):.2f} s", f"{run.summary()['success_rate']:.1%}"]
