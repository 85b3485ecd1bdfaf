"""Record the logs in data/formats again: real programs, on loopback, in front of the live server or calling it.

usage: python tools/record_formats.py [NAME ...]     (all of them without a name; needs the programs named in the cards)
"""

import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from course import REPOSITORY

FOLDER = REPOSITORY / "data" / "formats"
RECORDERS = ("apache", "caddy", "envoy", "haproxy", "har", "jmeter", "nginx", "otlp", "sdk")


def main(names: list[str]) -> None:
    if unknown := set(names) - set(RECORDERS):
        sys.exit(f"breakerlab: {min(unknown)!r} is none of {', '.join(RECORDERS)}")
    FOLDER.mkdir(exist_ok=True)
    for name in names or RECORDERS:
        with tempfile.TemporaryDirectory() as folder:  # whole or not at all
            import_module(f"recorders.{name}").record(Path(folder))
            for made in sorted(Path(folder).iterdir()):
                if made.is_file():
                    shutil.copyfile(made, FOLDER / made.name)
                    print(f"breakerlab: recorded {(FOLDER / made.name).relative_to(REPOSITORY)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
