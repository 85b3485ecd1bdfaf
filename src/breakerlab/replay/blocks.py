"""Memory for the large tables of a run; that of a run which is gone serves the next.

The system hands out memory page by page, each cleared at its first use: a tenth of the time of a large run. So the
latest few blocks that nobody looks at any more are kept, and marked as free for the system to take when it is short.
"""

from __future__ import annotations

import mmap
import weakref
from collections import deque
from typing import Any

import numpy as np

HUGE_PAGE = 2**21
KEPT = 6  # blocks: three for each of the two runs that are most often compared

_spare: deque[mmap.mmap] = deque(maxlen=KEPT)


def block(size: int) -> Any:
    """So many bytes, with anything in them; large ones in huge pages, where the system has them."""
    return _bytes(size)[0]


def zeros(size: int) -> Any:
    """So many zero bytes."""
    array, is_used = _bytes(size)
    if is_used:
        array.fill(0)
    return array


def _bytes(size: int) -> tuple[Any, bool]:
    """An array of so many bytes, and whether a run before has written to it; if not, they are zero."""
    if size < HUGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.zeros(size, np.uint8), False
    memory = _taken(size)
    return _array(memory or _new(size), size), memory is not None


def _new(size: int) -> mmap.mmap:
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _taken(size: int) -> mmap.mmap | None:
    """A kept block of at least this size, but not much larger."""
    for memory in list(_spare):
        if size <= len(memory) <= 2 * size:
            try:
                _spare.remove(memory)
            except ValueError:  # another thread has it
                continue
            return memory
    return None


def _array(memory: mmap.mmap, size: int) -> Any:
    """The block as an array. Every view of it holds on to the array, so that its end is the end of the last view."""
    array = np.frombuffer(memory, np.uint8, size)
    weakref.finalize(array, _keep, memory).atexit = False
    return array


def _keep(memory: mmap.mmap) -> None:
    memory.madvise(mmap.MADV_FREE)
    _spare.append(memory)
