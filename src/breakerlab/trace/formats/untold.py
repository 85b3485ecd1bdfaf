"""What a log does not tell, in the same words for all formats; see `Source.cannot_tell`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from breakerlab.trace.formats.rows import Rows

RETRIES: Final = "retries"
"""Nothing tells a retry from a new request."""
RETRIES_OF_CALLERS: Final = "retries of the callers"
"""Only the tries of the proxy itself are told."""
START_OF_EACH: Final = "start of each attempt"
OUTCOME_BEFORE_LAST: Final = "outcome of the attempts before the last"
TIME_ZONE: Final = "time zone"
SUB_SECOND: Final = "sub-second times"
LATENCY: Final = "latency"
SOME_LATENCY: Final = "latency of some requests"
CLIENT: Final = "client"
ENDPOINT: Final = "endpoint"


def untold(words: Mapping[str, object], rows: Rows) -> tuple[str, ...]:
    """The words that hold, and which of latency, client and endpoint no row tells."""
    whole_columns = {column: not rows.tells(column) for column in (LATENCY, CLIENT, ENDPOINT) if not words.get(column)}
    return tuple(word for word, holds in {**words, **whole_columns}.items() if holds)
