"""What changed, as a table that a person can read aloud."""

from collections.abc import Mapping
from typing import Final

import pandas as pd

from breakerlab.lab.quantities import quantity
from breakerlab.replay import Run, summary
from breakerlab.trace import Trace, eight_steps

ROWS: Final = {
    "LLM requests from callers": "requests",
    "LLM requests answered while the caller waited": "answered",
    "Attempts sent to the LLM": "attempts",
    "Attempts per LLM request": "amplification",
    "Attempts answered 503": "status_503",
    "Attempts refused locally, never sent": "rejected",
    "Requests to other endpoints": "other_requests",
    "Requests to other endpoints that failed": "other_failed",
    "Most workers in use": "pool_peak",
    "Failed health checks": "failed_probes",
    "Restarts of the app": "restarts",
    "LLM attempts lost in a restart": "lost",
}

COUNTS: Final = {"requests": "requests", "answered": "answered", "attempts": "attempts", "refused": "rejected"}


def what_changed(runs: Mapping[str, Trace | Run]) -> pd.DataFrame:
    """One column per run, one row per count; attempts per request with two decimals."""
    columns = {name: _column(run) for name, run in runs.items()}
    return pd.DataFrame(columns, index=list(ROWS))


def _column(run: Trace | Run) -> list[str]:
    numbers = summary(run.trace if isinstance(run, Run) else run)
    return [_shown(key, numbers[key]) for key in ROWS.values()]


def _shown(key: str, value: float) -> str:
    return f"{value:.2f}" if key == "amplification" else f"{value:,.0f}"


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
    rows = {name: [_rounded(run.summary()[key]) for key in (*COUNTS.values(), *more)] for name, run in runs.items()}
    titles = [*COUNTS, *(_title(key) for key in more)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=titles)


def _title(key: str) -> str:
    known = quantity(key)
    return f"{known.label} ({known.unit})" if known.unit else known.label


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:.2f}"


def speed_and_answers(runs: Mapping[str, Run]) -> pd.DataFrame:
    """How fast all callers heard something, beside how many were answered: one row per run."""
    rows = {name: _speed_and_answers(run) for name, run in runs.items()}
    titles = ["95 % of all callers hear something within", "answered while the caller waited"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=titles)


def _speed_and_answers(run: Run) -> list[str]:
    return [f"{run.requests['latency'].quantile(0.95):.2f} s", f"{run.summary()['success_rate']:.1%}"]
