"""What a JMeter sample means, whether it came as CSV or as XML."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.instants import iso_ns
from breakerlab.trace.formats.rows import Rows, outcome_of
from breakerlab.trace.formats.untold import RETRIES, TIME_ZONE, untold
from breakerlab.trace.redaction import described, route
from breakerlab.trace.skipped import Skipped
from breakerlab.trace.table import Source, Trace

SAMPLE: Final = "a JMeter sample"

_NO_RESPONSE: Final = "Non HTTP response code"
_TRANSACTION: Final = "Number of samples in transaction"
_NEVER_SENT: Final = ("ConnectionPoolTimeout", "URISyntax", "MalformedURL", "IllegalArgument", "UnsupportedScheme")
_TIMED_OUT: Final = "TimeoutException"
_GONE: Final = ("InterruptedIO", "InterruptedException", "RequestAborted")
_CLOSED: Final = ("socket closed", "closed by interrupt", "interrupted")
_MILLISECOND: Final = 1_000_000
_DIGITS: Final = re.compile(r"\d{1,19}", re.ASCII)


class Samples:
    """The samples so far. A sample is a mapping by the names of JMeter's CSV columns; what it lacks is absent."""

    def __init__(self) -> None:
        self._rows = Rows()
        self._route = lru_cache(10_000)(route)  # of this log only: addresses may hold secrets
        self._failed_assertions = 0
        self._lacking = {"status", "outcome", TIME_ZONE}

    def add(self, sample: Mapping[str, str]) -> None:
        """Add one; raises BadRow if it cannot be read, or would count others twice."""
        if is_transaction(sample):
            raise BadRow(None, "a transaction, the sum of samples that have rows of their own", SAMPLE)
        count = sample.get("SampleCount", "1")
        if count not in ("1", ""):
            raise BadRow("SampleCount", described(count), "1: a row that sums up several samples tells none of them")
        start, has_zone = _start(sample.get("timeStamp", ""))
        elapsed = _elapsed(sample.get("elapsed"))
        status, outcome = _result(sample)
        client, endpoint = sample.get("threadName", ""), _endpoint(sample, self._route)
        self._rows.add(
            start=start, latency=elapsed, status=status, outcome=outcome, client=client.strip(), endpoint=endpoint
        )
        self._failed_assertions += outcome == "ok" and sample.get("success", "").lower() == "false"
        told = {"status": "responseCode" in sample, TIME_ZONE: has_zone}
        told["outcome"] = told["status"] or "success" in sample
        self._lacking -= {what for what, is_told in told.items() if is_told}

    def trace(self, name: str, lines: int, skipped: Skipped) -> Trace | None:
        """The trace of them all; None if there is none."""
        words = {RETRIES: True, **dict.fromkeys(sorted(self._lacking), True)}
        facts = {"failed_assertions": self._failed_assertions} if self._failed_assertions else {}
        source = Source(name, "jmeter", False, untold(words, self._rows), lines, facts)
        return self._rows.trace(source, skipped)


def is_transaction(sample: Mapping[str, str]) -> bool:
    """Whether this is the row of a transaction controller, which sums up the samples inside it."""
    message = sample.get("responseMessage")
    if message is not None:
        return message.startswith(_TRANSACTION)
    return sample.get("URL") == "null" and sample.get("dataType") == ""


def _start(text: str) -> tuple[int, bool]:
    """JMeter writes ms since 1970, or, set to a date format, local time without its zone."""
    if _DIGITS.fullmatch(text):
        return int(text) * _MILLISECOND, True
    return iso_ns(text)


def _elapsed(text: str | None) -> float | None:
    if text is None:
        return None
    if not _DIGITS.fullmatch(text):
        raise BadRow("latency", described(text), "milliseconds, 0 or more")
    return int(text) / 1_000


def _result(sample: Mapping[str, str]) -> tuple[int | None, str]:
    """Status and outcome. An assertion that failed does not change what the service answered."""
    code, success = sample.get("responseCode", ""), sample.get("success", "").lower()
    if success not in ("", "true", "false"):
        raise BadRow("outcome", described(success), "true or false")
    if len(code) == 3 and code.isascii() and code.isdigit() and code >= "100":
        return int(code), outcome_of(int(code))
    if code.startswith(_NO_RESPONSE):
        return None, _failure(code, sample.get("responseMessage", ""))
    if code.isascii() and code.isdigit() and not success:
        raise BadRow("status", described(code), "an HTTP status of three digits")
    return None, "error" if success == "false" else "ok"


def _failure(code: str, message: str) -> str:
    """The outcome that a Java exception stands for; its name may be anything, and most are about the connection."""
    message = message.lower()
    if any(name in code for name in _NEVER_SENT):
        return "rejected"
    if _TIMED_OUT in code:
        return "timeout"
    if any(name in code for name in _GONE) or any(words in message for words in _CLOSED):
        return "cancelled"
    return "connection"


def _endpoint(sample: Mapping[str, str], route_of: Callable[[str], str]) -> str:
    """The route of the address; without one the label, which is whatever the author of the test wrote."""
    url, method = sample.get("URL", ""), sample.get("method", "")
    if url and url != "null":
        return f"{method} {url}" if method else route_of(url)
    label = sample.get("label", "")
    return route_of(label) if "://" in label and " " not in label else label
