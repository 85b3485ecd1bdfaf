"""OpenTelemetry's own SDK, its instrumentation of httpx and its file exporter, around a caller that tries again."""

from __future__ import annotations

import contextlib
import contextvars
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from recorders.truth import RETRY_COUNT, Run, write_truth
from recorders.witness import Witness

_resends: contextvars.ContextVar[int] = contextvars.ContextVar("resends", default=0)


def run(log: Path, *, names: str = "http", calls: int = 12, with_resends: bool = True) -> Run:
    """Calls before, during and after an outage, four at a time, each tried up to three times below a span of its own.

    `names` is OTEL_SEMCONV_STABILITY_OPT_IN: "http" for the new names of attributes, "" for the old ones.
    """
    result = Run(log, timeout=0.2)
    log.unlink(missing_ok=True)
    with _tracing(log, names, with_resends) as tracer, ThreadPoolExecutor(4) as pool:
        with Witness(slots=2, queue_limit=1) as witness, httpx.Client(timeout=result.timeout) as client:
            url = witness.url
            for slots, count in ((2, calls), (0, 4), (2, calls)):
                witness.set_slots(slots)
                time.sleep(0.05)
                list(pool.map(lambda _: _call(tracer, client, url), range(count)))
            result.seen = list(witness.seen)
        with httpx.Client(timeout=result.timeout) as client:
            result.refused = _call(tracer, client, url)
    return result


def _call(tracer: Any, client: httpx.Client, url: str) -> int:
    with tracer.start_as_current_span("answer"):
        for number in range(3):
            token = _resends.set(number)
            try:
                answer = client.post(
                    f"{url}/v1/chat/completions?key=planted-secret",
                    json={"max_tokens": 3, "prompt": "planted prompt"},
                    headers={RETRY_COUNT: str(number)},
                )
                if answer.status_code < 500:
                    break
            except httpx.HTTPError:
                pass
            finally:
                _resends.reset(token)
            time.sleep(0.05)
        return number + 1


@contextlib.contextmanager
def _tracing(log: Path, names: str, with_resends: bool) -> Iterator[Any]:
    before = os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN")
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = names
    _forget_names()
    from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    def note_resend(span: Any, request: Any) -> None:
        if with_resends and _resends.get():
            span.set_attribute("http.request.resend_count", _resends.get())

    provider = TracerProvider(resource=Resource({"service.name": "example-app"}))
    provider.add_span_processor(BatchSpanProcessor(FileSpanExporter(log), max_export_batch_size=16))
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider, request_hook=note_resend)
    try:
        yield provider.get_tracer("example")
    finally:
        instrumentor.uninstrument()
        provider.shutdown()
        if before is None:
            del os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"]
        else:
            os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = before


def _forget_names() -> None:
    """The instrumentation reads the environment once for a process; here both choices are wanted in one."""
    from opentelemetry.instrumentation import _semconv

    stability = _semconv._OpenTelemetrySemanticConventionStability
    stability._initialized = False
    stability._OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING = {}


def record(folder: Path) -> None:
    """otlp.jsonl with the new names of the attributes, otlp_old.jsonl with the old ones."""
    for name, names in (("otlp", "http"), ("otlp_old", "")):
        log = folder / f"{name}.jsonl"
        made = run(log, names=names, calls=13)
        log.write_text(_without_stacks(log.read_text(encoding="utf-8")), encoding="utf-8")
        write_truth(folder / f"{name}.truth.csv", made.seen, "attempt")


def _without_stacks(lines: str) -> str:
    """Stack traces name the folders of the machine that recorded."""
    return re.sub(r'(Traceback \(most recent call last\):)(?:[^"\\]|\\.)*', r"\1 left out", lines)
