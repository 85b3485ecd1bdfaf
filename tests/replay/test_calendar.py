"""The calendar against a sorted list."""

import bisect

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from breakerlab.replay.calendar import KINDS, close_hole, remove_first, restore_order, schedule
from breakerlab.replay.tables import CLOCK, SCHEDULED_EVENT, World

TIMES = st.integers(0, 5).map(float) | st.floats(0.0, 1e9)


def empty_calendar() -> World:
    nothing = dict.fromkeys(World._fields)
    room = np.zeros(200, SCHEDULED_EVENT).view(np.recarray)
    return World(**{**nothing, "calendar": room, "clock": np.zeros(1, CLOCK).view(np.recarray)})


@given(st.lists(TIMES | st.sampled_from(["first", "swap", "shuffle"]), max_size=200))
def test_events_come_out_by_time_and_those_of_one_moment_in_order(steps: list[float | str]) -> None:
    """A number puts an event in; "first" takes the first one out, "swap" the first one, and puts one in at once;
    "shuffle" turns the events around and restores their order."""
    world, expected = empty_calendar(), []

    def put_in(number: int, time: float) -> None:
        schedule(world, time, number % 7, number)
        bisect.insort(expected, (time, number))

    def take_out() -> None:
        first = world.calendar[0]
        assert (first.time, first.subject, first.key % KINDS) == (*expected[0], expected[0][1] % 7)
        del expected[0]
        remove_first(world)

    for number, step in enumerate(steps):
        if isinstance(step, float):
            put_in(number, step)
        elif expected and step == "shuffle":
            events = world.calendar[: len(expected)]
            events[:] = events[::-1].copy()
            restore_order(world)
        elif expected:
            take_out()
            if step == "swap":
                put_in(number, float(number % 5))
            close_hole(world)
        assert world.clock[0].scheduled == len(expected)
    while expected:
        take_out()
        close_hole(world)
