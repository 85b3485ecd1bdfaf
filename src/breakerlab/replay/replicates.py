"""Many replays of one kind: under which seeds, and side by side in threads, since the engine releases the GIL."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from breakerlab.policy import parameter

Job = TypeVar("Job")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]


def seed_list(seeds: int | Sequence[int], *, least: int, why: str = "") -> list[int]:
    """The seeds 0 to `seeds` - 1, or those given. Raises ValueError for fewer than `least`, or one given twice.

    why: what asks for so many, for the message.
    """
    if isinstance(seeds, Sequence) and not isinstance(seeds, str):
        listed = [parameter.count("seeds", seed, least=0) for seed in seeds]
    else:
        listed = list(range(parameter.count("seeds", seeds)))
    if len(listed) < least:
        raise ValueError(f"seeds must be at least {least}{why}, not {len(listed)}")
    if len(set(listed)) < len(listed):
        raise ValueError("seeds must be different from one another: a seed that comes twice gives the same run twice")
    return listed


def side_by_side(play: Callable[[Job], Result], jobs: Sequence[Job], progress: Progress | None = None) -> list[Result]:
    """What `play` gives for each job, in the order of `jobs`, in as many threads as there are processors.

    The first job is played before any thread starts: it may have to compile the engine, and meets the mistakes that all
    jobs share. An error ends the whole; jobs that have not begun are dropped. progress: called as progress(done, all)
    in the caller's thread.
    """
    results: list[Result] = []

    def note(result: Result) -> None:
        results.append(result)
        if progress is not None:
            progress(len(results), len(jobs))

    for job in jobs[:1]:
        note(play(job))
    pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="breakerlab")
    try:
        for result in pool.map(play, jobs[1:]):
            note(result)
    finally:
        pool.shutdown(cancel_futures=True)
    return results
