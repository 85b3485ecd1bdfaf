"""Programs that the tests need beside Python's, from Debian's packages where this user may install them."""

import os
import shutil
import subprocess
import sys

SBIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")


class MissingProgramError(RuntimeError):
    """A program was not found and could not be installed; the message says what to do."""


def find(program: str) -> str | None:
    """The program's path; servers live in sbin, which is on few people's PATH."""
    return shutil.which(program) or shutil.which(program, path=os.pathsep.join(SBIN))


def may_install_packages() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(*packages: str) -> bool:
    """Install Debian packages, without starting the services that some bring. Whether it went well."""
    return run_step("apt-get", "update") and run_step(
        "apt-get", "install", "--yes", "--no-install-recommends", *packages
    )


def run_step(*command: str) -> bool:
    """Run one step of an installation; its output is shown only if it fails."""
    say(f"running: {' '.join(command)}")
    # invoke-rc.d starts nothing at run level 1.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, env=environment)  # fmt: skip
    if result.returncode:
        say(f"it failed:\n{result.stdout[-1500:]}")
    return result.returncode == 0


def ensure(programs: dict[str, str]) -> None:
    """Have each program, given with the Debian package that brings it. Raises MissingProgramError."""
    missing = [program for program in programs if find(program) is None]
    if not missing:
        return
    packages = [programs[program] for program in missing]
    if may_install_packages():
        say(f"installing {', '.join(missing)}, whose logs the tests read (once)")
        if install(*packages) and not [program for program in missing if find(program) is None]:
            return
    raise MissingProgramError(
        f"the tests run {', '.join(missing)} and cannot find {'it' if len(missing) == 1 else 'them'}; install "
        f"(Debian: apt-get install {' '.join(packages)}), then run the same command again"
    )


def say(sentence: str) -> None:
    print(f"breakerlab: {sentence}", file=sys.stderr, flush=True)
