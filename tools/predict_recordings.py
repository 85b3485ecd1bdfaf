"""Predict recordings from who calls and what their headers say, and only then see whether the predictions held.

usage: python tools/predict_recordings.py [--calm data/calm.jsonl] [--out data/predictions.csv] [--seeds N] FOLDER ...

A FOLDER holds NAME-SEED/NAME.jsonl, or is such a NAME-SEED itself. All recordings that are found are predicted, in two
steps. The first one is given each recording without its outcomes: the header, and when which request came. It writes
the bands to the table with nothing in the columns `recorded` and `inside`. The second one reads the outcomes, and fills
these columns. How long the ways from caller to app and from app to service take is measured once, on the calm
recording.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from course import REPOSITORY

from breakerlab.policy import Policy
from breakerlab.replay import Forecast, Scenario, counts, course, predict, with_measured_ways
from breakerlab.trace import Trace, read_trace

QUANTITIES: dict[str, Callable[[Trace], dict[str, float]]] = {
    "incident_backoff": counts,
    "incident_breaker": counts,
    "incident_naive": course,
}
COLUMNS = ["incident", "seed", "quantity", "low", "mean", "high", "recorded", "inside", "all_inside"]


@dataclass(frozen=True)
class Recording:
    """A file of which only the path has been looked at."""

    path: Path
    incident: str
    seed: int


def recordings(folders: Iterable[Path]) -> list[Recording]:
    """All NAME-SEED/NAME.jsonl with a NAME that has a prediction; leaves the program if a folder has none."""
    found = []
    for folder in folders:
        places = [folder, *sorted(folder.glob("*-*"))]
        here = [recording for place in places if (recording := _recording(place)) is not None]
        if not here:
            sys.exit(f"breakerlab: {folder} holds no NAME-SEED/NAME.jsonl with NAME one of {', '.join(QUANTITIES)}")
        found += here
    return sorted(set(found), key=lambda recording: (recording.incident, recording.seed))


def _recording(place: Path) -> Recording | None:
    name, _, seed = place.name.rpartition("-")
    path = place / f"{name}.jsonl"
    return Recording(path, name, int(seed)) if name in QUANTITIES and seed.isdecimal() and path.is_file() else None


def arrivals_only(recording: Trace) -> Trace:
    """The recording's header, and when which request came from whom; no outcomes, no calls of the service, no events.

    The tokens of an answer belong to the request: the recorder writes them down when it begins.
    """
    attempts = recording.attempts
    first = attempts[(attempts["service"] == "app") & (attempts["attempt"] == 1)]
    known: dict[str, Any] = {name: first[name].to_numpy() for name in ("time", "request", "attempt")}
    known |= {name: first[name].tolist() for name in ("client", "endpoint")}
    known |= {name: first[name].array for name in ("tokens_out", "idempotent") if name in first}
    nothing = {"service": "app", "outcome": "lost", "latency": np.full(len(first), np.nan)}
    return Trace.from_columns({**known, **nothing}, source=recording.source)


def prediction_of(recording: Recording, calm: Trace, seeds: int) -> Forecast:
    """The band, from the header and the arrivals."""
    known = arrivals_only(read_trace(recording.path))
    if (seed := known.source.facts["parameters"]["seed"]) != recording.seed:  # type: ignore[index]
        sys.exit(f"breakerlab: {recording.path} says in its header that its seed is {seed}")
    scenario = with_measured_ways(Scenario.from_trace(known), calm)
    policy = Policy.from_dict(known.source.facts["policy"])  # type: ignore[arg-type]
    return predict(scenario, policy, QUANTITIES[recording.incident], seeds=seeds)


def rows(recording: Recording, table: pd.DataFrame) -> pd.DataFrame:
    """A prediction's or a judgement's table as rows of the file; what is not known yet stays empty."""
    inside = table.get("inside")
    told = {"incident": recording.incident, "seed": recording.seed}
    return table.assign(**told, all_inside=None if inside is None else inside.all()).reindex(columns=COLUMNS)


def verdict(recording: Recording, judged: pd.DataFrame) -> str:
    """One line on one recording."""
    outside = judged[~judged["inside"]]
    told = "".join(f"; {o.quantity} {o.recorded:g}, not {o.low:g} to {o.high:g}" for o in outside.itertuples())
    word = "inside" if outside.empty else f"{len(outside)} of {len(judged)} outside"
    return f"{recording.incident} {recording.seed}: {word}, mean width {judged['width'].mean():.2f}{told}"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--calm", type=Path, default=REPOSITORY / "data" / "calm.jsonl")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "data" / "predictions.csv")
    parser.add_argument("--seeds", type=int, default=1000)
    given = parser.parse_args(arguments)
    found = recordings(given.folders)
    calm = read_trace(given.calm)
    predictions = {}
    for recording in found:
        predictions[recording] = prediction_of(recording, calm, given.seeds)
        print(f"breakerlab: predicted {recording.incident} {recording.seed}", flush=True)
    write(given.out, [rows(recording, prediction.table) for recording, prediction in predictions.items()])
    print(f"breakerlab: {given.out} has the bands; now the outcomes are read", flush=True)
    judged = {recording: predictions[recording].judge(read_trace(recording.path)) for recording in found}
    table = write(given.out, [rows(recording, judgement) for recording, judgement in judged.items()])
    print(table.to_string(index=False))
    print("\n".join(verdict(recording, judgement) for recording, judgement in judged.items()))
    held = sum(bool(judgement["inside"].all()) for judgement in judged.values())
    print(f"breakerlab: {held} of {len(found)} recordings were inside in every quantity", flush=True)


def write(path: Path, tables: list[pd.DataFrame]) -> pd.DataFrame:
    """All rows, in the file too."""
    table = pd.concat(tables, ignore_index=True)
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    return table


if __name__ == "__main__":
    main(sys.argv[1:])
