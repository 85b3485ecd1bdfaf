import contextlib
import io
import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorders.truth import attempt_of, read_truth

from breakerlab.trace import TraceError, read_trace
from breakerlab.trace.format import Head
from breakerlab.trace.formats import FORMATS

DATA = Path(__file__).resolve().parents[3] / "data" / "formats"
SHARED = Path(__file__).parents[4] / "shared" / "traces"
SECOND = 10**9
EPOCH = 1_795_521_600 * SECOND


def value_of(value):
    kind = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}[type(value)]
    return {kind: str(value) if kind == "intValue" else value}


def span(start=1.0, seconds=0.5, kind=3, parent="p1", identity="s1", status=None, events=(), **attributes):
    return {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": identity,
        "parentSpanId": parent,
        "kind": kind,
        "startTimeUnixNano": str(EPOCH + round(start * SECOND)),
        "endTimeUnixNano": EPOCH + round((start + seconds) * SECOND),
        "attributes": [{"key": key.replace("__", "."), "value": value_of(one)} for key, one in attributes.items()],
        "status": status or {},
        "events": list(events),
    }


def export(*spans, scopes="scopeSpans", service="shop"):
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return {"resourceSpans": [{"resource": resource, scopes: [{"scope": {"name": "x"}, "spans": list(spans)}]}]}


def read(*exports, indent=None):
    text = "\n".join(json.dumps(one, indent=indent) for one in exports)
    return read_trace(io.BytesIO(text.encode()), format="otlp")


NEW = {
    "http__request__method": "POST",
    "url__full": "http://api.example:8080/v1/chat?key=1",
    "server__address": "api.example",
    "server__port": 8080,
}
OLD = {"http__method": "POST", "http__url": "http://api.example:8080/v1/chat?key=1", "http__status_code": 503}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({**NEW, "http__response__status_code": 200}, (200, "ok", "api.example:8080", "POST /v1/chat")),
        (OLD, (503, "error", "api.example:8080", "POST /v1/chat")),
        (
            {"http__method": "GET", "http__target": "/a/42?x=1", "net__peer__name": "b", "http__status_code": 429},
            (429, "throttled", "b", "GET /a/{id}"),
        ),
        (
            {**NEW, "url__template": "/v1/{kind}", "error__type": "404"},
            (404, "client_error", "api.example:8080", "POST /v1/{kind}"),
        ),
        ({**NEW, "error__type": "httpx.ReadTimeout"}, (None, "timeout", "api.example:8080", "POST /v1/chat")),
        ({**NEW, "error__type": "ConnectError"}, (None, "connection", "api.example:8080", "POST /v1/chat")),
        ({**NEW, "error__type": "asyncio.CancelledError"}, (None, "cancelled", "api.example:8080", "POST /v1/chat")),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("kind", "scopes"), [(3, "scopeSpans"), ("SPAN_KIND_CLIENT", "instrumentationLibrarySpans")])
def test_a_client_span_is_an_attempt(attributes, expected, kind, scopes):
    trace = read(export(span(kind=kind, **attributes), scopes=scopes))
    (row,) = trace.attempts.itertuples()
    status = None if pd.isna(row.status) else int(row.status)
    assert (status, row.outcome, row.service, row.endpoint) == expected
    assert (trace.start.timestamp() + row.time, row.latency) == (EPOCH / SECOND + 1, 0.5)
    assert (row.client, row.attempt) == ("shop", 1)
    assert trace.source.lines == 1
    assert trace.source.cannot_tell == ("retries",)


def test_the_exception_of_an_event_or_the_message_tells_what_happened():
    event = {"name": "exception", "attributes": [{"key": "exception.type", "value": {"stringValue": "ReadTimeout"}}]}
    trace = read(
        export(
            span(1, **NEW, events=[event], status={"code": 2}),
            span(
                2,
                **NEW,
                status={"code": "STATUS_CODE_ERROR", "message": "dial tcp: connection refused, key sk-planted"},
            ),
        )
    )
    assert list(trace.attempts.outcome) == ["timeout", "connection"]
    assert "sk-planted" not in trace.attempts.to_csv()


def test_resends_below_one_parent_are_one_request():
    def one(start, resends=None, **more):
        count = {} if resends is None else {"http__request__resend_count": resends}
        return span(start, 0.1, **NEW, http__response__status_code=503, **count, **more)

    trace = read(export(one(2.0, 2), one(1.0), one(1.5, 1)), export(one(1.2, parent="p2"), one(3.0, parent="")))
    assert list(zip(trace.attempts.request, trace.attempts.attempt, strict=True)) == [
        (0, 1),
        (1, 1),
        (0, 2),
        (0, 3),
        (2, 1),
    ]
    assert trace.source.has_retries
    assert trace.source.cannot_tell == ()


def test_a_resend_that_could_belong_to_two_requests_is_not_given_to_one():
    spans = [span(1 + 0.2 * k, 0.1, **NEW, http__response__status_code=503) for k in range(2)]
    again = span(2, 0.1, **NEW, http__response__status_code=200, http__request__resend_count=1)
    trace = read(export(*spans, again))
    assert list(trace.attempts.request) == [0, 1, 2]
    assert not trace.source.has_retries
    assert "retries" in trace.source.cannot_tell


def test_the_same_resend_twice_is_not_two_attempts_of_one_request():
    first = span(1, 0.1, **NEW, http__response__status_code=503)
    again = [
        span(start, 0.1, **NEW, http__response__status_code=503, http__request__resend_count=1) for start in (2, 3)
    ]
    trace = read(export(first, *again))
    assert list(trace.attempts.request) == [0, 0, 1]
    assert not trace.source.has_retries


def test_the_call_of_an_llm_is_an_attempt_only_where_no_http_span_lies_below_it():
    llm = {"gen_ai__request__model": "example-1", "gen_ai__usage__input_tokens": 12, "gen_ai__usage__output_tokens": 3}
    around = span(1, identity="up", parent="", **llm)
    below = span(1, 0.4, identity="http", parent="up", **NEW, http__response__status_code=200)
    alone = span(3, identity="alone", parent="", gen_ai__system="openai", error__type="RateLimitError", **llm)
    trace = read(export(around, below, alone))
    assert list(trace.attempts.endpoint) == ["POST /v1/chat", "example-1"]
    assert list(trace.attempts.outcome) == ["ok", "throttled"]
    assert list(trace.attempts.tokens_in.astype("float").fillna(-1)) == [-1, 12]
    assert [error.line for error in trace.skipped] == [1]


def test_server_spans_are_read_where_there_are_no_client_spans():
    server = span(1, kind=2, http__request__method="GET", http__route="/a/{b}", http__response__status_code=500)
    trace = read(export(server))
    assert list(trace.attempts.service) == ["shop"]
    both = read(export(server, span(2, **OLD), span(3, kind=1), span(4, db__system="x")))
    assert len(both.attempts) == 1
    assert both.source.lines + len(both.skipped) == 4


@pytest.mark.parametrize("indent", [None, 1])
def test_a_document_counts_spans_and_lines_count_lines(indent):
    bad = span(2, **OLD) | {"startTimeUnixNano": "yesterday"}
    trace = read(export(span(1, **OLD), bad, span(3, **OLD)), indent=indent)
    assert [error.line for error in trace.skipped] == [2]  # one line without an end is a document, too
    trace = read(export(span(1, **OLD)), export(bad), export(span(3, **OLD)))
    assert [(error.line, error.column) for error in trace.skipped] == [(2, "time")]


@pytest.mark.parametrize(
    "change",
    [
        {"startTimeUnixNano": None}, {"startTimeUnixNano": "1" * 5_000}, {"startTimeUnixNano": float("nan")},
        {"startTimeUnixNano": True}, {"startTimeUnixNano": []}, {"endTimeUnixNano": 5}, {"endTimeUnixNano": {}},
        {"attributes": [{"key": "http.method", "value": {"stringValue": "GET"}}]},
        {"attributes": [{"key": "http.status_code", "value": {"intValue": "99"}}]},
        {"attributes": [{"key": "http.status_code", "value": {"stringValue": "sk-planted-0123456789"}}]},
        {"attributes": [{"key": "http.status_code", "value": {"intValue": "200"}},
                        {"key": "http.resend_count", "value": {"intValue": -1}}]},
        {"attributes": [{"key": "http.status_code", "value": {"intValue": "200"}},
                        {"key": "http.resend_count", "value": {"intValue": 10**9}}]},
    ],
)  # fmt: skip
def test_a_bad_span_costs_itself_only(change):
    trace = read(export(span(1, **OLD), span(2, **OLD) | change))
    assert len(trace.attempts) == len(trace.skipped) == 1
    assert "sk-planted" not in str(trace.skipped[0])


@pytest.mark.parametrize("nonsense", [None, 1, "x", [], [None], {"spans": 3}, [{"spans": [1]}], {"a": {"b": []}}])
def test_wrong_types_at_every_level_are_one_error(nonsense):
    whole = export(span(1, **OLD))
    for path in (
        ("resourceSpans",),
        ("resourceSpans", 0),
        ("resourceSpans", 0, "resource"),
        ("resourceSpans", 0, "scopeSpans"),
    ):
        changed = json.loads(json.dumps(whole))
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = nonsense
        with contextlib.suppress(TraceError):
            read(changed)
    for key in span():
        with contextlib.suppress(TraceError):
            read(export(span(1, **OLD) | {key: nonsense}))


def test_nesting_and_binary_and_nothing_are_one_sentence():
    for content in (
        b"[" * 200_000,
        b'{"resourceSpans":' * 50_000,
        b"\xff\xfe{",
        b"{}",
        b"[]",
        b'{"resourceSpans":[]}',
        b"{",
    ):
        with pytest.raises(TraceError):
            read_trace(io.BytesIO(content), format="otlp")


def test_a_damaged_line_and_metrics_between_spans_are_listed():
    content = "\n".join([json.dumps(export(span(1, **OLD))), '{"resourceSpans":[{"sc', '{"resourceMetrics":[]}', ""])
    trace = read_trace(io.BytesIO(content.encode()))
    assert [error.line for error in trace.skipped] == [2, 3]
    assert (trace.source.format, trace.source.lines) == ("otlp", 1)


def test_a_first_line_that_is_longer_than_the_head_is_read():
    many = [span(1, **OLD, identity=f"s{number}") for number in range(400)]
    trace = read_trace(io.BytesIO("\n".join([json.dumps(export(*many))] * 2).encode()))
    assert len(trace.attempts) == 800


PLANTED = ("noon-secret", "sk-live-0123456789abcdefghij", "eyJhbGciOiJIUzI1NiJ9.e30.x", "jo@example.org")


def test_nothing_planted_leaves_the_reader():
    prompt, key, token, mail = PLANTED
    one = span(
        **NEW | {"url__full": f"http://{mail}:{key}@api.example/v1/{key}/x?k={prompt}#{token}"},
        http__response__status_code=200, gen_ai__prompt=prompt, http__request__header__authorization=token,
        events=[{"name": prompt, "attributes": [{"key": "gen_ai.prompt", "value": {"stringValue": prompt}}]}],
        status={"message": f"{prompt} {token}"},
    )  # fmt: skip
    trace = read(
        export(one, one | {"startTimeUnixNano": prompt}, one | {"endTimeUnixNano": key}, service=f"shop {mail}")
    )
    left = trace.attempts.to_csv() + str(trace.source) + repr(trace) + " ".join(map(str, trace.skipped))
    assert not [secret for secret in PLANTED if secret in left]


@settings(max_examples=60)
@given(st.data())
def test_a_mutated_file_is_a_trace_or_one_error(data):
    content = bytearray((DATA / "otlp.jsonl").read_bytes()[:9_000])
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=4))
    with contextlib.suppress(TraceError):
        read_trace(io.BytesIO(bytes(content)), format="otlp")


@pytest.mark.skipif(not SHARED.exists(), reason="the real traces are not here")
def test_no_other_log_looks_like_one():
    likeness = next(known.likeness for known in FORMATS if known.name == "otlp")
    for path in [path for path in SHARED.rglob("*") if path.is_file()]:
        assert likeness(Head(path.read_bytes()[:65_536])) == 0, path


# Spans are timed to the nanosecond by the clock of the same machine; between them and the server's account lies the
# work of the caller and of the server's loop, with several threads on a busy machine.
WORK = 0.25


def agrees_with_the_server(trace, seen, timeout, refused):
    zero = trace.start.timestamp()
    rows = [row for row in trace.attempts.itertuples() if row.outcome != "connection"]
    assert len(trace.attempts) - len(rows) == refused

    def key_of(one):
        return attempt_of(one), None if one.seconds > timeout else one.status

    def key_in(row):
        return row.attempt, None if pd.isna(row.status) else int(row.status)

    assert Counter(map(key_in, rows)) == Counter(map(key_of, seen))
    for key in set(map(key_of, seen)):
        saw = sorted((one for one in seen if key_of(one) == key), key=lambda one: one.begun)
        told = [row for row in rows if key_in(row) == key]
        for row, one in zip(told, saw, strict=True):
            assert 0 < one.begun / 1e9 - zero - row.time < WORK
        ends = sorted(row.time + row.latency for row in told)
        for end, one in zip(ends, sorted(saw, key=lambda one: one.ended), strict=True):
            expected = one.ended / 1e9 - zero
            assert abs(end - expected) < WORK or key[1] is None
        assert key[1] is not None or all(timeout <= row.latency < timeout + WORK for row in told)
    assert set(trace.attempts.endpoint) == {"POST /v1/chat/completions"}
    assert trace.source.has_retries
    requests = trace.requests
    assert requests.attempts.sum() == len(trace.attempts)
    assert Counter(requests.attempts)[1] == sum(attempt_of(one) == 1 for one in seen) - sum(
        attempt_of(one) == 2 for one in seen
    )


@pytest.mark.parametrize("name", ["otlp", "otlp_old"])
def test_the_recorded_spans_agree_with_the_server(name):
    trace = read_trace(DATA / f"{name}.jsonl")
    agrees_with_the_server(trace, read_truth(DATA / f"{name}.truth.csv"), timeout=0.2, refused=3)


def test_the_sdk_of_opentelemetry_agrees_with_the_server(tmp_path):
    from recorders import otlp

    made = otlp.run(tmp_path / "spans.jsonl", calls=4)
    trace = read_trace(made.log)
    agrees_with_the_server(trace, made.seen, made.timeout, made.refused)
    assert "planted" not in trace.attempts.to_csv() + " ".join(map(str, trace.skipped))


def test_without_resend_counts_nothing_ties_a_retry_to_its_request(tmp_path):
    from recorders import otlp

    trace = read_trace(otlp.run(tmp_path / "spans.jsonl", calls=1, with_resends=False).log)
    assert not trace.source.has_retries
    assert set(trace.attempts.attempt) == {1}
    assert trace.attempts.request.is_unique
