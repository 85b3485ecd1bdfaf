"""environment.yml (conda) and pyproject.toml (pip) ask for the same things."""

import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from course import REPOSITORY
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

OTHER_NAME_ON_CONDA_FORGE = {"playwright-python": "playwright", "python-kaleido": "kaleido"}
# Without --no-deps: a line of a requirements file, which this becomes, cannot say it. pip finds everything installed.
ITSELF = "-e ."

Ranges = dict[str, SpecifierSet]


def read_conda() -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / "environment.yml").read_text())


def read_pip() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def pip_part(environment: dict[str, Any]) -> list[str]:
    return [line for part in environment["dependencies"] if isinstance(part, dict) for line in part["pip"]]


def conda_ranges(environment: dict[str, Any]) -> Ranges:
    ranges = {}
    for line in environment["dependencies"]:
        if isinstance(line, str):
            name, _, versions = line.partition(" ")
            ranges[OTHER_NAME_ON_CONDA_FORGE.get(name, name)] = SpecifierSet(versions)
    for wanted in map(Requirement, (line for line in pip_part(environment) if line != ITSELF)):
        ranges[canonicalize_name(wanted.name)] = wanted.specifier
    return ranges


def pip_ranges(project: dict[str, Any]) -> Ranges:
    lines = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    ranges = {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}
    return {**ranges, "python": SpecifierSet(project["project"]["requires-python"]), "pip": SpecifierSet()}


def differences(environment: dict[str, Any], project: dict[str, Any]) -> list[str]:
    """What environment.yml says otherwise than pyproject.toml, one sentence each."""
    conda, pip = conda_ranges(environment), pip_ranges(project)
    found = [f"{name} is missing in environment.yml" for name in sorted(pip.keys() - conda.keys())]
    found += [f"{name} is in environment.yml only" for name in sorted(conda.keys() - pip.keys())]
    both = sorted(conda.keys() & pip.keys())
    found += [f"{name}: '{conda[name]}' for conda, '{pip[name]}' for pip" for name in both if conda[name] != pip[name]]
    if environment["channels"] != ["conda-forge", "nodefaults"]:
        found.append(f"the channels are {environment['channels']}")
    if pip_part(environment)[:1] != [ITSELF]:
        found.append(f"the pip part is {pip_part(environment)}")
    return found


def test_the_two_are_in_step() -> None:
    assert differences(read_conda(), read_pip()) == []


def change(position: str, line: str) -> Callable[[list[Any]], None]:
    def apply(lines: list[Any]) -> None:
        index = next(i for i, old in enumerate(lines) if isinstance(old, str) and old.startswith(position))
        lines[index : index + 1] = [line] if line else []

    return apply


DRIFTS = {
    "another range": change("numpy", "numpy >=2.4,<3"),
    "no range": change("numpy", "numpy"),
    "one missing": change("numpy", ""),
    "one more": change("pip", "scipy"),
    "another python": change("python", "python >=3.12"),
    "pip brings packages": lambda lines: lines[-1]["pip"].append("tomli"),
}


@pytest.mark.parametrize("drift", DRIFTS.values(), ids=DRIFTS)
def test_a_difference_is_found(drift: Callable[[list[Any]], None]) -> None:
    environment = read_conda()
    drift(environment["dependencies"])
    assert differences(environment, read_pip()) != []


def test_what_is_pinned_is_within_the_ranges() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    ranges = pip_ranges(read_pip())
    del ranges["python"]
    assert [name for name, versions in ranges.items() if pins[name] not in versions] == []
