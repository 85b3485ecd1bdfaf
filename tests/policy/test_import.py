"""The core can be copied into a service: it needs nothing but the standard library."""

import subprocess
import sys


def test_the_core_loads_no_module_of_a_third_party() -> None:
    script = """
import sys
before = set(sys.modules)
import breakerlab.policy
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - sys.stdlib_module_names))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["breakerlab"]
