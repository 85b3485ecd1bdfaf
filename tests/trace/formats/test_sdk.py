import contextlib
import io
import json
import logging
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


def read(text):
    trace = read_trace(io.BytesIO(text if isinstance(text, bytes) else text.encode()), format="sdk")
    lines = [line for line in (text if isinstance(text, bytes) else text.encode()).split(b"\n") if line.strip()]
    assert trace.source.lines + sum(error.lines for error in trace.skipped) == len(lines)
    return trace


def rows(text):
    """second of the minute, latency, status, outcome, endpoint, attempt and request of each row."""
    trace = read(text)
    return [
        (
            round(trace.start.second + row.time, 6),
            None if pd.isna(row.latency) else round(row.latency, 6),
            None if pd.isna(row.status) else int(row.status),
            row.outcome,
            row.endpoint,
            row.attempt,
            row.request,
        )
        for row in trace.attempts.itertuples()
    ]


URL = "http://example.com/v1/chat/completions"
DONE = f'HTTP Request: POST {URL} "HTTP/1.1 200 OK"'
CHAT = "POST /v1/chat/completions"


@pytest.mark.parametrize(
    ("line", "start", "has_zone"),
    [
        (f"2026-11-24 12:00:00,250 - httpx - INFO - {DONE}", "2026-11-24 12:00:00.25", False),
        (f"[2026-11-24 12:00:00,250: INFO/ForkPoolWorker-1] {DONE}", "2026-11-24 12:00:00.25", False),
        (f"INFO 2026-11-24 12:00:00,250 _client.py:1026 {DONE}", "2026-11-24 12:00:00.25", False),
        (f"2026-11-24T12:00:00.250Z INFO:httpx:{DONE}", "2026-11-24 12:00:00.25", True),
        (f"2026-11-24T12:00:00.250000123+02:00 {DONE}", "2026-11-24 10:00:00.250000123", True),
        (f"2026-11-24 12:00:00.250 | INFO     | httpx._client:send:1025 - {DONE}", "2026-11-24 12:00:00.25", False),
        (f"\x1b[32m2026-11-24 12:00:00,250\x1b[0m \x1b[1mINFO\x1b[0m {DONE}", "2026-11-24 12:00:00.25", False),
        (f"2026/11/24 12:00:00.25 [info     ] {DONE} [httpx]", "2026-11-24 12:00:00.25", False),
        (json.dumps({"message": DONE, "asctime": "2026-11-24 12:00:00,250"}), "2026-11-24 12:00:00.25", False),
        (json.dumps({"event": DONE, "timestamp": "2026-11-24T12:00:00.25Z"}), "2026-11-24 12:00:00.25", True),
        (json.dumps({"msg": DONE, "time": 1795521600.25}), "2026-11-24 12:00:00.25", True),
        (json.dumps({"msg": DONE, "time": 1795521600250}), "2026-11-24 12:00:00.25", True),
        (
            json.dumps({"log": f"INFO:httpx:{DONE}\n", "time": "2026-11-24T12:00:00.25Z"}),
            "2026-11-24 12:00:00.25",
            True,
        ),
        (
            json.dumps({"text": "..", "record": {"message": DONE, "time": {"timestamp": 1795521600.25}}}),
            "2026-11-24 12:00:00.25",
            True,
        ),
    ],
)
def test_a_line_of_httpx_is_read_in_any_usual_layout(line, start, has_zone):
    trace = read(line)
    row = trace.attempts.iloc[0]
    began = trace.start.replace(tzinfo=None) + pd.Timedelta(seconds=row.time)
    assert abs(began - pd.Timestamp(start)) < pd.Timedelta(microseconds=1)
    assert (row.status, row.outcome, row.endpoint, row.instance) == (200, "ok", CHAT, "example.com")
    assert pd.isna(row.latency)
    assert ("time zone" in trace.source.cannot_tell) is not has_zone
    assert {"latency", "start of each attempt", "retries"} <= set(trace.source.cannot_tell)
    assert not trace.source.has_retries


@pytest.mark.parametrize(
    ("message", "status", "outcome"),
    [
        (f'HTTP Request: POST {URL} "HTTP/1.1 529 "', 529, "error"),
        (f'HTTP Request: POST {URL} "HTTP/2 429 Too Many Requests"', 429, "throttled"),
        (f"HTTP Request: POST {URL} HTTP/1.1 503 Service Unavailable", 503, "error"),
        (f"HTTP Request: POST {URL} 404", 404, "client_error"),
        (f'HTTP Request: POST {URL} "200 OK"', 200, "ok"),
        (f'HTTP Response: POST {URL} "503 Service Unavailable" Headers({{}})', 503, "error"),
        (f"message='OpenAI API response' path={URL} processing_ms=352 request_id=abc response_code=200", 200, "ok"),
    ],
)
def test_old_and_new_wording(message, status, outcome):
    (row,) = rows(f"2026-11-24 12:00:00,250 x INFO {message}")
    assert row[2:4] == (status, outcome)
    assert row[4].endswith("/v1/chat/completions")


def debug(second, message, logger="openai._base_client", thread=""):
    return f"2026-11-24 12:00:{second:06.3f} {thread} {logger} DEBUG {message}"


def test_at_debug_a_retry_is_the_next_attempt_of_its_request():
    text = "\n".join(
        [
            debug(1.0, "Building HTTP request: method=POST retries_taken=0"),
            debug(1.1, "Sending HTTP Request: POST"),
            debug(1.4, "Encountered a timeout exception: ReadTimeout"),
            debug(1.4, "2 retries left"),
            debug(1.4, "Retrying request in 0.500000 seconds (retry 1 of 2)"),
            debug(1.9, "Building HTTP request: method=POST retries_taken=1"),
            debug(1.9, "Sending HTTP Request: POST"),
            debug(2.1, f'HTTP Request: POST {URL}?key=1 "HTTP/1.1 503 Service Unavailable"', "httpx2"),
            debug(2.1, "HTTP Response: POST 503"),
            debug(2.1, "Retrying due to status code 503"),
            debug(2.1, "Retrying request in 1.000000 seconds (retry 2 of 2)"),
            debug(3.1, "Building HTTP request: method=POST retries_taken=2"),
            debug(3.1, "Sending HTTP Request: POST"),
            debug(3.2, "Encountered exception: ConnectError"),
            debug(3.2, "Raising connection error"),
        ]
    )
    assert rows(text) == [
        (1.1, 0.3, None, "timeout", CHAT, 1, 0),
        (1.9, 0.2, 503, "error", CHAT, 2, 0),
        (3.1, 0.1, None, "connection", CHAT, 3, 0),
    ]
    trace = read(text)
    assert trace.source.has_retries
    assert trace.source.cannot_tell == ("time zone", "client")


def test_the_older_wording_tells_the_request_by_its_key_and_the_wait_by_its_header():
    def attempt(second, key, end):
        return [
            debug(
                second, f"Request options: {{'method': 'post', 'url': '/chat/completions', 'idempotency_key': '{key}'}}"
            ),
            debug(second, f"Sending HTTP Request: POST {URL}"),
            *end,
        ]

    answer = (
        f"""HTTP Response: POST {URL} "429 Too Many Requests" Headers({{'retry-after': '7', 'set-cookie': 'a=b'}})"""
    )
    text = "\n".join(
        [
            *attempt(
                1, "key-a", [debug(1.2, answer), debug(1.2, "Retrying request to /chat/completions in 2.0 seconds")]
            ),
            *attempt(2, "key-b", [debug(2.1, f'HTTP Response: POST {URL} "200 OK" Headers([])')]),
            *attempt(
                3.2, "key-a", [debug(3.5, "Encountered httpx.TimeoutException"), "Traceback (most recent call last):"]
            ),
        ]
    )
    assert rows(text) == [
        (1.0, 0.2, 429, "throttled", CHAT, 1, 0),
        (2.0, 0.1, 200, "ok", CHAT, 1, 1),
        (3.2, 0.3, None, "timeout", CHAT, 2, 0),
    ]
    trace = read(text)
    assert trace.source.has_retries
    assert list(trace.attempts.retry_after[:1]) == [7.0]
    assert [error.line for error in trace.skipped] == [11]


def test_what_overlaps_in_one_thread_is_not_paired_by_guessing():
    text = "\n".join(
        [
            debug(1.0, f"Sending HTTP Request: POST {URL}"),
            debug(1.1, f"Sending HTTP Request: POST {URL}"),
            debug(1.5, f'HTTP Response: POST {URL} "200 OK"'),
            debug(1.9, f'HTTP Response: POST {URL} "503 x"'),
            debug(2.5, f"Sending HTTP Request: POST {URL}"),
            debug(2.9, f'HTTP Response: POST {URL} "200 OK"'),
        ]
    )
    trace = read(text)
    assert list(trace.attempts.time + trace.start.second) == [1.5, 1.9, 2.5]
    assert list(trace.attempts.latency.round(6).fillna(-1)) == [-1, -1, 0.4]
    assert not trace.source.has_retries
    assert {"latency", "start of each attempt", "retries"} <= set(trace.source.cannot_tell)
    named = "\n".join(
        line.replace("  ", f" Thread-{place} ", 1) for line, place in zip(text.split("\n"), "121211", strict=True)
    )
    assert [row[:3] for row in rows(named)] == [(1.0, 0.5, 200), (1.1, 0.8, 503), (2.5, 0.4, 200)]
    assert read(named).source.has_retries


def test_at_debug_no_retry_is_an_attempt_of_its_own():
    text = "\n".join(
        [
            debug(1.0, f"Sending HTTP Request: POST {URL}"),
            debug(1.1, f'HTTP Response: POST {URL} "503 x"'),
            debug(5.0, "Retrying request to /chat/completions in 1.0 seconds"),
        ]
    )
    assert [row[:4] for row in rows(text)] == [(1.0, 0.1, 503, "error")]
    assert not read(text).source.has_retries


def test_at_info_a_retry_without_an_answer_is_an_attempt_and_one_after_an_answer_is_none():
    text = "\n".join(
        [
            f'2026-11-24 12:00:01,000 httpx INFO HTTP Request: POST {URL} "HTTP/1.1 503 x"',
            "2026-11-24 12:00:01,001 openai INFO Retrying request to /chat/completions in 0.4 seconds",
            "2026-11-24 12:00:05,000 openai INFO Retrying request to /chat/completions in 0.8 seconds",
            "2026-11-24 12:00:06,000 app INFO the answer to everything is 42",
        ]
    )
    assert rows(text) == [(1.0, None, 503, "error", CHAT, 1, 0), (5.0, None, None, "connection", CHAT, 1, 1)]
    trace = read(text)
    assert {"outcome of attempts without an answer", "last attempts without an answer"} <= set(trace.source.cannot_tell)
    assert [error.line for error in trace.skipped] == [4]


def test_an_answer_explains_one_retry_only():
    text = "\n".join(
        [
            f'2026-11-24 12:00:01,000 httpx INFO HTTP Request: POST {URL} "HTTP/1.1 503 x"',
            "2026-11-24 12:00:01,001 openai INFO Retrying request to /chat/completions in 0.4 seconds",
            "2026-11-24 12:00:01,040 openai INFO Retrying request to /chat/completions in 0.8 seconds",
            f'2026-11-24 12:00:02,000 httpx INFO HTTP Request: POST {URL} "HTTP/1.1 401 x"',
            "2026-11-24 12:00:02,001 openai INFO Retrying request to /embeddings in 0.8 seconds",
        ]
    )
    assert [row[:4] for row in rows(text)] == [
        (1.0, None, 503, "error"),
        (1.04, None, None, "connection"),
        (2.0, None, 401, "client_error"),
        (2.001, None, None, "connection"),
    ]


def test_a_log_with_retries_only_is_read_and_says_that_answers_are_missing():
    trace = read(
        "2025-03-08 01:16:12,361 - openai._base_client - INFO - Retrying request to /chat/completions in 0.3 seconds"
    )
    assert "attempts that were answered" in trace.source.cannot_tell


def test_whole_seconds_give_no_latency():
    trace = read(f"[2026-11-24 12:00:01 - openai:1 - DEBUG] Sending HTTP Request: POST {URL}\n"
                 f'[2026-11-24 12:00:02 - openai:1 - DEBUG] HTTP Response: POST {URL} "200 OK"')  # fmt: skip
    assert trace.attempts.latency.isna().all()
    assert {"latency", "sub-second times"} <= set(trace.source.cannot_tell)


def test_httpcore_tells_the_start_where_no_sdk_does():
    text = "\n".join(
        [
            debug(1.0, "connect_tcp.started host='example.com' port=80", "httpcore.connection"),
            debug(1.1, "connect_tcp.complete return_value=<x>", "httpcore.connection"),
            debug(1.1, "send_request_headers.started request=<Request [b'POST']>", "httpcore.http11"),
            debug(1.3, DONE, "httpx"),
            debug(2.0, "connect_tcp.started host='example.com' port=80", "httpcore.connection"),
            debug(2.5, "connect_tcp.failed exception=ConnectTimeout(TimeoutError())", "httpcore.connection"),
        ]
    )
    assert [row[:4] for row in rows(text)] == [(1.0, 0.3, 200, "ok"), (2.0, 0.5, None, "timeout")]


def test_begun_and_never_ended_is_lost():
    assert [row[:4] for row in rows(debug(1.0, f"Sending HTTP Request: POST {URL}"))] == [(1.0, None, None, "lost")]


def test_without_a_time_the_error_says_how_to_add_it():
    with pytest.raises(TraceError, match=r"line 2, column time: .*%\(asctime\)s"):
        read_trace(io.BytesIO(f"INFO:app:hello\nINFO:httpx:{DONE}\n".encode()))


def test_a_prompt_that_quotes_a_line_is_no_line():
    said = 'HTTP Request: GET http://a/b "HTTP/1.1 200 OK"'
    quoted = f"Request options: {{'method': 'post', 'url': '/x', 'json_data': '{said}'}}"
    trace = read(debug(1.0, quoted) + "\n" + debug(2.0, DONE, "httpx"))
    assert list(trace.attempts.endpoint) == [CHAT]


PLANTED = (
    "noon-secret",
    "sk-live-0123456789abcdefghij",
    "eyJhbGciOiJIUzI1NiJ9.e30.x",
    "jo@example.org",
    "cookie-secret",
)


def test_nothing_planted_leaves_the_reader():
    prompt, key, token, mail, cookie = PLANTED
    text = "\n".join(
        [
            debug(1, f"Request options: {{'method': 'post', 'url': '/v1/x', 'json_data': {{'c': '{prompt} {mail}'}}}}"),
            debug(1, f"Sending HTTP Request: POST http://{mail}:{key}@example.com/v1/{key}/x?key={prompt}#{prompt}"),
            debug(
                2,
                f'HTTP Response: POST http://example.com/v1/{key}/x?key={prompt} "200 OK" Headers({{"a": "{cookie}"}})',
            ),
            f"{prompt} {key} {token} {mail} {cookie}",
            debug(3, f"the app says {prompt} {token}", "app"),
            f"2026-11-24 12:99:00,000 HTTP Request: POST http://x/{token} {prompt}",
            debug(4, f'HTTP Request: {key} {prompt} "HTTP/1.1 200 OK"'),
            debug(5, f"Retrying request to /v1/{token} in 2 seconds"),
        ]
    )
    trace = read(text)
    left = trace.attempts.to_csv() + str(trace.source) + repr(trace) + " ".join(map(str, trace.skipped))
    assert not [secret for secret in PLANTED if secret in left]


@pytest.mark.parametrize("character", [*"a 1\"'/:HT{[(é\\", "HTTP Request: POST ", "'retry-after': '", "2026-11-24 "])
def test_long_lines_are_read_at_once(character):
    size = 1_000_000 // len(character.encode())
    for head in ("", "2026-11-24 12:00:00,1 HTTP Request: POST ", "2026-11-24 12:00:00,1 Request options: {'", "{"):
        with pytest.raises(TraceError):
            read(head + character * size)


def test_a_log_in_which_nothing_ever_ends_is_read_with_bounded_work():
    text = "\n".join(debug(1 + k / 1_000, f"Sending HTTP Request: POST {URL}") for k in range(3_000))
    assert set(read(text).attempts.outcome) == {"lost"}


PIECES = st.sampled_from(
    [
        "2026-11-24 12:00:00,123 ",
        "2026-11-24 12:00:01.5+99:99 ",
        "0000-00-00 00:00:00 ",
        "Thread-1 ",
        "openai ",
        "DEBUG ",
        "HTTP Request: POST ",
        URL,
        ' "HTTP/1.1 503 x"',
        ' "HTTP/1.1 099 x"',
        "Sending HTTP Request: POST ",
        "HTTP Response: POST 503",
        "Retrying request in 0.5 seconds (retry 1 of 2)",
        "Retrying request to /v1/x in 1e-05 seconds",
        "Encountered Exception",
        "Encountered httpx.TimeoutException",
        "Building HTTP request: method=POST retries_taken=99999",
        "\n",
        "\n\n",
        "\x00",
        "\ud800",
        '{"message": "HTTP Request: GET http://x 200", "time": ',
        "1e999",
        "NaN",
        "99999999999999999999",
        "-1",
        "null",
        '"}',
        "}",
        "connect_tcp.started",
        "connect_tcp.failed exception=X",
        "send_request_headers.started request=<Request [b'GET']>",
    ]
)


@settings(max_examples=60)
@given(st.lists(PIECES | st.text(max_size=6), max_size=60))
def test_any_text_is_a_trace_or_one_error(pieces):
    with contextlib.suppress(TraceError):
        read("".join(pieces).encode("utf-8", "surrogatepass"))


@settings(max_examples=60)
@given(st.data())
def test_a_mutated_log_is_a_trace_or_one_error(data):
    content = bytearray((DATA / "sdk.log").read_bytes()[:6_000])
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=4))
    with contextlib.suppress(TraceError):
        read(bytes(content))


@pytest.mark.skipif(not SHARED.exists(), reason="the real traces are not here")
def test_no_other_log_looks_like_one():
    likeness = next(known.likeness for known in FORMATS if known.name == "sdk")
    for path in [path for path in SHARED.rglob("*") if path.is_file()]:
        assert likeness(Head(path.read_bytes()[:65_536])) == 0, path


@pytest.mark.parametrize("name", ["sdk.log", "sdk_info.log"])
def test_the_format_is_recognised(name):
    assert read_trace(DATA / name).source.format == "sdk"


def test_one_line_of_the_sdk_among_many_of_the_application_is_enough():
    text = "2026-11-24 12:00:00,1 app INFO working\n" * 500 + f"2026-11-24 12:00:01,1 httpx INFO {DONE}\n"
    assert read_trace(io.BytesIO(text.encode())).source.format == "sdk"


# The log against what the server saw. A line is written to a whole millisecond, cut off; what lies between the server's
# account and the log is the SDK's own work and the wait for a processor, with several threads on a busy machine.
CUT = 0.002
WORK = 0.25


def agrees_with_the_server(trace, seen, timeout, refused):
    """Counts, statuses, paths and attempt numbers exactly; starts and ends to the work between server and log."""
    zero = trace.start.timestamp()
    told = trace.attempts[trace.attempts.instance != ""]
    assert len(trace.attempts) - len(told) == refused

    def key_of(one):
        status = None if one.seconds > timeout else one.status  # the server answers when nobody listens any more
        return one.path, attempt_of(one), status

    def key_in(row):
        return row.endpoint.split(" ")[1], row.attempt, None if pd.isna(row.status) else int(row.status)

    rows_of = list(told.itertuples())
    assert Counter(map(key_in, rows_of)) == Counter(map(key_of, seen))
    for key in set(map(key_of, seen)):
        saw = [one for one in seen if key_of(one) == key]
        logged = [row for row in rows_of if key_in(row) == key]
        for row, one in zip(logged, sorted(saw, key=lambda one: one.begun), strict=True):
            assert -CUT < one.begun / 1e9 - zero - row.time < WORK
        if key[2] is None:
            assert all(timeout - CUT < row.latency < timeout + WORK for row in logged)
            continue
        ends = sorted(row.time + row.latency for row in logged)
        for end, one in zip(ends, sorted(one.ended for one in saw), strict=True):
            assert abs(zero + end - one / 1e9) < WORK


def test_the_recorded_log_agrees_with_the_server():
    trace = read_trace(DATA / "sdk.log")
    assert trace.source.has_retries
    agrees_with_the_server(trace, read_truth(DATA / "sdk.truth.csv"), timeout=0.3, refused=2)
    assert set(trace.requests.attempts) == {1, 2}


def counts_at_info_agree(trace, seen, timeout, refused):
    """At INFO an attempt without an answer shows only by its retry: of two attempts the last stays unseen."""
    answered = Counter((one.path, one.status) for one in seen if one.seconds <= timeout)
    unanswered = sum(one.seconds > timeout and attempt_of(one) == 1 for one in seen)
    table = trace.attempts
    has_status = table[table.status.notna()]
    told = Counter((row.endpoint.split(" ")[1], int(row.status)) for row in has_status.itertuples())
    assert told == answered
    assert len(table) - len(has_status) == unanswered + refused // 2
    zero = trace.start.timestamp()
    ends = sorted(one.ended / 1e9 - zero for one in seen if one.seconds <= timeout)
    for time, end in zip(sorted(has_status.time), ends, strict=True):
        assert abs(time - end) < WORK
    assert not trace.source.has_retries


def test_the_log_recorded_at_info_agrees_with_the_server():
    counts_at_info_agree(read_trace(DATA / "sdk_info.log"), read_truth(DATA / "sdk_info.truth.csv"), 0.3, refused=2)


@pytest.mark.parametrize(("layout", "level"), [("", logging.DEBUG), ("%(asctime)s %(name)s %(message)s", logging.INFO)])
def test_the_sdks_of_today_agree_with_the_server(tmp_path, layout, level):
    from recorders import sdk

    made = sdk.run(tmp_path / "sdk.log", level, layout or sdk.NAMED, threads=2, calls=1)
    trace = read_trace(made.log)
    if level == logging.DEBUG:
        assert trace.source.has_retries
        agrees_with_the_server(trace, made.seen, made.timeout, made.refused)
    else:
        counts_at_info_agree(trace, made.seen, made.timeout, made.refused)
    left = trace.attempts.to_csv() + " ".join(map(str, trace.skipped))
    assert sdk.PROMPT not in left and sdk.KEY not in left


def test_a_very_long_address_is_cut():
    trace = read(f'2026-11-24 12:00:00,1 HTTP Request: GET http://x/{"1/" * 2_000} "HTTP/1.1 200 OK"')
    assert len(trace.attempts.endpoint[0]) == 1_000
