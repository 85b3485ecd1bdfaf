"""The live lab: real processes on loopback, which record an incident as a trace.

``record(INCIDENTS["calm"], "data")`` lets one happen. Each name is loaded when it is first asked for, so that a
process of the recording does not load what only its parent needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from breakerlab.live.incident import (
        INCIDENTS,
        AppSetup,
        FaultWindow,
        Incident,
        ServiceSetup,
        Traffic,
    )
    from breakerlab.live.plan import planned
    from breakerlab.live.process import RecordingError
    from breakerlab.live.recording import Recording, record

__all__ = [
    "INCIDENTS",
    "AppSetup",
    "FaultWindow",
    "Incident",
    "Recording",
    "RecordingError",
    "ServiceSetup",
    "Traffic",
    "planned",
    "record",
]

_HOME = {
    "planned": "plan",
    "RecordingError": "process",
    "Recording": "recording",
    "record": "recording",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME.get(name, 'incident')}"), name)
