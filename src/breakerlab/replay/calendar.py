"""The event calendar: a binary heap of (time, order, kind, subject).

Events at the same time come out in the order in which they were put in.
"""

from typing import Any

from breakerlab.replay.tables import ORDER, SCHEDULED, World


def schedule(w: World, time: float, kind: int, subject: int) -> None:
    """Add an event."""
    calendar = w.calendar
    order = w.used[ORDER]
    w.used[ORDER] = order + 1
    i = w.used[SCHEDULED]
    w.used[SCHEDULED] = i + 1
    while i > 0:
        parent = (i - 1) >> 1
        if is_before(calendar[parent], time, order):
            break
        copy_event(calendar[parent], calendar[i])
        i = parent
    event = calendar[i]
    event.time = time
    event.order = order
    event.kind = kind
    event.subject = subject


def remove_first(w: World) -> None:
    """Take away the event that is due first; read it in place 0 before."""
    calendar = w.calendar
    last = w.used[SCHEDULED] - 1
    w.used[SCHEDULED] = last
    moved = calendar[last]
    i = 0
    while 2 * i + 1 < last:
        child = 2 * i + 1
        if child + 1 < last and is_before(calendar[child + 1], calendar[child].time, calendar[child].order):
            child += 1
        if not is_before(calendar[child], moved.time, moved.order):
            break
        copy_event(calendar[child], calendar[i])
        i = child
    copy_event(moved, calendar[i])


def is_before(event: Any, time: float, order: int) -> bool:
    """Whether `event` is due before an event of the given time and order."""
    return bool(event.time < time or (event.time == time and event.order < order))


def copy_event(source: Any, target: Any) -> None:
    """Write one event into the place of another."""
    target.time = source.time
    target.order = source.order
    target.kind = source.kind
    target.subject = source.subject
