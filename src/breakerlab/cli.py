"""The command line: ``breakerlab record incident`` lets an outage happen on this machine and records it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from breakerlab.live import Incident, Recording

MISTAKE = 2
STOPPED = 130

RECORD = """\
Records an incident: callers, a pipeline and an LLM-like provider run as real processes on loopback, nothing
leaves this machine, and every attempt is logged. Writes NAME.jsonl, which read_trace reads, and a card NAME.md that
says what ran. Each takes as long as its callers come (two to three minutes)."""


class _Parser(argparse.ArgumentParser):
    """A mistake on the command line is answered by one sentence, as every other mistake is."""

    def error(self, message: str) -> NoReturn:
        self.exit(MISTAKE, f"{self.prog}: {message}; see {self.prog} --help.\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 2 with one sentence on stderr, 130 stopped by Ctrl-C."""
    options = _parser().parse_args(arguments)
    from breakerlab.live import RecordingError

    try:
        for incident in _chosen(options.only, options.seed):
            _record(incident, options)
    except (RecordingError, _MistakeError) as error:
        print(f"breakerlab: {error}.", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("breakerlab: stopped; the unfinished recording was thrown away.", file=sys.stderr)
        return STOPPED
    return 0


class _MistakeError(Exception):
    """Something asked for that cannot be done."""


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="breakerlab", description="What retries do to a struggling API, on your own machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    record = commands.add_parser(
        "record",
        help="let an outage happen on loopback and record it",
        description=RECORD,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    record.add_argument("what", choices=["incident"], help="what to record")
    record.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder for the recordings")
    record.add_argument("--only", metavar="NAME", help="this incident alone; without it, all of them")
    record.add_argument("--seed", type=int, default=1, help="decides when callers come, and how much they ask for (1)")
    record.add_argument("--provider-port", type=int, default=0, metavar="PORT", help="of the provider (any free one)")
    record.add_argument("--app-port", type=int, default=0, metavar="PORT", help="of the pipeline (any free one)")
    return parser


def _chosen(name: str | None, seed: int) -> list[Incident]:
    from breakerlab.live import INCIDENTS

    if name is not None and name not in INCIDENTS:
        raise _MistakeError(f"there is no incident {name!r}; there is {' and '.join(INCIDENTS)}")
    chosen = INCIDENTS.values() if name is None else [INCIDENTS[name]]
    return [replace(incident, seed=seed) for incident in chosen]


def _record(incident: Incident, options: argparse.Namespace) -> None:
    from breakerlab.live import record

    recording = record(incident, options.out, provider_port=options.provider_port, app_port=options.app_port)
    print("\n".join(_report(recording)))


def _report(recording: Recording) -> list[str]:
    steps = [
        f"  {step.number}. {step.name}: "
        + ("not seen" if step.seen_at is None else f"from {step.seen_at:.1f} s, {step.evidence}")
        for step in recording.steps
    ]
    return [
        f"{recording.trace_path}: {sum(step.seen for step in recording.steps)} of 8 steps of a meltdown seen",
        *steps,
        f"  callers were sent at most {1000 * recording.facts.max_lag:.1f} ms late",
        f"  card: {recording.card_path}",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
