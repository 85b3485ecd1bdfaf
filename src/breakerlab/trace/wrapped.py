"""What a container runtime puts around each line of a program's log.

containerd and CRI-O: `2026-11-24T14:02:43.123456789Z stdout F the line`.
Docker: `{"log":"the line\\n","stream":"stdout","time":"..."}`.
"""

from __future__ import annotations

import re
from typing import Final

from breakerlab.trace.header import object_in

_KUBERNETES: Final = re.compile(rb"\d{4}-\d\d-\d\dT[0-9:.]{8,18}(?:Z|[+-]\d\d:\d\d) (?:stdout|stderr) [FP] ")
_DOCKER: Final = b'{"log":'


def unwrapped(line: bytes) -> bytes:
    """The line as the program wrote it; one that nothing was put around as it is."""
    if line[:2] == b"20" and b" std" in line[19:48]:
        found = _KUBERNETES.match(line)
        return line if found is None else line[found.end() :]
    if line.startswith(_DOCKER) and b'"stream"' in line:
        log = object_in(line).get("log")
        return log.strip().encode("utf-8", "surrogatepass") if isinstance(log, str) and log.strip() else line
    return line
