"""Write constraints.txt: the newest versions that pyproject.toml admits, of everything that is needed.

usage: .venv/bin/python tools/pin_versions.py      (then run `make test`)
"""

import json
import subprocess
import sys

from course import REPOSITORY

HEAD = "# Versions that were tested together; pyproject.toml has the ranges. Made by tools/pin_versions.py.\n"
WANTED = ["--editable", ".", "--group", "dev", "--group", "bench", "--group", "app", "pip", "hatchling", "editables"]


def main() -> None:
    resolve = ["-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    result = subprocess.run([sys.executable, *resolve, *WANTED], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit("breakerlab: pip could not resolve the versions (see above); constraints.txt is as it was")
    found = [item["metadata"] for item in json.loads(result.stdout)["install"]]
    pins = sorted(f"{item['name'].lower()}=={item['version']}" for item in found if item["name"] != "breakerlab")
    (REPOSITORY / "constraints.txt").write_text(HEAD + "\n".join(pins) + "\n")
    print(f"breakerlab: constraints.txt has {len(pins)} versions")


if __name__ == "__main__":
    main()
