"""Programs from Debian's packages: with a PATH of our own making and a little apt-get that notes what it is asked."""

import stat
from pathlib import Path

import debian
import pytest
from debian import MissingProgramError, ensure


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(debian, "SBIN", (str(tmp_path / "sbin"),))
    monkeypatch.setattr(debian.os, "geteuid", lambda: 0)
    return tmp_path


def put(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def apt_get(folder: Path, brings: str | None) -> None:
    install = f"printf '#!/bin/sh\\n' >{brings}; /bin/chmod +x {brings}" if brings else ":"
    put(folder, "apt-get", f'echo "$RUNLEVEL $*" >>{folder}/log\ncase "$*" in *install*) {install};; esac')


def test_what_is_there_is_not_installed(folder: Path) -> None:
    apt_get(folder, None)
    put(folder / "sbin", "nginx", "exit 0")
    ensure({"nginx": "nginx-light"})
    assert not (folder / "log").exists()


def test_what_is_missing_is_installed_and_no_service_is_started(folder: Path) -> None:
    apt_get(folder, str(folder / "nginx"))
    ensure({"nginx": "nginx-light"})
    assert (folder / "log").read_text().splitlines() == [
        "1 update",
        "1 install --yes --no-install-recommends nginx-light",
    ]


def test_an_installation_that_brings_nothing_says_what_to_do(folder: Path) -> None:
    apt_get(folder, None)
    with pytest.raises(MissingProgramError, match=r"run nginx and cannot find it; .*apt-get install nginx-light"):
        ensure({"nginx": "nginx-light"})


def test_who_may_not_install_is_told_all_that_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt_get(folder, str(folder / "nginx"))
    monkeypatch.setattr(debian.os, "geteuid", lambda: 1000)
    with pytest.raises(MissingProgramError, match="nginx-light haproxy"):
        ensure({"nginx": "nginx-light", "haproxy": "haproxy"})
    assert not (folder / "log").exists()
