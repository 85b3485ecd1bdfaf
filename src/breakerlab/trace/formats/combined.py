"""The "common" and "combined" logs that nginx, Apache and others write unless told otherwise: no latency in them.

    192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 2326 "https://example.com/" "Mozilla/5.0"

Times are whole seconds, the end of a request with nginx and its start with Apache; the lines do not tell which.
"""

from __future__ import annotations

import re
from typing import Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.common_log import clf_ns, common_line, common_line_in, endpoint_in, fields_in
from breakerlab.trace.formats.reading import LineReading, line_format, share_of
from breakerlab.trace.formats.rows import Rows, status_code
from breakerlab.trace.formats.untold import RETRIES, SUB_SECOND
from breakerlab.trace.table import Trace

_ERROR_LOG: Final = re.compile(
    rb"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9:]{8} \[[a-z]+\] |\[[A-Z][a-z]{2} [A-Z][a-z]{2} [0-9]{2} [0-9:.]+ [0-9]{4}\] "
)


class _Reading(LineReading):
    """What has been read so far of one log."""

    expected = "a line of the combined log format"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rows = Rows()

    def take_line(self, number: int, line: bytes) -> None:
        if _ERROR_LOG.match(line):
            raise BadRow(None, "a line of an error log", self.expected)
        found = common_line(line, self.expected)
        self._rows.add(
            start=clf_ns(found.time),
            latency=None,
            status=status_code(found.status),
            client=found.client,
            endpoint=endpoint_in(found.request.partition("?")[0]),
        )

    def finish(self) -> Trace | None:
        words = {RETRIES: True, SUB_SECOND: True, "whether times are starts or ends": True}
        return self.trace_of(self._rows, "combined", words)


def _is_ours(text: str) -> bool:
    """Nothing but quoted values, or words that are no numbers, stands behind the size."""
    line = common_line_in(text)
    if line is None:
        return False
    return not any(field.name or (not field.quoted and field.text[:1].isdigit()) for field in fields_in(line.rest))


FORMAT: Final = line_format("combined", "the common or combined access log", share_of(_is_ours), _Reading)
