"""Small programs compiled as one, as the engine is: they run, share what they share, and leave numba as it was."""

import threading

import numba
import numpy as np
import pytest

from breakerlab.policy import Policy
from breakerlab.replay import Poisson, Scenario, Service, replay
from breakerlab.replay.whole_program import compiled_as_one

PARTS = {"program.<locals>.four_times", "double", "half"}


def double(x: float) -> float:
    return 2.0 * x


def half(x: float) -> float:
    return 0.5 * x


def entry(x: float, times: int) -> float:
    for _ in range(times):
        x = quadruple(x)
    return shrink(x)


@pytest.fixture
def program():
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    global quadruple, shrink
    inner = numba.njit(double, **options)

    def four_times(x: float) -> float:
        return inner(inner(x))

    quadruple, shrink = numba.njit(four_times, **options), numba.njit(half, **options)
    return numba.njit(entry)


def test_it_computes_what_its_parts_say(program) -> None:
    told = []
    with compiled_as_one("entry", PARTS, lambda: told.append("compiling")):
        assert program(3.0, 5) == 0.5 * 3.0 * 4.0**5
    assert told == ["compiling"]


def test_numba_compiles_as_before_afterwards(program) -> None:
    with compiled_as_one("entry", PARTS, lambda: None):
        program(1.0, 1)
    assert numba.njit(lambda x: np.sqrt(x) + x)(4.0) == 6.0


def test_a_mistake_within_leaves_numba_as_it_was() -> None:
    with pytest.raises(ZeroDivisionError), compiled_as_one("entry", PARTS, lambda: None):
        raise ZeroDivisionError
    assert numba.njit(lambda x: x + 1)(1) == 2


def test_threads_that_come_first_together_all_get_their_run() -> None:
    scenario = Scenario(Poisson(20.0), Service(2, 2), duration=20.0)
    expected = [replay(scenario, Policy.recommended(), seed).summary()["attempts"] for seed in range(4)]
    found = [0.0] * 4

    def play(seed: int) -> None:
        found[seed] = replay(scenario, Policy.recommended(), seed).summary()["attempts"]

    threads = [threading.Thread(target=play, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected
