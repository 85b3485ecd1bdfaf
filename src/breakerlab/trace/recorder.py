"""The recorder: one line when an attempt begins, one when it ends, so that a killed process loses no attempt.

Standard library only, so that a service can record without pandas.
"""

from __future__ import annotations

import contextlib
import operator
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import SupportsFloat, SupportsIndex

from breakerlab.trace.header import header_line, line_of, object_in, start_in
from breakerlab.trace.schema import FIELDS, cleaned, shown

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_TAIL = 65_536


class Recorder:
    """Writes the attempts and events of one process to one file of JSON lines, which `read_trace` reads.

    A new file gets a header with the UTC time at which its time axis begins. An existing recording is continued on
    its own time axis, so a restarted process opens the same path again; its header, with the `source` in it, stays.

    - Threads may share a recorder; lines stand in the file in order of time.
    - Every line is handed to the operating system whole, in one write to the end of the file. When the process is
      killed, all that was begun is in the file. (A power cut may lose the last seconds: nothing is synced to disk.)
    - A forked child must open a recorder of its own, on another file; using its parent's raises `RuntimeError`.
    - Only the named fields can be stored. The query string of an endpoint is cut off, as are characters that do not
      print and text beyond 1,000 characters.

    Args:
        path: the file; its folder must exist.
        source: facts about the recording for the header, anything that JSON can hold.
        start: the zero of the time axis, an aware datetime; several processes with a file each share one axis by it.
            Without it, the moment at which the file is created.
        clock: seconds from a clock that never goes back.
        wall: seconds since 1970 (UTC); read once, at opening.

    Raises:
        OSError: the file cannot be opened or written.
        ValueError: the existing file is no recording or begins at another `start`, or a value is out of its range.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        source: Mapping[str, object] | None = None,
        start: datetime | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if start is not None and start.tzinfo is None:
            raise ValueError("start has no time zone; give an aware datetime, for example datetime.now(UTC).")
        self._path = os.fspath(path)
        self._clock = clock
        self._lock = threading.RLock()  # a signal handler may record while its own thread holds the lock
        self._process = os.getpid()
        self._ids = secrets.token_hex(6)
        self._begun = 0
        self._torn = False
        self._closed = False
        opened_wall, self._opened = wall(), clock()
        opened = _UNIX_EPOCH + timedelta(seconds=opened_wall)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
        try:
            with _locked(self._file):
                if os.fstat(self._file).st_size == 0:
                    self._start = (start or opened).astimezone(UTC)
                    self._write(header_line(self._start, source))
                    last = float("-inf")
                else:
                    self._start = _start_of_recording(self._file, self._path, start)
                    last, self._torn = _end_of_recording(self._file)
        except BaseException:
            os.close(self._file)
            raise
        # The wall clock may have been set back since the last line; time on the axis never goes back.
        self._offset = max((opened - self._start).total_seconds(), last)

    @property
    def start(self) -> datetime:
        """The UTC time at which the time axis begins."""
        return self._start

    def now(self) -> float:
        """Seconds since `start`."""
        return self._offset + (self._clock() - self._opened)

    def begin(
        self,
        *,
        service: str,
        request: SupportsIndex,
        attempt: SupportsIndex,
        client: str = "",
        endpoint: str = "",
        due: SupportsFloat | None = None,
        instance: str | None = None,
        tokens_in: SupportsIndex | None = None,
        tokens_out: SupportsIndex | None = None,
        idempotent: bool | None = None,
    ) -> str:
        """Record that an attempt begins now, and return its id for `end`.

        Args:
            service: who is called, for example "llm".
            request: number of the logical request, 0 or more.
            attempt: 1 for the first attempt of the request on this service.
            client: the process or instance that sends it.
            endpoint: method and route, or model.
            due: when the caller meant to send it, in seconds since `start`; its latency then counts from there.
            instance: the instance that is called.
            tokens_in: tokens sent.
            tokens_out: tokens asked for.
            idempotent: whether it may safely be sent twice.
        """
        fields: dict[str, object] = {
            "service": cleaned(service),
            "request": operator.index(request),
            "attempt": operator.index(attempt),
            "client": cleaned(client),
            "endpoint": cleaned(endpoint),
        }
        if due is not None:
            fields["due"] = float(due)
        if instance is not None:
            fields["instance"] = cleaned(instance)
        if tokens_in is not None:
            fields["tokens_in"] = operator.index(tokens_in)
        if tokens_out is not None:
            fields["tokens_out"] = operator.index(tokens_out)
        if idempotent is not None:
            fields["idempotent"] = idempotent
        _check(fields)
        with self._usable():
            self._begun += 1
            fields["id"] = identity = f"{self._ids}-{self._begun}"
            self._record("begin", fields)
        return identity

    def end(
        self,
        id: str,
        *,
        outcome: str,
        status: SupportsIndex | None = None,
        retry_after: SupportsFloat | None = None,
    ) -> None:
        """Record that the attempt `id` ends now.

        Args:
            id: what `begin` returned.
            outcome: a word of the trace schema: "ok", "error", "throttled", "client_error", "timeout", "connection",
                "rejected", "cancelled" or "lost".
            status: the HTTP status, if there was one.
            retry_after: seconds that the server asked to wait, if it did.
        """
        fields: dict[str, object] = {
            "id": id,
            "outcome": outcome,
            "status": None if status is None else operator.index(status),
            "retry_after": None if retry_after is None else float(retry_after),
        }
        _check(fields)
        with self._usable():
            self._record("end", fields)

    def event(self, kind: str, value: SupportsFloat, *, instance: str = "") -> None:
        """Record what happens beside the calls, now.

        Args:
            kind: "pool" (value: workers in use), "health" (1 the probe passed, 0 it failed), "restart" (1 the
                instance is killed, 0 it accepts connections again) or "breaker" (0 closed, 1 open, 2 half-open).
            value: see `kind`.
            instance: whom it happens to.
        """
        fields: dict[str, object] = {"event": kind, "instance": cleaned(instance), "value": float(value)}
        _check(fields)
        with self._usable():
            self._record("event", fields)

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        if self._process != os.getpid():
            return
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._file)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        # Asked before the lock is taken: a fork copies a lock that another thread may hold, and nobody frees it.
        if self._process != os.getpid():
            raise RuntimeError(
                f"The recorder of {self._path} belongs to process {self._process}; "
                "a forked process must open its own recorder, on another file."
            )
        with self._lock:
            if self._closed:
                raise ValueError(f"The recorder of {self._path} is closed.")
            yield

    def _record(self, kind: str, fields: dict[str, object]) -> None:
        """Time is read under the lock, so that the order of lines is the order of time."""
        self._write(line_of({"kind": kind, "t": round(self.now(), 6), **fields}))

    def _write(self, line: bytes) -> None:
        if self._torn:
            line = b"\n" + line
        self._torn = True
        written = os.write(self._file, line)
        while written < len(line):  # the disk is nearly full
            written += os.write(self._file, line[written:])
        self._torn = False


_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _check(fields: Mapping[str, object]) -> None:
    for name, value in fields.items():
        field = FIELDS[name]
        if not field.accepts(value):
            raise ValueError(f"{name} is {shown(value)}, expected {field.expected}.")


@contextlib.contextmanager
def _locked(file: int) -> Iterator[None]:
    """While one process looks whether the file is new and writes its header, others that open it wait."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)


def _start_of_recording(file: int, path: str, wanted: datetime | None) -> datetime:
    start = start_in(_first_line(file))
    if start is None:
        raise ValueError(f"{path} is no recording: its first line is not a header with a start; choose another path.")
    if wanted is not None and abs((wanted - start).total_seconds()) > 1e-6:
        raise ValueError(f"{path} starts at {start.isoformat()}, not at the given start {wanted.isoformat()}.")
    return start


def _first_line(file: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    line = b""
    while b"\n" not in line and (block := os.read(file, _TAIL)):
        line += block
    return line.split(b"\n", 1)[0]


def _end_of_recording(file: int) -> tuple[float, bool]:
    """The time of the last line that tells one (s), and whether the file breaks off in the middle of a line."""
    os.lseek(file, max(0, os.fstat(file).st_size - _TAIL), os.SEEK_SET)
    tail = os.read(file, _TAIL)
    times = (_time_of(line) for line in reversed(tail.split(b"\n")))
    return next((t for t in times if t is not None), float("-inf")), not tail.endswith(b"\n")


def _time_of(line: bytes) -> float | None:
    t = object_in(line).get("t")
    return float(t) if FIELDS["t"].accepts(t) else None  # type: ignore[arg-type]
