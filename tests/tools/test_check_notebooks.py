"""The run with FMA switched off: where it applies it changes what glibc computes, elsewhere it says why not."""

import os
import subprocess
import sys

import check_notebooks
import pytest
from check_notebooks import WITHOUT_FMA, why_no_other_processor

MANY_EXPONENTIALS = "import math; print(hash(tuple(math.exp(i * 1e-4) for i in range(100_000))))"


def exponentials(variables: dict[str, str]) -> str:
    command = [sys.executable, "-c", MANY_EXPONENTIALS]
    environment = {**os.environ, **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_the_switch_changes_the_last_digits_where_it_is_said_to_apply() -> None:
    changed = exponentials({}) != exponentials({"GLIBC_TUNABLES": WITHOUT_FMA})
    assert changed == (why_no_other_processor() is None)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("machine", lambda: "arm64", "arm64, not x86-64"),
        ("libc_ver", lambda: ("", ""), "not glibc"),
    ],
)
def test_elsewhere_it_is_not_run_and_says_why(
    name: str,
    value: object,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(check_notebooks.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(check_notebooks.platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(check_notebooks.platform, name, value)
    assert check_notebooks.main(["--other-processor"]) == 0
    assert "does not apply: " in (printed := capsys.readouterr().out)
    assert reason in printed
