"""What no log may do to the readers of Envoy, HAProxy, AWS load balancers and CloudFront."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakerlab.trace import Trace, TraceError, read_trace
from breakerlab.trace.format import Head
from breakerlab.trace.formats import FORMATS

DATA = Path(__file__).parents[3] / "data" / "formats"
SHARED = Path(__file__).parents[4] / "shared" / "traces"
SECRETS = (
    "sk-abcdefghijklmnop1234567890",
    "ann@example.com",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "hunter2hunter2",
)

ENVOY = (
    '[2026-01-24T01:34:36.743Z] "GET /a HTTP/1.1" 503 URX,UF 0 1 226 - "10.0.0.7" "agent" "id" "api" "10.0.2.1:80" c 3'
)
ENVOY_JSON = (
    '{"start_time":"2026-01-24T01:34:36.743Z","method":"GET","path":"/a","response_code":503,"response_flags":"URX",'
    '"duration":20,"upstream_host":"10.0.2.1:80","upstream_cluster":"c","upstream_request_attempt_count":3,'
    '"x-forwarded-for":"10.0.0.7"}'
)
HAPROXY = (
    "lb haproxy[7]: 10.0.0.7:5000 [25/Nov/2026:18:40:08.067] front api/one 0/0/1/20/22 503 307 - - SC-- 1/1/1/1/+2 0/0 "
    '{agent} "GET /a HTTP/1.1"'
)
ALB = (
    "https 2026-11-25T18:40:10.500000Z app/my-lb/50dc 192.0.2.7:2817 10.0.0.1:80 0.050 0.150 0.050 200 200 0 57 "
    '"GET https://www.example.com:443/a HTTP/1.1" "agent" - - arn:aws:elasticloadbalancing:x:1:targetgroup/group/7 '
    '"Root=1-5" "-" "-" 1 2026-11-25T18:40:10.250000Z "forward"'
)
CLOUDFRONT = (
    "2026-03-12\t15:22:28\tCDG50-P2\t703\t192.0.2.7\tGET\td1.cloudfront.net\t/a\t400\t-\tagent\tquery\tcookie\tError\t"
    "id==\twww.example.com\thttps\t62\t0.113"
)
LINES = {"envoy": (ENVOY, ENVOY_JSON), "haproxy": (HAPROXY,), "alb": (ALB,), "cloudfront": (CLOUDFRONT,)}
PIECES = (b'"', b"\\", b"[", b"]", b"/", b"-1", b"\n", b"\t", b" ", b"{", b"}", b"9" * 40, b"nan", b"\0", b"#", b"1")
EVERY = [(name, line) for name, lines in LINES.items() for line in lines]
KINDS = [f"{name}-{place}" for place, (name, _) in enumerate(EVERY)]


def _accounted(name: str, data: bytes) -> Trace | None:
    """The trace, with every line that is not blank or a header among the read or the skipped."""
    try:
        trace = read_trace(io.BytesIO(data), format=name)
    except TraceError:
        return None
    lines = [line for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    if name == "cloudfront":
        lines = [line for line in lines if not line.strip().startswith(b"#") or b"\0" in line]
    assert trace.source.lines + len(trace.skipped) == len(lines)
    assert trace.attempts["request"].nunique() == trace.source.lines
    return trace


@pytest.mark.parametrize(("name", "line"), EVERY, ids=KINDS)
@given(data=st.data())
@settings(max_examples=30)
def test_mutated_lines(name: str, line: str, data: st.DataObject) -> None:
    text = line.encode()
    place = st.integers(0, len(text))
    pieces = st.one_of(st.binary(max_size=6), st.sampled_from(PIECES), place.map(lambda at: text[at : at + 30]))
    mutants = [
        text[:begin] + piece + text[begin + gone :]
        for begin, gone, piece in data.draw(st.lists(st.tuples(place, st.integers(0, 12), pieces), max_size=8))
    ]
    assert _accounted(name, b"\n".join([text, *mutants, text])) is not None


@pytest.mark.parametrize(("name", "line"), EVERY, ids=KINDS)
def test_thousands_of_mutated_lines(name: str, line: str) -> None:
    text, random, mutants = line.encode(), Random(5), []
    for _ in range(3_000):
        mutant = bytearray(text)
        for _ in range(random.randint(1, 3)):
            begin = random.randint(0, len(mutant))
            piece = random.choice([*PIECES, random.randbytes(2), text[begin : begin + random.randint(1, 60)]])
            mutant[begin : begin + random.choice([0, 0, 1, 2, 5, 30])] = piece
        mutants.append(bytes(mutant))
    trace = _accounted(name, b"\n".join([text, *mutants, text]))
    assert trace is not None
    assert 300 < trace.source.lines < 2_900  # the mutants reach past the first check


@pytest.mark.parametrize(("name", "line"), EVERY, ids=KINDS)
@given(data=st.data())
@settings(max_examples=20)
def test_any_bytes(name: str, line: str, data: st.DataObject) -> None:
    _accounted(name, data.draw(st.binary(max_size=200)))


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("character", [*'a"[]{}\\/ -0:,', "\t"])
def test_long_lines_of_one_character(name: str, character: str) -> None:
    """A pattern that tries again at every place would take minutes."""
    for line in LINES[name]:
        padding = character * 200_000
        assert _accounted(name, f"{line}\n{padding}\n{line}{padding[:-1000]}\n{padding[:-1000]}{line}".encode())
    for pair in ('" ', ' "', '\\"', ' "a', ' "\\"', " [", "] ", "/1", "1/"):
        _accounted(name, (LINES[name][0][:90] + pair * 60_000).encode())


@pytest.mark.parametrize(("name", "line"), EVERY, ids=KINDS)
def test_recognised_and_by_no_other(name: str, line: str) -> None:
    likeness = {known.name: known.likeness(Head(line.encode())) for known in FORMATS}
    assert likeness.pop(name) == 1.0
    assert not any(likeness.values())
    assert read_trace(io.BytesIO(line.encode())).source.format == name
    assert read_trace(io.BytesIO(gzip.compress(line.encode() + b"\n"))).source.format == name


@pytest.mark.skipif(not SHARED.exists(), reason="the real logs are not here")
def test_no_log_of_another_kind_is_taken_for_ours() -> None:
    ours = {"envoy.log": "envoy", "haproxy-logs.log": "haproxy"}
    ours |= {"aws-alb-logs.log": "alb", "aws-cloudfront-logs.log": "cloudfront"}
    for path in sorted(SHARED.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            head = Head((gzip.decompress(data) if path.suffix == ".gz" else data)[:65_536])
            liked = {known.name for known in FORMATS if known.name in LINES and known.likeness(head) > 0}
            assert liked == ({ours[path.name]} if path.name in ours else set())


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(("name", "line"), EVERY, ids=KINDS)
def test_no_secret_comes_through(name: str, line: str, secret: str) -> None:
    """Planted where requests, agents, cookies and addresses stand, in lines that are read and lines that are not."""
    planted = [line.replace("/a", f"/a?q={secret}"), line.replace("agent", secret)]
    planted += [line.replace("/a", f"/a/{secret}")] if secret != SECRETS[3] else []
    planted += [line.replace(" 503 ", f" {secret} ").replace(":503", f':"{secret}"').replace("400", secret)]
    planted += [line.replace("10.0.0.7", secret) if secret != SECRETS[3] else line, secret, line[:40] + secret]
    trace = _accounted(name, "\n".join([line, *planted]).encode())
    assert trace is not None
    frames = trace.attempts.to_csv() + trace.requests.to_csv()
    assert secret not in frames + str(trace.source) + "".join(map(str, trace.skipped))


@pytest.mark.parametrize("name", ["haproxy.log", "envoy_text.log", "envoy_json.log", "envoy_default.log"])
def test_recordings_are_small_and_name_no_machine(name: str) -> None:
    data = (DATA / name).read_bytes()
    assert len(data) < 60_000
    trace = read_trace(DATA / name)
    assert set(trace.attempts["client"]) == {"127.0.0.1"}
    assert "key=" not in trace.attempts.to_csv()
