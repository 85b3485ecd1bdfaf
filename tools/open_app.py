"""Serve the policy explorer as an app with voila. Arguments go to `voila`: --no-browser, --port 8866, ..."""

import os
import sys
from pathlib import Path

from course import NOTEBOOKS, REPOSITORY
from open_lab import warm_up

TEMPLATES = REPOSITORY / "tools" / "voila"
APP = NOTEBOOKS / "09_policy_explorer.ipynb"


def app_command(arguments: list[str], notebook: Path = APP) -> list[str]:
    """The command that runs `notebook` and shows what it makes, without its code, on this machine only."""
    return [
        *(sys.executable, "-m", "voila"),
        "--Voila.ip=127.0.0.1",
        "--template=breakerlab",
        *arguments,
        str(notebook),
    ]


def environment() -> dict[str, str]:
    """Where voila finds the look of the app, which asks nothing of other hosts."""
    path = os.pathsep.join(filter(None, [str(TEMPLATES), os.environ.get("JUPYTER_PATH")]))
    return {**os.environ, "JUPYTER_PATH": path}


def main(arguments: list[str]) -> None:
    if not APP.exists():
        sys.exit(f"breakerlab: {APP.name} is missing; get it back with: git checkout {APP.relative_to(REPOSITORY)}")
    print("breakerlab: getting the simulator ready (compiles once, up to half a minute)", flush=True)
    warm_up()
    print("breakerlab: serving the policy explorer; Ctrl-C ends it", flush=True)
    os.chdir(REPOSITORY)
    os.execve(sys.executable, app_command(arguments), environment())


if __name__ == "__main__":
    main(sys.argv[1:])
