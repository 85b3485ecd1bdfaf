"""Apache, Traefik and Caddy: what real programs wrote against what the server saw, secrets, and broken bytes."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorders import apache, caddy, callers
from recorders.witness import Witness

from breakerlab.trace import TraceError, read_trace
from breakerlab.trace.format import Head
from breakerlab.trace.formats import FORMATS

ROOT = Path(__file__).parents[3]
RECORDED = ROOT / "data/formats"
SHARED = ROOT.parent / "shared/traces"

# What a log cannot say better: Apache cuts its times to microseconds or seconds, Caddy's are floats of today.
RESOLUTION = {"apache.log": 1e-6, "apache_plain.log": 1.0, "caddy.jsonl": 1e-6}


@pytest.mark.parametrize("name", RESOLUTION)
def test_a_recording_equals_what_the_server_and_the_callers_saw(name):
    trace = read_trace(RECORDED / name)
    told = callers.read(RECORDED / f"{name.split('.')[0].removesuffix('_plain')}.truth.csv")
    assert callers.disagreements(trace, told, resolution=RESOLUTION[name], slack=0.001) == []
    assert trace.skipped == ()
    lines = (RECORDED / name).read_bytes().count(b"\n")
    assert trace.source.lines == len(trace.attempts) == lines
    assert trace.attempts["latency"].notna().all()


def test_the_comparison_notices():
    told = callers.read(RECORDED / "caddy.truth.csv")
    entries = [json.loads(line) for line in (RECORDED / "caddy.jsonl").read_text().splitlines()]

    def wrong(change):
        lines = [json.dumps(entry | change(entry)) for entry in entries]
        trace = read_trace(io.BytesIO("\n".join(lines).encode()))
        return callers.disagreements(trace, told, resolution=1e-6, slack=0.001)

    assert wrong(lambda entry: {}) == []
    assert wrong(lambda entry: {"ts": entry["ts"] + entry["duration"]})
    assert wrong(lambda entry: {"ts": entry["ts"] - 0.005})
    assert wrong(lambda entry: {"duration": entry["duration"] * 1.5})
    assert wrong(lambda entry: {"duration": entry["duration"] / 10})
    assert wrong(lambda entry: {"status": 200 if entry["status"] == 503 else entry["status"]})


# A busy machine may be late in writing a line; what is checked exactly is the recording above.
LATE = 0.2


def test_apache_as_it_is_installed_here():
    with Witness() as witness, apache.running(witness) as proxy:
        told = callers.drive(proxy.url, witness, calm=20)
        traces = {name: read_trace(proxy.log(name), format="apache") for name in apache.LOG_FORMATS}
        found = {name: max((kind.likeness(_head(proxy.log(name))), kind.name) for kind in FORMATS) for name in traces}
    assert callers.disagreements(traces["recommended"], told, resolution=1e-6, slack=LATE) == []
    latency = traces["recommended"].attempts.sort_values(["latency"])["latency"].to_numpy()
    for name in ("combined_d", "vhost_d", "common_d", "seconds_d"):
        assert callers.disagreements(traces[name], told, resolution=1.0, slack=LATE) == []
        assert sorted(traces[name].attempts["latency"]) == latency.tolist()
    assert sorted(traces["labelled"].attempts["latency"]) == pytest.approx(latency, abs=0.001)
    for name in ("milliseconds", "combinedio", "combined", "common"):
        assert traces[name].attempts["latency"].isna().all()
        assert "latency" in traces[name].source.cannot_tell
    for name in ("recommended", "combined_d", "vhost_d", "common_d", "seconds_d", "labelled"):
        assert found[name] == (1.0, "apache")
    assert found["combinedio"] == (0.2, "apache")


def test_caddy_as_it_is_installed_here():
    with Witness() as witness, caddy.running(witness) as (url, log):
        told = callers.drive(url, witness, calm=20)
        trace = read_trace(log)
    assert callers.disagreements(trace, told, resolution=1e-6, slack=LATE) == []


TIME = "[24/Nov/2026:14:02:43 +0000]"
CLF = f'192.0.2.7 - - {TIME} "GET /a?b HTTP/1.1" 200 414 "-" "x" 5 "a@docker" "http://10.0.0.3:80" 2ms'
TRAEFIK = json.dumps(
    {
        "StartUTC": "2026-11-24T14:02:43.587782192Z", "Duration": 3000, "OriginDuration": 1000, "RetryAttempts": 2,
        "DownstreamStatus": 200, "OriginStatus": 200, "RequestMethod": "GET", "RequestPath": "/a", "ClientHost": "::1",
        "RouterName": "a@docker", "ServiceName": "b@docker", "ServiceURL": {"Host": "10.0.0.3:80"},
    }
)  # fmt: skip
PLANTED = ("sk-live-abcdefghijklmnop", "bob@example.com", "eyJhbGciOiJIUzI1NiJ9.e30.xyz", "tellnobody")


def test_no_secret_leaves_a_reader():
    secrets = " ".join(PLANTED)
    path = f"/v1/{PLANTED[0]}/{PLANTED[1]}/{PLANTED[2]}?x={PLANTED[3]}"
    logs = {
        "apache": f'1.2.3.4 - {PLANTED[3]} {TIME} "GET {path} HTTP/1.1" 200 1 "{path}" "{secrets}" 9999',
        "traefik": json.dumps(
            json.loads(TRAEFIK)
            | {"RequestPath": path, "ClientHost": PLANTED[1], "ServiceName": PLANTED[0], "ClientUsername": PLANTED[3]}
            | {"request_Authorization": secrets, "RouterName": PLANTED[2]}
        )
        + "\n"
        + CLF.replace("/a?b", path).replace('"x"', f'"{secrets}"').replace("a@docker", PLANTED[1]),
        "caddy": json.dumps(
            {"ts": 1795632161.8, "duration": 0.1, "status": 200, "user_id": PLANTED[3]}
            | {"request": {"method": "GET", "uri": path, "remote_ip": PLANTED[1], "headers": {"Cookie": [secrets]}}}
        ),
    }  # fmt: skip
    for name, log in logs.items():
        bad = [line.replace("2026", "x026").replace('"Duration": ', '"Duration": -') for line in log.split("\n")]
        trace = read_trace(io.BytesIO("\n".join([log, *bad, secrets]).encode()), format=name)
        everything = trace.attempts.to_csv() + repr(trace) + repr(trace.skipped) + repr(trace.source)
        for category in ("service", "client", "endpoint"):
            everything += repr(list(trace.attempts[category].cat.categories))
        assert [secret for secret in PLANTED if secret in everything] == []


LINES = [
    *(line.encode() for line in (CLF, TRAEFIK)),
    *((RECORDED / name).read_bytes().splitlines()[k] for name in RESOLUTION for k in (0, -1)),
]


@st.composite
def mutated(draw):
    """A few lines of all three formats, with bytes changed, parts cut out, doubled and swapped."""
    lines = draw(st.lists(st.sampled_from(LINES), min_size=1, max_size=5))
    data = bytearray(b"\n".join(lines))
    for _ in range(draw(st.integers(1, 4))):
        a, b = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        change = draw(st.sampled_from(["put", "cut", "double", "junk", "swap"]))
        if change == "put":
            data[a : a + 1] = draw(
                st.sampled_from([b"9" * 30, b'"', b"\\", b"-", b"[", b"{", b"null", b"1e999", b"\xff"])
            )
        elif change == "cut":
            del data[a : min(b, a + 30)]
        elif change == "double":
            data[a:a] = data[a : min(b, a + 100)]
        elif change == "junk":
            data[a:a] = draw(st.binary(max_size=8))
        else:
            data[a:b] = data[b:] + data[a:b]
    return bytes(data)


@settings(max_examples=150, deadline=None)
@given(mutated(), st.sampled_from(["apache", "traefik", "caddy"]))
def test_whatever_the_bytes_every_line_is_accounted_for(data, name):
    lines = sum(1 for line in data.split(b"\n") if line.strip())
    for kind in FORMATS:
        assert 0.0 <= kind.likeness(Head(data)) <= 1.0
    try:
        trace = read_trace(io.BytesIO(data), format=name)
    except TraceError as error:
        assert str(error).startswith("<buffer>")
        return
    assert trace.source.lines + sum(error.lines for error in trace.skipped) == lines
    assert trace.attempts["request"].nunique() == trace.source.lines


@pytest.mark.parametrize("name", ["apache", "traefik", "caddy"])
@pytest.mark.parametrize("piece", [b"9", b'"', b"\\", b" ", b'[24/Nov/2026:14:02:43 +0000] "', b'" 5 "', b"{", b"1 "])
def test_a_long_line_of_one_thing_does_not_hang_a_reader(name, piece):
    beginning = b'192.0.2.7 - - [24/Nov/2026:14:02:43 +0000] "GET / HTTP/1.1" 200 414 "'
    data = beginning + piece * ((2**20 - 100) // len(piece)) + b"\n" + beginning + b'-" "-" 5 "a" "b" 2ms'
    with contextlib.suppress(TraceError):
        read_trace(io.BytesIO(data), format=name)  # quadratic time would be minutes, and end the run


@pytest.mark.skipif(not SHARED.exists(), reason="the shared traces are not here")
def test_foreign_logs_are_not_ours():
    ours = {"traefik_clf.log": "traefik", "traefik_json.log": "traefik", "caddy-logs.log": "caddy"}
    for path in sorted(SHARED.rglob("*.*")):
        data = path.read_bytes()
        head = Head((gzip.decompress(data) if path.suffix == ".gz" else data)[:65536])
        for kind in FORMATS:
            if kind.name in ("apache", "traefik", "caddy"):
                likeness = kind.likeness(head)
                assert likeness > 0.5 if ours.get(path.name) == kind.name else likeness <= 0.2


def _head(path: Path) -> Head:
    return Head(path.read_bytes()[:65536])
