"""Run notebooks and compare every output with the stored one (nbval, strict).

usage: python tools/check_notebooks.py [--other-processor] [NOTEBOOK ...]

--other-processor: with glibc's FMA and AVX2 switched off, the last digits of log and exp are those of an older
processor. What a notebook stores must not depend on them.
"""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

from course import NOTEBOOKS, REPOSITORY

NBVAL = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=120", "-p", "no:cacheprovider"]
TWO_AT_A_TIME = ["-n", "2", "--dist", "loadscope"]  # the cells of one notebook in one process, one after the other
# Newer and older versions of glibc spell the names differently.
WITHOUT_FMA = "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX2_Usable,-FMA_Usable"


def nbval_command(notebooks: list[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", *NBVAL, *TWO_AT_A_TIME, *notebooks]


def processor_flags() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def why_no_other_processor() -> str | None:
    """Why switching FMA off would change nothing here, as a sentence; None if it would."""
    if platform.machine() not in {"x86_64", "AMD64"}:
        return f"this processor is {platform.machine()}, not x86-64"
    if platform.libc_ver()[0] != "glibc":
        return "the C library is not glibc, which alone has the switch"
    if "fma" not in processor_flags().split():
        return "this processor has no FMA to switch off"
    return None


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other-processor", action="store_true", help="once more with glibc's FMA and AVX2 off")
    parser.add_argument("notebooks", nargs="*", default=[str(NOTEBOOKS)])
    options = parser.parse_args(arguments)
    environment = dict(os.environ)
    if options.other_processor:
        reason = why_no_other_processor()
        if reason:
            print(f"breakerlab: the run with FMA off does not apply: {reason}")
            return 0
        environment["GLIBC_TUNABLES"] = WITHOUT_FMA
    return subprocess.run(nbval_command(options.notebooks), cwd=REPOSITORY, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
