"""The compiled engine is the rules' source lines, today's: edited, switched off, in another process."""

import hashlib
import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import breakerlab
from breakerlab.policy import Backoff, Breaker, Policy, Retry, RetryBudget
from breakerlab.replay import Fault, Scenario, Service, Workload, replay
from breakerlab.replay.compiled import ENGINE, MODULES

PACKAGE = Path(breakerlab.__file__).parent
TEN = np.arange(10)
SMALL = Scenario(
    Workload(TEN * 0.3, TEN * 0, TEN * 9.0, TEN, ("POST /answer",)), Service(2, 1), faults=[Fault(0.0, 9.0, 0.0)]
)
RETRY = Retry(backoff=Backoff(base=0.5, jitter="full"), retry_after_limit=None, budget=RetryBudget(0.5, burst=2.0))
JITTERED = Policy(retry=RETRY, breaker=Breaker(6, 2.0, 2))

SCRIPT = """
import json, breakerlab, sys
sys.path.append({tests!r})
from test_compiled import JITTERED, SMALL, digest, replay
runs = [digest(replay(SMALL, JITTERED, interpreted=interpreted)) for interpreted in (False, True)]
print(json.dumps([breakerlab.__file__, *runs]))
"""


def digest(run) -> str:
    """Every number of the run, to the last bit."""
    return hashlib.sha256((run.trace.attempts.to_csv() + run.trace.events.to_csv()).encode()).hexdigest()


def in_another_process(source: Path, **environment: str) -> tuple[str, str]:
    """What the package in folder `source` gives: compiled, interpreted."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**inherited, "PYTHONPATH": str(source), **environment},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    file, compiled, interpreted = json.loads(run.stdout)
    assert Path(file).is_relative_to(source)
    return compiled, interpreted


def test_without_compilation_the_result_is_the_same() -> None:
    here = digest(replay(SMALL, JITTERED))
    assert in_another_process(PACKAGE.parent, NUMBA_DISABLE_JIT="1") == (here, here)


def test_an_edited_rule_changes_what_the_engine_does(tmp_path: Path) -> None:
    """Numba's cache does not notice an edit in another file; ours must. The cache of before the edit stays in place."""
    shutil.copytree(PACKAGE, tmp_path / "breakerlab")
    before = digest(replay(SMALL, JITTERED))
    assert in_another_process(tmp_path) == (before, before)
    rule = tmp_path / "breakerlab" / "policy" / "backoff.py"
    text = rule.read_text()
    assert text.count("return float(term * u)") == 1
    rule.write_text(text.replace("return float(term * u)", "return float(term * u * 2.0)"))
    compiled, interpreted = in_another_process(tmp_path)
    assert compiled == interpreted != before


def test_every_file_whose_functions_the_engine_runs_is_in_the_fingerprint() -> None:
    """The edit above is noticed in each of them."""
    functions = [function for module in ENGINE for function in vars(module).values() if inspect.isfunction(function)]
    run = {function.__module__ for function in functions} - {"collections"}
    assert {"breakerlab.policy.budget", "breakerlab.policy.throttle", "breakerlab.replay.desk"} < run
    assert run <= {module.__name__ for module in MODULES}
