"""What counts as one of the eight steps, on traces small enough to read."""

from __future__ import annotations

import json

from breakerlab.trace import eight_steps, read_trace


def steps_of(rows, tmp_path, workers=4):
    header = {
        "kind": "trace",
        "version": 1,
        "start": "2026-01-01T00:00:00+00:00",
        "source": {"parameters": {"app": {"workers": workers}}},
    }
    path = tmp_path / "small.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [header, *rows]))
    return {step.number: step.seen_at for step in eight_steps(read_trace(path))}


def attempt(time, service, request, number=1, outcome="ok", status=200, latency=0.1, endpoint="POST /answer"):
    return {
        "kind": "attempt", "time": time, "latency": latency, "status": status, "outcome": outcome,
        "service": service, "request": request, "attempt": number, "endpoint": endpoint,
    }  # fmt: skip


def event(t, kind, value):
    return {"kind": "event", "t": t, "event": kind, "instance": "pipeline", "value": value}


def test_no_step_is_seen_where_all_is_well(tmp_path):
    rows = [attempt(1.0, "app", 0), attempt(1.0, "llm", 0), event(2.0, "health", 1), event(2.0, "pool", 3)]
    assert set(steps_of(rows, tmp_path).values()) == {None}


def test_a_503_is_seen_when_it_arrives_and_a_retry_when_it_leaves(tmp_path):
    rows = [
        attempt(1.0, "app", 0, latency=3.0),
        attempt(1.0, "llm", 0, 1, "error", 503),
        attempt(3.1, "llm", 0, 2),
    ]
    seen = steps_of(rows, tmp_path)
    assert (seen[1], seen[2], seen[3]) == (1.1, 3.1, None)


def test_more_503s_means_more_to_retries_than_to_first_attempts(tmp_path):
    first = [attempt(1.0 + n / 100, "llm", n, 1, "error", 503, 0.01) for n in range(3)]
    second = [attempt(4.0 + n / 100, "llm", n, 2, "error", 503, 0.01) for n in range(3)]
    assert steps_of([*first, *second[:2], attempt(4.5, "llm", 9, 1, "error", 503, 0.01)], tmp_path)[3] == 4.0
    as_many = [attempt(4.5 + n / 100, "llm", 9 + n, 1, "error", 503, 0.01) for n in range(3)]
    assert steps_of([*first, *second, *as_many], tmp_path)[3] is None


def test_load_is_above_the_offered_load_when_attempts_exceed_requests_by_half(tmp_path):
    asked = [attempt(1.0, "app", n) for n in range(4)]
    enough = [attempt(1.0, "llm", n, 1, "error", 503) for n in range(4)]
    more = [attempt(2.0, "llm", n, 2) for n in range(3)]
    assert steps_of([*asked, *enough, *more[:2]], tmp_path)[4] is None
    assert steps_of([*asked, *enough, *more], tmp_path)[4] == 5.0
    refused = [attempt(2.0, "llm", n, 2, "rejected", None, 0.0) for n in range(3)]
    assert steps_of([*asked, *enough, *refused], tmp_path)[4] is None, "what the breaker refused loads nobody"


def test_the_pool_is_full_at_its_size_which_must_be_known(tmp_path):
    rows = [attempt(0.5, "app", 0), event(1.0, "pool", 3), event(2.0, "pool", 4)]
    assert steps_of(rows, tmp_path)[5] == 2.0
    assert steps_of(rows, tmp_path, workers=5)[5] is None
    assert steps_of(rows, tmp_path, workers=None)[5] is None


def test_only_endpoints_that_never_ask_the_llm_are_other_endpoints(tmp_path):
    asking = [attempt(1.0, "app", 0, outcome="timeout", status=None, latency=2.0), attempt(1.0, "llm", 0)]
    searching = [attempt(2.0, "app", 1, outcome="timeout", status=None, latency=2.0, endpoint="GET /search")]
    assert steps_of(asking, tmp_path)[6] is None
    assert steps_of([*asking, *searching], tmp_path)[6] == 4.0


def test_a_restart_counts_only_if_an_attempt_was_lost_by_it(tmp_path):
    lost = attempt(1.0, "llm", 0, outcome="lost", status=None, latency=None)
    failed, killed, back = event(2.0, "health", 0), event(3.0, "restart", 1), event(4.0, "restart", 0)
    seen = steps_of([lost, failed, killed, back], tmp_path)
    assert (seen[7], seen[8]) == (2.0, 3.0)
    assert steps_of([attempt(1.0, "llm", 0), failed, killed, back], tmp_path)[8] is None
    assert steps_of([killed, back, attempt(5.0, "llm", 0, outcome="lost", status=None)], tmp_path)[8] is None
