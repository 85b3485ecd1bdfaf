"""The engine and the rules of `breakerlab.policy`, compiled: the same functions from the same source lines.

Each function is copied with its globals pointing to the compiled copies of the others, so `policy` never hears of
numba. numba's cache looks only at the file of the function it caches, so the one cached entry carries a hash of all the
sources in its name: edit a rule, and the engine is compiled anew, into a cache file of its own.
"""

import functools
import hashlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from breakerlab.policy import backoff, breaker, budget, retry
from breakerlab.replay import calendar, draws, engine, tables
from breakerlab.replay.engine import run
from breakerlab.replay.tables import RECORDS, World

MODULES: tuple[ModuleType, ...] = (breaker, backoff, budget, retry, draws, calendar, tables, engine)


def play_interpreted(w: World) -> int:
    """Play the world with the engine as it stands, uncompiled.

    The records become plain objects, because `np.record` has attributes of its own, such as `base`. The keyed hash
    wraps around, of which numpy warns.
    """
    records = {name: [_plain(getattr(w, name))] for name in RECORDS}
    with np.errstate(over="ignore"):
        return run(w._replace(**records))


def play(w: World) -> int:
    """Play the world with the compiled engine; interpreted where numba is missing or NUMBA_DISABLE_JIT is set.

    The first call compiles for some seconds, says so on stderr, and keeps the result for every later process.
    """
    entry = compiled_entry()
    if entry is None:
        return play_interpreted(w)
    if not entry.signatures and not is_cached(entry):
        print("breakerlab: compiling the simulator, once for this installation ...", file=sys.stderr, flush=True)
    return int(entry(w))


@functools.cache
def compiled_entry() -> Any:
    """The compiled `engine.run`, or None where nothing can be compiled."""
    try:
        import numba
    except ImportError:
        return None
    if vars(numba.config)["DISABLE_JIT"]:
        return None
    scope = {"run": _compile_all(numba.njit(nogil=True))[run]}
    entry = FunctionType(_entry.__code__, scope)
    entry.__module__ = __name__
    entry.__qualname__ = f"engine_{fingerprint()[:16]}"
    return numba.njit(nogil=True, cache=True)(entry)


def fingerprint() -> str:
    """A hash of the sources of the engine and of the rules it runs."""
    digest = hashlib.sha256()
    for module in MODULES:
        digest.update(Path(inspect.getfile(module)).read_bytes())
    return digest.hexdigest()


def is_cached(entry: Any) -> bool:
    """Whether an earlier process has left the compiled engine of these very sources."""
    return any(Path(entry.stats.cache_path).glob(f"*{entry.py_func.__qualname__}*.nbc"))


def _entry(w: World) -> int:
    return run(w)


def _compile_all(compile_one: Callable[[FunctionType], Any]) -> dict[Any, Any]:
    """A compiled copy of every plain function of `MODULES`, each of which sees the copies of the others."""
    scopes = {module: dict(vars(module)) for module in MODULES}
    copies: dict[Any, Any] = {}
    for module, scope in scopes.items():
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__:
                copies[function] = compile_one(FunctionType(function.__code__, scope, name))
    for scope in scopes.values():
        scope.update({name: copies[f] for name, f in scope.items() if inspect.isfunction(f) and f in copies})
    return copies


def _plain(record: Any) -> SimpleNamespace:
    return SimpleNamespace(**{name: record[name][0].tolist() for name in record.dtype.names})
