"""Locks that survive a fork: no child is born while one is held, so none is ever left locked for good."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

_registry = threading.RLock()
_locks: weakref.WeakSet[Any] = weakref.WeakSet()
_held: list[Any] = []


def fork_safe_lock() -> Any:
    """A lock; reentrant, as is the registry: a signal handler or the garbage collector may come back in its thread."""
    lock = threading.RLock()
    with _registry:
        _locks.add(lock)
    return lock


def _before_fork() -> None:
    _registry.acquire()
    _held[:] = list(_locks)
    for lock in _held:
        lock.acquire()


def _after_fork() -> None:
    for lock in _held:
        lock.release()
    _held.clear()
    _registry.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
