"""The attempt table of a log: `read_trace` reads it, `Recorder` records it, `Trace` holds it.

Importing this package loads the standard library only; pandas is loaded when `Trace` or `read_trace` is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from breakerlab.trace.errors import TraceError
from breakerlab.trace.recorder import Recorder

if TYPE_CHECKING:
    from breakerlab.trace.description import Description
    from breakerlab.trace.merge import merge_recordings
    from breakerlab.trace.reader import read_trace
    from breakerlab.trace.steps import Step, eight_steps
    from breakerlab.trace.table import Source, Trace

__all__ = [
    "Description",
    "Recorder",
    "Source",
    "Step",
    "Trace",
    "TraceError",
    "eight_steps",
    "merge_recordings",
    "read_trace",
]

_LAZY = {
    "Description": "breakerlab.trace.description",
    "Source": "breakerlab.trace.table",
    "Step": "breakerlab.trace.steps",
    "eight_steps": "breakerlab.trace.steps",
    "Trace": "breakerlab.trace.table",
    "merge_recordings": "breakerlab.trace.merge",
    "read_trace": "breakerlab.trace.reader",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
