"""Records that are used again: calls in the app and jobs in the service, and the two-way lists that they stand in.

Whoever refers to a record from outside (an event in the calendar, a job that refers to its caller) does so by a ticket:
its place and its stamp at that time. The stamp goes up whenever what was said of the record no longer holds, so an old
ticket is told at a glance.
"""

from typing import Any

PLACES = 1 << 24
NOTHING = -1


def ticket(place: int, stamp: int) -> int:
    return stamp * PLACES + place


def place_of(number: int) -> int:
    return number & (PLACES - 1)


def is_current(records: Any, number: int) -> bool:
    """Whether what the ticket says of its record still holds."""
    return bool(records[number & (PLACES - 1)].stamp == number >> 24)


def take(store: Any, records: Any) -> int:
    """A record that nobody uses; what it holds is what its last user left."""
    i = store.free
    if i == NOTHING:
        i = store.used
        store.used = i + 1
    else:
        store.free = records[i].next
    return int(i)


def give_back(store: Any, records: Any, i: int) -> None:
    """Record `i` is no longer used, and no ticket of it holds."""
    record = records[i]
    record.state = 0
    record.stamp += 1
    record.next = store.free
    store.free = i


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
