"""Find a Chrome or Chromium on this machine, or install one. Run as a script it prints the program's path.

The order: $BROWSER_PATH, the programs on PATH, the usual place on a Mac, a browser that playwright fetched earlier.
If there is none: Debian's package where this may be installed (root and apt-get), else playwright's own download.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from debian import install, may_install_packages, run_step, say

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_CHROME = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
HOW_TO_INSTALL = (
    "install one (Debian: apt-get install chromium; Mac: brew install --cask google-chrome) "
    "or set BROWSER_PATH to the program of one that is there, then run the same command again"
)


class NoBrowserError(RuntimeError):
    """No browser was found and none could be installed; the message says what to do."""


def works(program: str | Path) -> bool:
    """Whether the program starts and says that it is a Chrome or Chromium; Ubuntu's `chromium-browser` may not."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and "Chrom" in answer.stdout


def downloaded_by_playwright() -> Path | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.exists() else None


def find_browser() -> str | None:
    """The path of a browser that starts, or None. Raises NoBrowserError if $BROWSER_PATH names none."""
    named = os.environ.get("BROWSER_PATH")
    if named:
        if works(named):
            return named
        raise NoBrowserError(f"BROWSER_PATH is {named!r}, which starts no Chrome or Chromium; correct it or unset it")
    on_path = [found for name in NAMES if (found := shutil.which(name))]
    for program in [*on_path, MAC_CHROME]:
        if works(program):
            return str(program)
    downloaded = downloaded_by_playwright()
    return str(downloaded) if downloaded and works(downloaded) else None


def install_debian_package() -> bool:
    return install("chromium")


def download_with_playwright() -> bool:
    libraries = ["--with-deps"] if may_install_packages() else []
    return run_step(sys.executable, "-m", "playwright", "install", *libraries, "chromium")


def find_or_install() -> str:
    """The path of a browser that starts, installed if need be. Raises NoBrowserError where neither works."""
    found = find_browser()
    if found:
        return found
    say("no Chrome or Chromium found, installing one (once)")
    installers = [install_debian_package] if may_install_packages() else []
    for bring in [*installers, download_with_playwright]:
        if bring() and (found := find_browser()):
            return found
    raise NoBrowserError(f"no Chrome or Chromium was found and none could be installed; {HOW_TO_INSTALL}")


if __name__ == "__main__":
    try:
        print(find_or_install())
    except NoBrowserError as error:
        sys.exit(f"breakerlab: {error}")
