"""nginx JSON read by the block against the same read by line: the same rows, the same reasons, the same facts."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakerlab.trace.content import Content
from breakerlab.trace.errors import TraceError
from breakerlab.trace.formats import nginx, nginx_columns
from breakerlab.trace.formats.nginx import Reading
from breakerlab.trace.formats.rows import Rows
from breakerlab.trace.schema import MAX_LINE, OUTCOMES
from breakerlab.trace.table import Trace

NEVER = 2**60


def read(data: bytes, small: int, block: int = 1 << 12) -> Trace | str:
    try:
        return Reading("log", small=small, block=block).read(Content("log", io.BytesIO(data)))
    except TraceError as error:
        return str(error)


def check_same(data: bytes, block: int = 1 << 12) -> Trace | str:
    by_block, by_line = read(data, 0, block), read(data, NEVER)
    if isinstance(by_block, str) or isinstance(by_line, str):
        assert by_block == by_line
        return by_block
    pd.testing.assert_frame_equal(by_block.attempts, by_line.attempts)
    assert by_block.source == by_line.source
    assert by_block.start == by_line.start
    assert list(map(str, by_block.skipped)) == list(map(str, by_line.skipped))
    return by_block


def usual(**changes: object) -> dict[str, object]:
    return {
        "msec": "1795631975.759",
        "remote_addr": "10.0.0.1",
        "request": "GET /v1/items/7?key=secret HTTP/1.1",
        "status": "200",
        "request_time": "0.122",
        "upstream_addr": "127.0.0.1:1",
        "upstream_status": "200",
        "upstream_response_time": "0.121",
        "upstream_connect_time": "0.000",
        "upstream_header_time": "0.120",
        "upstream_http_retry_after": "",
    } | changes


def several(**changes: object) -> dict[str, object]:
    return usual(
        upstream_addr="127.0.0.1:1, 127.0.0.1:2 : 127.0.0.1:3",
        upstream_status="502, 503 : 200",
        upstream_response_time="0.001, 0.020 : 0.100",
        upstream_connect_time="-, 0.000 : 0.000",
        upstream_header_time="-, 0.020 : 0.100",
        **changes,
    )


def itself(**changes: object) -> dict[str, object]:
    """A request that nginx answered itself."""
    blank = {key: "" for key in usual() if key.startswith("upstream")}
    return usual(status="429", request_time="0.000", **blank) | changes


@pytest.fixture(scope="module", autouse=True)
def however_many_are_odd() -> Iterator[None]:
    """Also a block of few lines, most of them odd, is not left to the reading by line as a whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nginx, "MOST_ODD", 1)
        yield


LINES = st.sampled_from((usual(), several(), itself()))
ODD_STATUSES = ("", "-", "0", "000", "009", "499", "502", "504", "1e2", "+20", "-1", "502, 200", "- : -", "true", "{}")
ODD_NUMBERS = ("nan", "inf", "0.5", ".5", "1_0", " 0.5", "5.", "0.001, 0.002", "0.001,0.002", "0.1 :", "120", "3.5")
LONG_NUMBERS = ("0.1234567890123456789", "1000000.0", "1e400", "9" * 400)
ODD_TIMES = (
    "1795631975",
    "1795631975.7",
    "1795631975.7591",
    "1795631975759",
    "2026-11-24T14:00:00+01:00",
    "2026-11-24T14:00:00",
    "2026-11-24T14:00:00.25Z",
    "10/Oct/2000:13:55:36 -0700",
    "[10/Oct/2000:13:55:36 -0700]",
    "99/Oct/2000:13:55:36 -0700",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "Fri, 31 Dec 1999 23:59:59 GMT",
)
ODD_WORDS = (
    "127.0.0.1:9, group",
    "group",
    "unix:/tmp/socket",
    "GET /",
    "GET http://h/a?b",
    "/only",
    "\x16\x03",
    "POST",
)
STRANGE_WORDS = ("\u00e9 /\u00fc", "GET x?u=http://h/", "a b c d", "\x00", "\u2028")
ODD_TEXT = st.sampled_from((*ODD_STATUSES, *ODD_NUMBERS, *LONG_NUMBERS, *ODD_TIMES, *ODD_WORDS, *STRANGE_WORDS))
ODD_VALUES = st.one_of(
    ODD_TEXT,
    st.sampled_from(
        [None, True, False, 0, 1, 200, 503.0, 0.5, -1, 10**20, 10**400, 1e300, 1795631975.759, [], ["a"], {}]
    ),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-10, 10**11),
    st.text(max_size=6),
)
KEYS = st.sampled_from(
    [*usual(), "time", "timestamp", "uri", "request_method", "response", "other", "sent_http_retry_after"]
)


@st.composite
def logs(draw: st.DrawFn) -> bytes:
    shape = draw(st.sampled_from((usual(), {**usual(), "time": "2026-11-24T14:00:00Z"}, itself(other=1))))
    dropped = draw(st.one_of(st.just(set()), st.just(set()), st.sets(KEYS, max_size=2)))
    shape = [key for key in shape if key not in dropped]
    if draw(st.booleans()):
        shape[:0] = ["uri", "request_method"]
    lines = []
    for _ in range(draw(st.integers(1, 20))):
        source = {**draw(LINES), "time": "2026-11-24T14:00:00Z", "uri": "/a", "request_method": "GET"}
        row = {key: source.get(key, "") for key in shape}
        for key in draw(st.lists(KEYS, max_size=2)) if draw(st.integers(0, 4)) == 0 else ():
            if key in row or draw(st.integers(0, 20)) == 0:
                row[key] = draw(ODD_VALUES)
        line = json.dumps(row, ensure_ascii=draw(st.booleans())).encode("utf-8", "replace")
        lines.append(
            draw(st.sampled_from([line] * 150 + [line[:-1], b"", b" " + line, line + b"\r", b"\xff", b"[1]", line * 2]))
        )
    return b"\n".join(lines)


@settings(max_examples=80, deadline=None)
@given(logs())
def test_both_readings_give_the_same(data: bytes) -> None:
    check_same(data)


def a_log(lines: int) -> bytes:
    """Lines of every usual kind, with one odd one now and then."""
    dice = np.random.default_rng(5)
    kinds = (usual, several, itself)
    rows = [
        kinds[dice.integers(3)](
            msec=f"{1795631975 + number / 100:.3f}",
            request=f"GET /v1/items/{dice.integers(9)} HTTP/1.1",
            remote_addr=f"10.0.0.{dice.integers(9)}",
            status=str(dice.choice([200, 499, 502, 503])),
        )
        for number in range(lines)
    ]
    for place in range(100, lines, 700):
        rows[place]["request_time"] = "1,5"
    return b"\n".join(json.dumps(row).encode() for row in rows)


def test_a_usual_log_is_read_by_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    data = a_log(3_000)
    taken: list[int] = []
    of = nginx_columns.Block.add_to
    monkeypatch.setattr(
        nginx_columns.Block, "add_to", lambda self, rows, a, b: (taken.append(b - a), of(self, rows, a, b))[1]
    )
    trace = check_same(data, block=1 << 16)
    assert isinstance(trace, Trace)
    assert sum(taken) == 3_000 - 5
    assert [error.line for error in trace.skipped] == [101, 801, 1501, 2201, 2901]


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [*lines, b'{"a":1,"status":"200","msec":"1795631975.759","request_time":"0.1"}'],
        lambda lines: [*lines[:5], b"", *lines[5:]],
        lambda lines: [*lines[:5], b"x" * (MAX_LINE + 1), *lines[5:]],
        lambda lines: [*lines[:5], lines[0][:-1] + b',"pad":"' + b"x" * MAX_LINE + b'"}', *lines[5:]],
        lambda lines: [*lines[:5], lines[0].replace(b"{", b'{"upstream_header_time":1,'), *lines[5:]],
        lambda lines: [lines[0].replace(b'"status": "200"', b'"status": "200", "status": "503"'), *lines],
        lambda lines: [*lines, b'{"deep":' + b"[" * 2000 + b"]" * 2000 + lines[0].replace(b"{", b",")],
        lambda lines: [*lines, b'{"msec":"\\ud800","status":1}'],
        lambda lines: [json.dumps({**json.loads(lines[0]), "request": "GET /\u0000"}).encode(), *lines],
        lambda lines: [json.dumps(itself(upstream_addr=", ".join(["b:1"] * 33_000))).encode(), *lines],
        lambda lines: [
            json.dumps(
                several() | {key: ", ".join([value] * 33_000) for key, value in (
                    ("upstream_addr", "b:1"), ("upstream_status", "502"), ("upstream_response_time", "0.001"),
                    ("upstream_connect_time", "-"), ("upstream_header_time", "-"))}
            ).encode(),
            *lines,
        ],
    ],
)  # fmt: skip
def test_what_the_block_cannot_hold_is_read_by_line(change: object) -> None:
    lines = [json.dumps(usual(remote_addr=f"10.0.0.{number}")).encode() for number in range(60)]
    check_same(b"\n".join(change(lines)), block=1 << 22)  # type: ignore[operator]


def test_a_key_that_stands_twice_makes_a_bad_line() -> None:
    line = json.dumps(usual()).encode()
    twice = line.replace(b'"status": "200"', b'"status": "503", "status": "200"', 1)
    trace = check_same(b"\n".join((line, twice, line)))
    assert isinstance(trace, Trace)
    assert [error.found for error in trace.skipped] == ["a key that stands twice"]


def test_extend_adds_what_add_adds() -> None:
    one, many = Rows(), Rows()
    for rows in (one, many):
        rows.add(start=10**18, latency=1.0, status=200, client="a", endpoint="GET /x", request=rows.new_request())
    for latency, status, client in ((0.5, 503, "b"), (None, None, "a")):
        one.add(start=10**18 + 5, latency=latency, status=status, client=client, endpoint="GET /y/7")
    many.extend(
        start=np.array([10**18 + 5] * 2),
        latency=np.array([0.5, np.nan]),
        status=np.array([503, 0]),
        outcome=np.array([OUTCOMES.index("error"), OUTCOMES.index("connection")]),
        request=np.array([0, 1]),
        attempt=np.array([1, 1]),
        retry_after=np.full(2, np.nan),
        client=many.codes("client", ["b", "a"]),
        endpoint=many.codes("endpoint", ["GET /y/7"] * 2),
        instance=None,
    )
    assert one.new_request() == many.new_request() == 3
    from breakerlab.trace.skipped import Skipped
    from breakerlab.trace.table import Source

    left, right = (rows.trace(Source(), Skipped()) for rows in (one, many))
    assert left is not None and right is not None
    pd.testing.assert_frame_equal(left.attempts, right.attempts)


@pytest.mark.parametrize(("column", "value"), [("start", -1), ("latency", -0.1), ("status", 42), ("attempt", 0)])
def test_extend_adds_nothing_that_is_out_of_range(column: str, value: float) -> None:
    rows = Rows()
    columns: dict[str, object] = {
        "start": np.array([10**18]),
        "latency": np.array([1.0]),
        "status": np.array([200]),
        "outcome": np.array([0]),
        "request": np.array([0]),
        "attempt": np.array([1]),
        "retry_after": np.array([np.nan]),
        "client": rows.codes("client", [""]),
        "endpoint": rows.codes("endpoint", [""]),
        "instance": None,
    }
    with pytest.raises(ValueError, match=column):
        rows.extend(**{**columns, column: np.array([value])})  # type: ignore[arg-type]
    assert len(rows) == 0


@pytest.mark.parametrize("small", [0, NEVER])
def test_what_was_whole_before_a_packed_log_breaks_off_is_kept(small: int) -> None:
    lines = a_log(900).split(b"\n")
    packed = gzip.compress(b"\n".join(lines))[:-20]
    trace = read(packed, small, block=1 << 16)
    assert isinstance(trace, Trace)
    assert [error.found for error in trace.skipped][-1] == "the end of the file inside gzip data"
    kept = trace.source.lines + len(trace.skipped) - 1
    assert 850 < kept <= 900
    assert trace.skipped[-1].line == kept + 1
