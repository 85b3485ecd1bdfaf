"""JMeter's result files as XML: read as a stream, without entities, so that no file can grow in memory.

A sample inside another, a redirect or an embedded resource, is part of the time of the one around it, and is skipped,
as JMeter leaves it out of a CSV. A transaction is skipped, and the samples inside it are taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from xml.parsers import expat

from breakerlab.trace.content import BreaksOff, Content
from breakerlab.trace.errors import BadRow, TraceError
from breakerlab.trace.format import Head
from breakerlab.trace.formats.jtl import SAMPLE, Samples, is_transaction
from breakerlab.trace.skipped import Skipped
from breakerlab.trace.table import Trace

_EXPECTED: Final = "a JMeter result file in XML"
_SAMPLES: Final = ("httpSample", "sample")
_ATTRIBUTES: Final = {
    "ts": "timeStamp",
    "t": "elapsed",
    "lb": "label",
    "rc": "responseCode",
    "rm": "responseMessage",
    "tn": "threadName",
    "dt": "dataType",
    "s": "success",
    "sc": "SampleCount",
}
_CHILDREN: Final = {"java.net.URL": "URL", "method": "method"}
_MAX_TEXT: Final = 10_000
_BLOCK: Final = 2**18
_PIECE: Final = 2**13
_MAX_TOKEN: Final = 2**20
_NEXT: Final = re.compile(rb"<(?:httpSample|sample)[ \t\r\n]")
_ROOT: Final = re.compile(r"<testResults[ >]")


def looks_like_xml(head: Head) -> bool:
    """Whether this is the beginning of a JMeter result file in XML."""
    return head.data[:200].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") and any(
        _ROOT.search(line[:1000]) for line in head.lines[:20]
    )


def read_xml(content: Content) -> Trace:
    """The trace of the samples in it.

    Raises:
        TraceError: no sample is readable.
    """
    reading = _Reading(content.name)
    try:
        reading.feed(content)
    except BreaksOff as end:
        reading.skip(BadRow(None, str(end), f"{_EXPECTED}, readable up to its end"))
    except BadRow as bad:
        reading.skip(bad)
    return reading.finish()


def _pieces(block: bytes) -> Iterator[bytes]:
    """Short pieces, whole lines where lines are short: what is broken is read again from the next sample on."""
    place = 0
    while place < len(block):
        end = block.find(b"\n", place + _PIECE, place + 2 * _PIECE) + 1 or place + _PIECE
        yield block[place:end]
        place = end


class _Reading:
    """What has been read so far."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._samples = Samples()
        self._skipped = Skipped()
        self._added = 0
        self._encoding: str | None = None
        self._lines = 0
        """Lines before the piece that is being read."""
        self._start(0)

    def feed(self, content: Content) -> None:
        """Read it all. A sample that is broken XML costs itself, and the parsing begins anew with the next one."""
        lost = False
        for block in content.blocks(_BLOCK):
            for piece in _pieces(block):
                lost = self._feed_piece(piece, lost)
                self._lines += piece.count(b"\n")
        if not lost:
            try:
                self._parser.Parse(b"", True)
            except expat.ExpatError:
                self._skip_broken("truncated XML")

    def _feed_piece(self, piece: bytes, lost: bool) -> bool:
        """Whether no sample has begun since the last broken one."""
        at = 0
        while True:
            if lost:
                begin = _NEXT.search(piece, at)
                if begin is None:
                    return True
                at = begin.start()
                self._start(self._lines + piece.count(b"\n", 0, at), b"<testResults>")
            fed = self._fed
            try:
                self._parse(piece[at:])
            except expat.ExpatError:
                self._skip_broken("broken XML")
                at, lost = max(at + 1, at + self._parser.ErrorByteIndex - fed), True
            else:
                return False

    def _parse(self, data: bytes) -> None:
        self._fed += len(data)
        try:
            self._parser.Parse(data, False)
        except (LookupError, ValueError):
            raise BadRow(None, "an encoding that is not known", _EXPECTED) from None
        if self._fed - self._parser.CurrentByteIndex > _MAX_TOKEN:  # expat holds a tag until it has seen its end
            raise BadRow(None, f"a tag of more than {_MAX_TOKEN:,} bytes", _EXPECTED)

    def _start(self, lines: int, root: bytes = b"") -> None:
        """A new parser, for what follows so many lines."""
        self._path: list[str] = []
        self._sample: dict[str, str] | None = None
        self._sample_depth = self._sample_line = 0
        self._parser = parser = expat.ParserCreate(self._encoding)
        parser.buffer_text = True
        parser.XmlDeclHandler = self._declare
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self._fed, self._lines_before = 0, lines
        self._parse(root)

    def _skip_broken(self, what: str) -> None:
        begun = None if self._sample is None else self._sample_line
        self.skip(BadRow(None, what, f"{_EXPECTED}, well-formed up to its end"), begun)

    def _line(self) -> int:
        return self._lines_before + self._parser.CurrentLineNumber

    def skip(self, bad: BadRow, line: int | None = None) -> None:
        place = self._line() if line is None else line
        self._skipped.add(TraceError(self._name, place, bad.column, bad.found, bad.expected))

    def finish(self) -> Trace:
        trace = self._samples.trace(self._name, self._added, self._skipped)
        if trace is None:
            first = self._skipped.first
            found = "a result file without a sample" if first is None else f"{first.found} and no readable sample"
            line = None if first is None else first.line
            raise TraceError(self._name, line, None, found, _EXPECTED)
        return trace

    def _declare(self, version: str, encoding: str | None, standalone: int) -> None:
        self._encoding = encoding

    def _refuse(self, *_: object) -> None:
        raise BadRow(None, "a document type declaration", f"{_EXPECTED}, which has none")

    def _begin(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._path.append(tag)
        if len(self._path) > 1_000:
            raise BadRow(None, "elements nested more than 1,000 deep", _EXPECTED)
        if tag not in _SAMPLES:
            return
        line = self._line()
        sample = {name: attributes[short] for short, name in _ATTRIBUTES.items() if short in attributes}
        if is_transaction(sample):
            self._take(sample, line)
        elif self._sample is None:
            self._sample, self._sample_depth, self._sample_line = sample, len(self._path), line
        else:
            self.skip(BadRow(None, "a sample inside another, whose time is part of it", SAMPLE), line)

    def _end(self, tag: str) -> None:
        if self._sample is not None and len(self._path) == self._sample_depth:
            self._take(self._sample, self._sample_line)
            self._sample = None
        self._path.pop()

    def _text(self, text: str) -> None:
        if self._sample is None or len(self._path) != self._sample_depth + 1:
            return
        name = _CHILDREN.get(self._path[-1])
        if name is not None:
            self._sample[name] = (self._sample.get(name, "") + text)[:_MAX_TEXT]

    def _take(self, sample: Mapping[str, str], line: int) -> None:
        try:
            self._samples.add(sample)
            self._added += 1
        except BadRow as bad:
            self.skip(bad, line)
