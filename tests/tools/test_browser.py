"""Finding a browser: with a PATH of our own making, real little programs, and no browser of this machine in sight."""

import stat
from pathlib import Path

import browser
import debian
import pytest
from browser import NoBrowserError, find_browser, find_or_install

CHROMIUM = "echo Chromium 156.0.1"
EMPTY_SHELL = "echo 'install the snap' >&2; exit 1"


class Machine:
    """A machine whose PATH is one folder; `has` puts a program there, `log` is what was run to install one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log_file = folder / "log"

    def has(self, name: str, script: str) -> str:
        program = self.folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return str(program)

    def has_installer(self, name: str, brings: str | None = None, fails: bool = False) -> str:
        """An apt-get or python that notes its arguments and, when asked to install, may bring a program."""
        install = f"printf '#!/bin/sh\\n{CHROMIUM}\\n' >{brings}; /bin/chmod +x {brings}" if brings else ":"
        body = f'echo "{name} $*" >>{self.log_file}\ncase "$*" in *install*) {install};; esac\nexit {int(fails)}'
        return self.has(name, body)

    @property
    def log(self) -> list[str]:
        return self.log_file.read_text().splitlines() if self.log_file.exists() else []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine without any browser, whose user is root."""
    made = Machine(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    monkeypatch.setattr(browser, "MAC_CHROME", tmp_path / "no-mac")
    monkeypatch.setattr(browser, "downloaded_by_playwright", lambda: downloaded(tmp_path))
    monkeypatch.setattr(debian.os, "geteuid", lambda: 0)
    monkeypatch.setattr(browser.sys, "executable", made.has_installer("python", fails=True))
    return made


def downloaded(folder: Path) -> Path | None:
    path = folder / "fetched"
    return path if path.exists() else None


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"])
def test_a_browser_on_path_is_found(machine: Machine, name: str) -> None:
    program = machine.has(name, CHROMIUM)
    assert find_or_install() == program
    assert machine.log == []


def test_a_program_that_does_not_start_is_passed_over(machine: Machine) -> None:
    machine.has("chromium-browser", EMPTY_SHELL)
    program = machine.has("google-chrome", "echo Google Chrome 156")
    assert find_browser() == program


def test_browser_path_wins(machine: Machine) -> None:
    machine.has("chromium", CHROMIUM)
    named = machine.has("mine", CHROMIUM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BROWSER_PATH", named)
        assert find_browser() == named


def test_a_wrong_browser_path_is_an_error_and_nothing_else_is_taken(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.has("chromium", CHROMIUM)
    monkeypatch.setenv("BROWSER_PATH", machine.has("firefox", "echo Mozilla Firefox"))
    with pytest.raises(NoBrowserError, match=r"BROWSER_PATH is .*firefox.* correct it or unset it"):
        find_or_install()


def test_a_browser_that_playwright_fetched_earlier_is_found(machine: Machine) -> None:
    program = machine.has("fetched", CHROMIUM)
    assert find_or_install() == program


def test_root_gets_debians_package(machine: Machine) -> None:
    machine.has_installer("apt-get", brings=str(machine.folder / "chromium"))
    assert find_or_install() == str(machine.folder / "chromium")
    assert machine.log == ["apt-get update", "apt-get install --yes --no-install-recommends chromium"]


def test_a_package_that_brings_no_browser_is_followed_by_playwrights_download(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.has_installer("apt-get")
    monkeypatch.setattr(browser.sys, "executable", machine.has_installer("python", str(machine.folder / "fetched")))
    assert find_or_install() == str(machine.folder / "fetched")
    assert machine.log[-1] == "python -m playwright install --with-deps chromium"


def test_who_is_not_root_gets_playwrights_download_at_once(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has_installer("apt-get", brings=str(machine.folder / "chromium"))
    monkeypatch.setattr(debian.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(browser.sys, "executable", machine.has_installer("python", str(machine.folder / "fetched")))
    assert find_or_install() == str(machine.folder / "fetched")
    assert machine.log == ["python -m playwright install chromium"]


def test_where_nothing_works_the_sentence_says_what_to_do(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.has_installer("apt-get", fails=True)
    with pytest.raises(NoBrowserError, match=r"none could be installed; install one .*or set BROWSER_PATH"):
        find_or_install()
    assert machine.log == ["apt-get update", "python -m playwright install --with-deps chromium"]
    assert capsys.readouterr().err.count("it failed") == 2
