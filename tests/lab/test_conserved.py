"""The statements hold for a recording, and each of them can be made false."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from breakerlab.lab.conserved import conserved
from breakerlab.trace import Recorder

PROVIDER = {"accepted": 2, "rejected": 1, "served": 2, "broken": 0}
FACTS = {"parameters": {"app": {"workers": 4}}}
ALL_OUTCOMES, EVERY_CALLER, NUMBERED, SOURCE, SAME_COUNT, FINISHED, WORKERS = range(7)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two callers with a question and one who searches; a 503 that is retried, an attempt that is lost."""
    path = tmp_path / "recording.jsonl"
    with Recorder(path, source=FACTS) as recorder:
        for request, tokens in ((1, 10), (2, 20), (3, None)):
            caller = recorder.begin(service="app", request=request, attempt=1, tokens_out=tokens)
            if request == 1:
                for attempt, outcome, status in ((1, "error", 503), (2, "ok", 200)):
                    called = recorder.begin(service="llm", request=request, attempt=attempt)
                    recorder.end(called, outcome=outcome, status=status)
            if request == 2:
                recorder.begin(service="llm", request=request, attempt=1)
            recorder.end(caller, outcome="connection" if request == 2 else "ok", status=None if request == 2 else 200)
        recorder.event("pool", 4)
    return path


def test_they_hold(recording: Path) -> None:
    assert list(conserved(recording, 3, PROVIDER).values()) == [True] * 7


def test_of_a_lost_attempt_nobody_can_say_whether_it_came(recording: Path) -> None:
    for accepted in (1, 2):
        assert all(conserved(recording, 3, {**PROVIDER, "accepted": accepted, "served": accepted}).values())


def rewrite(change: Callable[[list[dict]], list[dict]]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(line) + "\n" for line in change(lines)))

    return apply


def second_attempt(**fields: object) -> Callable[[Path], None]:
    """Change the line with which the second attempt of request 1 begins."""

    def change(lines: list[dict]) -> list[dict]:
        wanted = {"service": "llm", "request": 1, "attempt": 2}
        return [{**line, **fields} if wanted.items() <= line.items() else line for line in lines]

    return rewrite(change)


def end_is(outcome: str, by: str) -> Callable[[Path], None]:
    """Change the ends that have an outcome."""
    return rewrite(
        lambda lines: [{**line, "outcome": by} if line.get("outcome") == outcome else line for line in lines]
    )


BROKEN = {
    "an attempt ends twice": (rewrite(lambda lines: [*lines, lines[-2]]), ALL_OUTCOMES),
    "a caller never came": (rewrite(lambda lines: [line for line in lines if line.get("request") != 3]), EVERY_CALLER),
    "a gap in the numbers": (second_attempt(attempt=3), NUMBERED),
    "an answer from nowhere": (second_attempt(request=7), SOURCE),
    "more workers than there are": (
        rewrite(lambda lines: [{**line, "value": 5.0} if line["kind"] == "event" else line for line in lines]),
        WORKERS,
    ),
}


@pytest.mark.parametrize(("break_it", "statement"), BROKEN.values(), ids=BROKEN)
def test_a_doctored_recording_is_noticed(recording: Path, break_it: Callable[[Path], None], statement: int) -> None:
    break_it(recording)
    assert list(conserved(recording, 3, PROVIDER).values())[statement] is False


@pytest.mark.parametrize(
    ("counted", "statement"),
    [
        ({"accepted": 0, "served": 0}, SAME_COUNT),
        ({"accepted": 3, "served": 3}, SAME_COUNT),
        ({"broken": 1}, SAME_COUNT),
        ({"served": 1}, FINISHED),
    ],
)
def test_a_count_that_differs_is_noticed(recording: Path, counted: dict[str, int], statement: int) -> None:
    assert list(conserved(recording, 3, {**PROVIDER, **counted}).values())[statement] is False


def test_what_the_breaker_refused_was_never_sent(recording: Path) -> None:
    end_is("error", by="rejected")(recording)
    assert list(conserved(recording, 3, PROVIDER).values())[SAME_COUNT] is False
