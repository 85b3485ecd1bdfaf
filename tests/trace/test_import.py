"""A service records without pandas: importing the package loads the standard library only."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import sys
before = set(sys.modules)
import breakerlab.trace
from breakerlab.trace import Recorder, TraceError
Recorder(sys.argv[1]).close()
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(new - sys.stdlib_module_names - {"breakerlab"}))
"""


def test_recording_loads_the_standard_library_only(tmp_path):
    command = [sys.executable, "-c", LOADED, str(tmp_path / "a.jsonl")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == ""


def test_every_public_name_is_there():
    import breakerlab.trace as trace

    assert {name for name in trace.__all__ if getattr(trace, name, None) is None} == set()
    assert set(trace.__all__) <= set(dir(trace))
