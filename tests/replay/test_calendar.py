"""The calendar against a sorted list."""

import bisect

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from breakerlab.replay.calendar import remove_first, schedule
from breakerlab.replay.tables import SCHEDULED, SCHEDULED_EVENT, World

TIMES = st.integers(0, 5).map(float) | st.floats(0.0, 1e9)


def empty_calendar() -> World:
    nothing = dict.fromkeys(World._fields)
    room = np.zeros(200, SCHEDULED_EVENT).view(np.recarray)
    return World(**{**nothing, "calendar": room, "used": np.zeros(4, np.int64)})


@given(st.lists(TIMES | st.none(), max_size=200))
def test_events_come_out_by_time_and_those_of_one_moment_in_order(steps: list[float | None]) -> None:
    """A number puts an event in, None takes the first one out."""
    world, expected = empty_calendar(), []

    def take_out() -> None:
        first = world.calendar[0]
        assert (first.time, first.subject, first.kind) == (*expected[0], expected[0][1] % 7)
        del expected[0]
        remove_first(world)

    for number, time in enumerate(steps):
        if time is not None:
            schedule(world, time, number % 7, number)
            bisect.insort(expected, (time, number))
        elif expected:
            take_out()
        assert world.used[SCHEDULED] == len(expected)
    while expected:
        take_out()
