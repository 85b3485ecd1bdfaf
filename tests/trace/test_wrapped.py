"""Lines as container runtimes keep them are read as the program wrote them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from breakerlab.trace import read_trace

RECORDED = Path(__file__).parents[2] / "data" / "formats"
LOGS = (
    "nginx_json.log",
    "nginx_text.log",
    "combined.log",
    "apache.log",
    "caddy.jsonl",
    "envoy_json.log",
    "haproxy.log",
)


def kubernetes(line: str) -> str:
    return f"2026-11-24T14:02:43.123456789Z stdout F {line}"


def docker(line: str) -> str:
    return json.dumps({"log": line + "\n", "stream": "stdout", "time": "2026-11-24T14:02:43.1Z"}, separators=(",", ":"))


@pytest.mark.parametrize("wrap", [kubernetes, docker])
@pytest.mark.parametrize("name", LOGS)
def test_a_wrapped_log_reads_as_the_log_itself(name: str, wrap) -> None:
    data = (RECORDED / name).read_text(encoding="utf-8")
    wrapped = "\n".join(wrap(line) for line in data.splitlines())
    assert read_trace(io.BytesIO(wrapped.encode())) == read_trace(io.BytesIO(data.encode()))
