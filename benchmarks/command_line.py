"""What the benchmarks' command lines have in common: whole numbers with a limit, a file for the figures, a verdict."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Judged(Protocol):
    """A figure that has a target."""

    @property
    def is_missed(self) -> bool: ...


def whole_number(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} was given, a whole number from 1 to {most:,} is expected")
        return int(text)

    return read


def read_with_json(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options, and among them --json, whose folder must be there before anything is measured."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file as well")
    options = parser.parse_args()
    if options.json and not options.json.parent.is_dir():
        parser.error(f"--json {options.json}: there is no folder {options.json.parent}")
    return options


def write_figures(options: argparse.Namespace, figures: Mapping[str, Any]) -> None:
    """Write the figures to the file that --json names, if it does."""
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def conclude(judged: Sequence[Judged]) -> None:
    """Say whether all targets are met; exit with code 1 if one is missed."""
    missed = [one for one in judged if one.is_missed]
    if missed:
        sys.exit(f"breakerlab: {len(missed)} of {len(judged)} targets missed")
    print(f"breakerlab: all {len(judged)} targets met")
