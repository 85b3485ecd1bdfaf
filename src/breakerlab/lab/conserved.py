"""What holds in every recording of a live incident, however busy the machine: nothing is lost, nothing appears."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from breakerlab.trace import Trace, read_trace
from breakerlab.trace.facts import recorded_parameter
from breakerlab.trace.timeline import APP, LLM


def conserved(path: str | os.PathLike[str], callers: int, counted: Mapping[str, int]) -> dict[str, bool]:
    """Statements about the recording at `path`, and whether each is true.

    callers: how many were to come. counted: what the provider counted itself, as in `Recording.facts.provider`:
    requests that it `accepted`, `rejected` and `served`, and that were `broken`.
    """
    trace = read_trace(path)
    attempts = trace.attempts
    app, llm = (attempts[attempts["service"] == service] for service in (APP, LLM))
    return {
        "attempts = ok + failed + refused + lost": _all_have_an_outcome(Path(path), attempts),
        "every caller came once, and has an outcome": _every_caller(app, callers),
        "attempts of a request are numbered 1, 2, 3, ...": _numbered(llm),
        "who was answered, had an attempt that was ok": _answers_have_a_source(app, llm),
        "the LLM's own count agrees with the log": _same_count(llm, counted),
        "what the LLM took in, it has finished": counted["served"] == counted["accepted"],
        "never more workers in use than there are": _workers_suffice(trace),
    }


def _all_have_an_outcome(path: Path, attempts: pd.DataFrame) -> bool:
    """Counted in the lines of the file, each attempt that begins ends once or is lost."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    begun = Counter(line["id"] for line in lines if line["kind"] == "begin")
    ended = Counter(line["id"] for line in lines if line["kind"] == "end")
    lost = int((attempts["outcome"] == "lost").sum())
    once = max((*begun.values(), *ended.values()), default=1) == 1
    return once and ended.keys() <= begun.keys() and len(begun) == len(attempts) == len(ended) + lost


def _every_caller(app: pd.DataFrame, callers: int) -> bool:
    return len(app) == app["request"].nunique() == callers and not app["outcome"].isin(["lost", "cancelled"]).any()


def _numbered(llm: pd.DataFrame) -> bool:
    numbers = llm.sort_values("attempt").groupby("request")["attempt"]
    return all(found.tolist() == list(range(1, len(found) + 1)) for _, found in numbers)


def _answers_have_a_source(app: pd.DataFrame, llm: pd.DataFrame) -> bool:
    ok = app[(app["outcome"] == "ok") & app["tokens_out"].notna()]
    return bool(ok["request"].isin(llm.loc[llm["outcome"] == "ok", "request"]).all())


def _same_count(llm: pd.DataFrame, counted: Mapping[str, int]) -> bool:
    """The LLM has counted every attempt that it answered, and none that was not sent.

    Of an attempt without an answer nobody can say whether it came; of one that the breaker refused everybody can.
    """
    sent, answered = int((llm["outcome"] != "rejected").sum()), int(llm["status"].notna().sum())
    return answered <= counted["accepted"] + counted["rejected"] + counted["broken"] <= sent


def _workers_suffice(trace: Trace) -> bool:
    events = trace.events
    workers = recorded_parameter(trace.source.facts, "app", "workers")
    return bool((events.loc[events["kind"] == "pool", "value"] <= workers).all())
