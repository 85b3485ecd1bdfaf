"""What `make lab` and `make test` do before anything of the project runs, with stand-ins for python and pip."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from course import REPOSITORY

# Answers what tools/environment.sh asks of a Python, and makes a .venv whose python notes what it is asked to do.
PYTHON = """#!/bin/sh
case "$*" in
    *sys.exit*) exit ${OLD:-0} ;;
    *%d.%d*) echo 3.12 ;;
    *ensurepip*) exit ${NO_VENV:-0} ;;
    "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python && echo "venv" >>"$NOTES" ;;
    *"pip --version") ;;
    *) echo "$*" >>"$NOTES"; case "$*" in *"pip install"*) echo "from pip"; exit ${PIP_FAILS:-0} ;; esac ;;
esac
"""
NAMES = ("python3", "python3.14", "python3.13", "python3.12", "python3.11", "python")


class Clone:
    """A fresh clone with only what make needs, on a machine whose Python is the stand-in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a clone"
        self.programs = folder / "programs"
        self.notes = folder / "notes"
        (self.folder / "tools").mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "constraints.txt", "tools/environment.sh"):
            shutil.copy2(REPOSITORY / name, self.folder / name)
        self.programs.mkdir()
        for name in NAMES:
            program = self.programs / name
            program.write_text(PYTHON)
            program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def make(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run make; `done` holds what was run since the last time."""
        self.notes.write_text("")
        path = os.pathsep.join([str(self.programs), "/usr/bin", "/bin"])
        environment = {"PATH": path, "NOTES": str(self.notes), **variables}
        return subprocess.run(["make", *arguments], cwd=self.folder, env=environment, capture_output=True, text=True)

    @property
    def done(self) -> list[str]:
        return self.notes.read_text().splitlines()

    def installed(self) -> bool:
        return any("pip install" in line for line in self.done)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_lab_makes_the_environment_installs_pinned_versions_and_opens_the_notebook(clone: Clone) -> None:
    run = clone.make("lab", "ARGS=--no-browser --port 8899")
    assert run.returncode == 0, run.stderr
    assert clone.done[0] == "venv"
    assert all("--constraint constraints.txt" in line for line in clone.done if "pip install" in line)
    assert clone.done[-1] == "tools/open_lab.py --no-browser --port 8899"
    assert "making .venv with Python 3.12" in run.stdout


def test_lab_does_not_install_what_only_the_tests_need(clone: Clone) -> None:
    clone.make("lab")
    assert not any("--group dev" in line for line in clone.done)
    clone.make("test")
    assert [line for line in clone.done if "--group dev" in line]
    assert clone.done[-1] == "tools/run_tests.py"


def test_the_peers_are_installed_for_the_benchmarks_only(clone: Clone) -> None:
    clone.make("test")
    assert not any("--group bench" in line for line in clone.done)
    clone.make("bench")
    assert [line for line in clone.done if "--group bench" in line and "--constraint constraints.txt" in line]
    assert clone.done[-1] == "tools/run_benchmarks.py"


@pytest.mark.parametrize("target", ["lab", "app", "test", "bench"])
def test_the_second_time_nothing_is_installed(clone: Clone, target: str) -> None:
    clone.make(target)
    assert clone.installed()
    run = clone.make(target)
    assert len(clone.done) == 1
    assert run.stdout == ""


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_another_version_wanted_is_installed_in_the_same_environment(clone: Clone, name: str) -> None:
    clone.make("lab")
    newer = (clone.folder / ".venv" / "ready-for-lab").stat().st_mtime + 10
    os.utime(clone.folder / name, (newer, newer))
    clone.make("lab")
    assert clone.installed()
    assert "venv" not in clone.done


def test_a_clone_that_was_moved_gets_a_new_environment(clone: Clone) -> None:
    clone.make("lab")
    clone.folder = clone.folder.rename(clone.folder.with_name("elsewhere"))
    clone.make("lab")
    assert clone.done[0] == "venv"
    clone.make("lab")
    assert not clone.installed()


def test_without_a_python_that_fits_a_sentence_says_which(clone: Clone) -> None:
    run = clone.make("test", OLD="1")
    assert run.returncode != 0
    assert "Python 3.11, 3.12, 3.13 or 3.14 is needed and was not found" in run.stderr
    assert "make PYTHON=" in run.stderr
    assert "venv" not in clone.done


def test_a_python_may_be_named(clone: Clone) -> None:
    for name in NAMES:
        (clone.programs / name).rename(clone.programs / f"my-{name}")
    run = clone.make("lab", "PYTHON=my-python")
    assert run.returncode == 0, run.stderr
    assert clone.done[0] == "venv"


def test_debians_python_without_venv_gets_a_sentence(clone: Clone) -> None:
    run = clone.make("lab", NO_VENV="1")
    assert run.returncode != 0
    assert "apt-get install python3.12-venv" in run.stderr


def test_a_failed_installation_shows_pips_words_and_is_tried_again_next_time(clone: Clone) -> None:
    run = clone.make("lab", PIP_FAILS="1")
    assert run.returncode != 0
    assert "from pip" in run.stderr
    assert "check that pip reaches a package index" in run.stderr
    clone.make("lab")
    assert clone.installed()


def test_help_names_every_command(clone: Clone) -> None:
    commands = {line.split()[1] for line in clone.make("help").stdout.splitlines()}
    opening, recording = {"help", "lab", "app"}, {"record", "record-formats"}
    measuring = {"test", "coverage", "fuzz", "bench"}
    assert commands == opening | recording | measuring | {"notebooks", "screenshots", "clean"}
