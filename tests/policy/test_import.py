"""The core can be copied into a service: it needs nothing but the standard library, and little of that."""

import subprocess
import sys

SCRIPT = """
import sys
import dataclasses, enum, random, threading, typing
before = set(sys.modules)
import {module}
print(*sorted(set(sys.modules) - before))
"""


def loaded_by(module: str) -> set[str]:
    command = [sys.executable, "-c", SCRIPT.format(module=module)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def third_parties(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - {"breakerlab"}


def test_the_core_loads_no_module_of_a_third_party() -> None:
    assert third_parties(loaded_by("breakerlab.policy")) == set()
    assert third_parties(loaded_by("breakerlab.policy.guard, breakerlab.policy.transport")) == set()


def test_the_core_loads_what_is_slow_only_when_it_is_used() -> None:
    slow = {"asyncio", "email", "email.utils", "logging", "breakerlab.policy.guard", "breakerlab.policy.transport"}
    assert loaded_by("breakerlab.policy") & slow == set()
    assert loaded_by("breakerlab.policy.guard") & {"asyncio", "email.utils", "logging"} == set()


def test_the_guard_is_there_when_asked_for() -> None:
    import breakerlab.policy as policy

    assert {name for name in policy.__all__ if not hasattr(policy, name)} == set()
