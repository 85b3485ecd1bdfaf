"""Records that are used again: calls in the app and jobs in the service, and the two-way lists that they stand in.

Whoever refers to a record from outside (an event in the calendar, a job that refers to its caller) does so by a ticket:
its place and its stamp at that time. The stamp goes up whenever what was said of the record no longer holds, so an old
ticket is told at a glance.
"""

from typing import Any

from breakerlab.replay.tables import World

PLACES = 1 << 24
NOTHING = -1


def ticket(place: int, stamp: int) -> int:
    return stamp * PLACES + place


def place_of(number: int) -> int:
    return number & (PLACES - 1)


def is_current(records: Any, number: int) -> bool:
    """Whether what the ticket says of its record still holds."""
    return bool(records[number & (PLACES - 1)].stamp == number >> 24)


def take_call(w: World) -> int:
    """A record for a call; what it holds is what its last user left."""
    clock = w.clock[0]
    c = clock.free_call
    if c == NOTHING:
        c = clock.calls
        clock.calls = c + 1
        return int(c)
    clock.free_call = w.calls[c].next
    return int(c)


def free_call(w: World, c: int) -> None:
    call = w.calls[c]
    call.state = 0
    call.stamp += 1
    call.next = w.clock[0].free_call
    w.clock[0].free_call = c


def take_job(w: World) -> int:
    """A record for a job; what it holds is what its last user left."""
    clock = w.clock[0]
    j = clock.free_job
    if j == NOTHING:
        j = clock.jobs
        clock.jobs = j + 1
        return int(j)
    clock.free_job = w.jobs[j].next
    return int(j)


def free_job(w: World, j: int) -> None:
    job = w.jobs[j]
    job.state = 0
    job.stamp += 1
    job.next = w.clock[0].free_job
    w.clock[0].free_job = j


def append(owner: Any, records: Any, i: int) -> None:
    """Put record `i` at the end of the list whose ends `owner` knows."""
    record = records[i]
    record.next = NOTHING
    record.previous = owner.last
    if owner.last == NOTHING:
        owner.first = i
    else:
        records[owner.last].next = i
    owner.last = i


def unlink(owner: Any, records: Any, i: int) -> None:
    """Take record `i` out of the list, wherever it stands."""
    before, after = records[i].previous, records[i].next
    if before == NOTHING:
        owner.first = after
    else:
        records[before].next = after
    if after == NOTHING:
        owner.last = before
    else:
        records[after].previous = before
