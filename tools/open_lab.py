"""Open JupyterLab on the first notebook. Arguments go to `jupyter lab`: --no-browser, --port 8899, ..."""

import os
import sys
from pathlib import Path

from course import FIRST_NOTEBOOK, REPOSITORY

SETTINGS = REPOSITORY / "tools" / "jupyterlab_settings"


def lab_command(arguments: list[str], notebook: str = FIRST_NOTEBOOK, root: Path = REPOSITORY) -> list[str]:
    """The command that serves `root` (a clone's folder) and opens `notebook` in it; it asks nothing of other hosts."""
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={root}",
        # No popup that asks about news, no look-up of newer versions or of extensions.
        f"--LabApp.app_settings_dir={SETTINGS}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
        *as_root,
        *arguments,
        str(root / notebook),
    ]


def warm_up() -> None:
    """Compile the simulator once; the result is cached on disk, so that the first chart does not wait for it."""
    import breakerlab.replay

    breakerlab.replay.warm_up()


def main(arguments: list[str]) -> None:
    if not (REPOSITORY / FIRST_NOTEBOOK).exists():
        sys.exit(f"breakerlab: {FIRST_NOTEBOOK} is missing; get it back with: git checkout {FIRST_NOTEBOOK}")
    print("breakerlab: getting the simulator ready (compiles once, up to half a minute)", flush=True)
    warm_up()
    print(f"breakerlab: starting JupyterLab on {FIRST_NOTEBOOK}; Ctrl-C ends it", flush=True)
    os.chdir(REPOSITORY)
    os.execv(sys.executable, lab_command(arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
