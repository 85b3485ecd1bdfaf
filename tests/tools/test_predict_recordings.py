"""Predictions are made before anybody looks, from what was known before."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import predict_recordings
import pytest
from predict_recordings import Recording, arrivals_only, recordings, rows, verdict

from breakerlab.replay import Scenario
from breakerlab.trace import read_trace

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One recording, in the place that its name and seed ask for."""
    (tmp_path / "incident_naive-1").mkdir()
    shutil.copy(DATA / "incident_naive.jsonl", tmp_path / "incident_naive-1" / "incident_naive.jsonl")
    return tmp_path


def test_a_prediction_is_given_header_and_arrivals_and_nothing_else() -> None:
    recording = read_trace(DATA / "incident_naive.jsonl")
    known = arrivals_only(recording)
    assert known.source == recording.source
    assert len(known.attempts) == 1065 + 1384
    assert len(known.events) == 0
    assert set(known.attempts["outcome"]) == {"lost"}
    assert known.attempts[["latency", "status", "retry_after"]].isna().all(axis=None)


def test_that_is_enough_for_the_scenario() -> None:
    recording = read_trace(DATA / "incident_naive.jsonl")
    full, blind = Scenario.from_trace(recording), Scenario.from_trace(arrivals_only(recording))
    assert full.parameters() == blind.parameters()
    for name in ("time", "tokens", "request"):
        assert np.array_equal(getattr(full.workload, name), getattr(blind.workload, name))
    names = [[one.workload.endpoints[code] for code in one.workload.endpoint] for one in (full, blind)]
    assert names[0] == names[1]


def test_recordings_are_found_below_a_folder_or_in_it(folder: Path) -> None:
    place = folder / "incident_naive-1"
    expected = [Recording(place / "incident_naive.jsonl", "incident_naive", 1)]
    assert recordings([folder]) == recordings([place]) == recordings([folder, place]) == expected


def test_a_folder_without_recordings_ends_the_program(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no NAME-SEED/NAME"):
        recordings([tmp_path])


def test_rows_are_empty_until_the_recording_is_judged(folder: Path) -> None:
    recording = recordings([folder])[0]
    table = pd.DataFrame({"quantity": ["a", "b"], "low": 1.0, "mean": 2.0, "high": 3.0, "width": 2.0})
    before = rows(recording, table)
    assert list(before) == predict_recordings.COLUMNS
    assert before[["recorded", "inside", "all_inside"]].isna().all(axis=None)
    judged = table.assign(recorded=[2.0, 4.0], inside=[True, False])
    after = rows(recording, judged)
    assert after["inside"].tolist() == [True, False] and after["all_inside"].tolist() == [False, False]
    assert verdict(recording, judged) == "incident_naive 1: 1 of 2 outside, mean width 2.00; b 4, not 1 to 3"


def test_from_folder_to_table(folder: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "predictions.csv"
    predict_recordings.main([str(folder), "--out", str(out), "--seeds", "40"])
    table = pd.read_csv(out)
    assert list(table) == predict_recordings.COLUMNS
    assert set(table["incident"]) == {"incident_naive"} and set(table["seed"]) == {1}
    assert (table["inside"] == ((table["recorded"] >= table["low"]) & (table["recorded"] <= table["high"]))).all()
    assert (table["all_inside"] == table["inside"].all()).all()
    assert "of 1 recordings were inside in every quantity" in capsys.readouterr().out
