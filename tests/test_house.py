"""The plan of the house: its folders, which room may import which, and what `import breakerlab` costs."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from course import REPOSITORY

SOURCE = REPOSITORY / "src" / "breakerlab"
FOLDERS = [".ci", ".github/workflows", "benchmarks", "data", "notebooks", "tests",
           *(f"src/breakerlab/{room}" for room in ("policy", "trace", "replay", "live", "lab"))]  # fmt: skip
# A room may import itself and the rooms named here; "" is the package's own __init__.py, which hands names on lazily.
BELOW = {
    "policy": set(),
    "trace": set(),
    "replay": {"policy", "trace"},
    "live": {"policy", "trace"},
    "lab": {"replay", "policy", "trace"},
    "cli": {"lab", "live", "replay", "policy", "trace"},
    "": {"replay", "policy", "trace", "lab"},
}
STANDARD_LIBRARY_ONLY = ("policy/", "trace/recorder.py")
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}


def modules_named(node: ast.AST, package: list[str]) -> list[str]:
    """Full names of the modules that an import statement loads; `package` is the importing file's package."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else []
        full = [*base, *(node.module.split(".") if node.module else [])]
        return [".".join([*full, alias.name]) for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        return [node.args[0].value] if isinstance(node.args[0], ast.Constant) else []
    return []


def imports(file: Path, source: Path) -> Iterator[str]:
    """Every module that `file` imports anywhere, inside functions too."""
    package = ["breakerlab", *file.relative_to(source).parts[:-1]]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        yield from modules_named(node, package)


def room_of(parts: list[str] | tuple[str, ...]) -> str:
    return parts[0].removesuffix(".py").replace("__init__", "") if parts else ""


def violations(source: Path) -> list[str]:
    """Imports that the plan forbids, one sentence each."""
    found = []
    for file in sorted(source.rglob("*.py")):
        place = file.relative_to(source)
        for module in imports(file, source):
            top, *rest = module.split(".")
            if top == "breakerlab":
                room, other = room_of(place.parts), room_of(rest)
                allowed = {room, *BELOW.get(room, set())}
                if other not in allowed and other in BELOW:
                    found.append(f"{place} imports {module}: {room or 'the package'} may not import {other or 'it'}")
            elif str(place).startswith(STANDARD_LIBRARY_ONLY) and top not in sys.stdlib_module_names:
                found.append(f"{place} imports {module}: it may use the standard library only")
    return found


def circles(source: Path) -> list[str]:
    """Files that import one another in a circle at import time, and those that need such a file."""
    files = {module_name(file, source): file for file in source.rglob("*.py")}
    graph = {name: {target for module in top_level_imports(file, source) if (target := owner(module, files)) and
                    target != name} for name, file in files.items()}  # fmt: skip
    while leaves := {name for name, targets in graph.items() if not targets & graph.keys()}:
        graph = {name: targets for name, targets in graph.items() if name not in leaves}
    return sorted(graph)


def module_name(file: Path, source: Path) -> str:
    return ".".join(["breakerlab", *file.relative_to(source).with_suffix("").parts]).removesuffix(".__init__")


def top_level_imports(file: Path, source: Path) -> Iterator[str]:
    package = ["breakerlab", *file.relative_to(source).parts[:-1]]
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        yield from modules_named(node, package)


def owner(module: str, files: dict[str, Path]) -> str | None:
    """The file that an imported name belongs to: the name itself or the module that holds it."""
    return next((name for name in (module, module.rpartition(".")[0]) if name in files), None)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_folder_exists(folder: str) -> None:
    assert (REPOSITORY / folder).is_dir()


def test_imports_run_downwards_only() -> None:
    assert violations(SOURCE) == []


def test_no_circles() -> None:
    assert circles(SOURCE) == []


def test_no_file_is_named_after_nothing() -> None:
    files = [*SOURCE.rglob("*.py"), *(REPOSITORY / "tools").rglob("*.py"), *(REPOSITORY / "tests").rglob("*.py")]
    assert [file for file in files if file.stem in SAYS_NOTHING] == []


PLANTED = {
    "the core uses a library": ("policy/planted.py", "import numpy"),
    "inside a function too": ("policy/planted.py", "def late():\n    from numpy import array"),
    "the core looks upwards": ("policy/planted.py", "from breakerlab.trace import Trace"),
    "relatively": ("policy/planted.py", "from ..replay import engine"),
    "a whole room, relatively": ("trace/planted.py", "from .. import policy"),
    "the recorder loads pandas": ("trace/recorder.py", "import pandas"),
    "the simulator draws": ("replay/planted.py", "import breakerlab.lab.charts"),
    "the simulator starts servers": ("replay/planted.py", "from breakerlab import live"),
    "the servers replay": ("live/planted.py", "from breakerlab.replay import replay"),
    "the charts start servers": ("lab/planted.py", "import importlib\nimportlib.import_module('breakerlab.live')"),
    "a room takes what the package hands on": ("trace/planted.py", "import breakerlab"),
}


@pytest.mark.parametrize(("place", "text"), PLANTED.values(), ids=PLANTED)
def test_a_planted_import_is_caught(tmp_path: Path, place: str, text: str) -> None:
    file = tmp_path / place
    file.parent.mkdir()
    file.write_text(text)
    assert len(violations(tmp_path)) == 1


def test_what_the_plan_allows_is_let_through(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "charts.py").write_text(
        "import plotly\nfrom breakerlab.replay import replay\nfrom . import show"
    )
    assert violations(tmp_path) == []


def test_a_planted_circle_is_caught(tmp_path: Path) -> None:
    (tmp_path / "replay").mkdir()
    (tmp_path / "replay" / "__init__.py").touch()
    (tmp_path / "replay" / "one.py").write_text("from .two import beta")
    (tmp_path / "replay" / "two.py").write_text("from breakerlab.replay import one")
    (tmp_path / "replay" / "three.py").write_text("from . import one")
    assert circles(tmp_path) == ["breakerlab.replay.one", "breakerlab.replay.three", "breakerlab.replay.two"]


def loaded_by(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize("statement", ["import breakerlab", "import breakerlab.trace", "import breakerlab.policy"])
def test_a_service_can_import_this_without_loading_anything_heavy(statement: str) -> None:
    assert loaded_by(statement) & {"numba", "numpy", "pandas", "plotly", "ipywidgets", "httpx", "starlette"} == set()


MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:root|work|farm|home|opt)/[\w.-]+")
REGISTRY = re.compile(r"\b(?:files\.pythonhosted|pypi|registry\.npmjs|deb\.debian|conda\.anaconda)\.org")
TEXTS = {".py", ".md", ".toml", ".yml", ".txt", ".sh", ".json", ".jsonl", ".ipynb", ""}


def texts_of_the_repository() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    files = [REPOSITORY / name for name in names]
    return [file for file in files if file.suffix in TEXTS and file.is_file()]


def test_no_file_names_a_place_of_one_machine_or_a_package_index() -> None:
    found = {
        str(file.relative_to(REPOSITORY)): match.group()
        for file in texts_of_the_repository()
        if (text := file.read_text(encoding="utf-8")) and (match := MACHINE_PATH.search(text) or REGISTRY.search(text))
    }
    assert found == {}


def test_constraints_are_names_and_versions_only() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 50
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+( ; .+)?", pin)] == []
