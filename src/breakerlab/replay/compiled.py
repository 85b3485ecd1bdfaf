"""The engine and the rules of `breakerlab.policy`, compiled: the same functions from the same source lines.

Each function is copied with its globals pointing to the compiled copies of the others, so `policy` never hears of
numba. numba's cache looks only at the file of the function it caches, so the one cached entry carries a hash of all the
sources in its name: edit a rule, and the engine is compiled anew, into a cache file of its own.
"""

import functools
import hashlib
import inspect
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from breakerlab.policy import backoff, breaker, budget, retry, throttle
from breakerlab.replay import attempts, calendar, desk, draws, engine, kinds, pool, records, tables
from breakerlab.replay.engine import run
from breakerlab.replay.tables import RECORDS, World
from breakerlab.replay.whole_program import compiled_as_one

RULES: tuple[ModuleType, ...] = (breaker, backoff, budget, retry, throttle)
ENGINE: tuple[ModuleType, ...] = (tables, kinds, draws, calendar, records, desk, attempts, pool, engine)
MODULES = RULES + ENGINE
COMPILER = ("borrowed.py", "whole_program.py")  # files of this folder that decide what compiled code looks like

_one_compiles = threading.Lock()


def play_interpreted(w: World) -> int:
    """Play the world with the engine as it stands, uncompiled.

    The tables of few records become plain objects, because `np.record` has attributes of its own, such as `base`. The
    keyed hash wraps around, of which numpy warns.
    """
    plain = {name: [_plain(record) for record in getattr(w, name)] for name in RECORDS}
    with np.errstate(over="ignore"):
        code = run(w._replace(**plain))
    for name, records_now in plain.items():
        table = getattr(w, name)
        for place, record in enumerate(records_now):
            for word, value in vars(record).items():
                table[word][place] = value
    return code


def play(w: World) -> int:
    """Play the world with the compiled engine; interpreted where numba is missing or NUMBA_DISABLE_JIT is set.

    The first call compiles for some seconds, says so on stderr, and keeps the result for every later process.
    """
    entry = compiled_entry()
    if entry is None:
        return play_interpreted(w)
    with _one_compiles:
        if not entry.signatures:
            compile_or_load(entry, w)
    return int(entry(w))


def compile_or_load(entry: Any, w: World) -> None:
    from numba import typeof

    parts = {name for module in MODULES for name, _ in inspect.getmembers(module, inspect.isfunction)}
    with compiled_as_one(entry.py_func.__qualname__, parts, announce):
        entry.compile((typeof(w),))  # type: ignore[no-untyped-call]


def announce() -> None:
    print("breakerlab: compiling the simulator, once for this installation ...", file=sys.stderr, flush=True)


@functools.cache
def compiled_entry() -> Any:
    """The compiled `engine.run`, or None where nothing can be compiled."""
    try:
        import numba
    except ImportError:
        return None
    if vars(numba.config)["DISABLE_JIT"]:
        return None
    from breakerlab.replay.borrowed import view

    # internal functions are never called from Python; without wrappers for that they compile in half the time
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    inner = numba.njit(nogil=True, error_model="numpy", **options)
    scope = {"run": _compile_all(inner)[run], "view": view}
    entry = FunctionType(_entry.__code__, scope)
    entry.__module__ = __name__
    entry.__qualname__ = f"engine_{fingerprint()[:16]}"
    return numba.njit(nogil=True, cache=True)(entry)


def fingerprint() -> str:
    """A hash of the sources of the engine, of the rules it runs, and of how they are compiled."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in (*(Path(inspect.getfile(module)) for module in MODULES), *(here / name for name in COMPILER)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _entry(w: World) -> int:
    return run(view(w))  # type: ignore[name-defined]  # noqa: F821


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
    return SimpleNamespace(**{name: record[name].tolist() for name in record.dtype.names})
