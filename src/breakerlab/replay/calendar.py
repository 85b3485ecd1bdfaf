"""The event calendar: a binary heap of (time, key, subject); the key is the order of putting in, and the kind.

Events at the same time come out in the order in which they were put in.
"""

from typing import Any

from breakerlab.replay.tables import World

KINDS = 16


def schedule(w: World, time: float, kind: int, subject: int) -> None:
    """Add an event."""
    calendar, clock = w.calendar, w.clock[0]
    key = clock.order * KINDS + kind
    clock.order += 1
    if clock.hole:
        clock.hole = 0
        sift_down(calendar, 0, clock.scheduled, time, key, subject)
        return
    i = clock.scheduled
    clock.scheduled = i + 1
    while i > 0:
        parent = (i - 1) >> 1
        above = calendar[parent]
        if above.time <= time:  # an event put in earlier goes first
            break
        put(calendar[i], above.time, above.key, above.subject)
        i = parent
    put(calendar[i], time, key, subject)


def remove_first(w: World) -> None:
    """Take away the event that is due first; read it in place 0 before.

    It leaves a hole, for the event that most often follows from it; `close_hole` must follow.
    """
    w.clock[0].hole = 1


def close_hole(w: World) -> None:
    """The last event moves into the hole, if no new one has."""
    clock = w.clock[0]
    if clock.hole:
        clock.hole = 0
        last = clock.scheduled - 1
        clock.scheduled = last
        moved = w.calendar[last]
        sift_down(w.calendar, 0, last, moved.time, moved.key, moved.subject)


def sift_down(calendar: Any, i: int, end: int, time: float, key: int, subject: int) -> None:
    """Write an event into place `i` of a heap of `end` events, or further down, where it belongs."""
    child = 2 * i + 1
    while child < end:
        below = calendar[child]
        if child + 1 < end:
            beside = calendar[child + 1]
            if beside.time == below.time:
                child += beside.key < below.key
            else:  # which is first cannot be guessed: added, not jumped to
                child += beside.time < below.time
            below = calendar[child]
        if time < below.time or (time == below.time and key < below.key):
            break
        put(calendar[i], below.time, below.key, below.subject)
        i = child
        child = 2 * i + 1
    put(calendar[i], time, key, subject)


def put(event: Any, time: float, key: int, subject: int) -> None:
    event.time = time
    event.key = key
    event.subject = subject


def restore_order(w: World) -> None:
    """Make a heap again of events in any order."""
    end = w.clock[0].scheduled
    for i in range(end // 2 - 1, -1, -1):
        event = w.calendar[i]
        sift_down(w.calendar, i, end, float(event.time), int(event.key), int(event.subject))
