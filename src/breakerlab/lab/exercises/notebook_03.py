"""Exercises of 03, backoff and jitter."""

from breakerlab.lab.exercise import Case, Exercise


def _tail(n: int, p: float, k: int) -> float:
    """P(at least k of n) with the probability p each, from the other end, so that it shares no line with a "
    "solution."""
    below, term = 0.0, (1.0 - p) ** n
    for i in range(k):
        below += term
        term *= (n - i) / (i + 1) * p / (1.0 - p)
    return 1.0 - below


EXERCISES = (
    Exercise(
        name="full_jitter_delay",
        task="give the delay with full jitter after failed `attempt`, for a uniform draw `u` in [0, 1): the "
        "doubling term is capped, then drawn below.",
        why="the cap comes before the draw, so late delays stay spread over the whole range instead of piling "
        "up at its end.",
        cases=(
            Case({"base": 1.0, "cap": 20.0, "attempt": 1, "u": 0.25}, 0.25),
            Case({"base": 1.0, "cap": 20.0, "attempt": 4, "u": 0.5}, 4.0),
            Case({"base": 1.0, "cap": 20.0, "attempt": 9, "u": 0.5}, 10.0, "the cap bounds the term before the draw"),
            Case({"base": 2.0, "cap": 20.0, "attempt": 3, "u": 0.0}, 0.0, "full jitter may not wait at all"),
        ),
    ),
    Exercise(
        name="probability_together",
        task="give the probability that at least `k` of `callers` retry in the same given one of `bins` equally "
        "likely time slots.",
        why="a binomial tail: 1,000 callers over 100 slots are 10 on average in each, and 20 or more in one "
        "slot in 300.",
        cases=(
            Case({"callers": 10, "bins": 1, "k": 10}, 1.0, "without spread all come at once"),
            Case({"callers": 2, "bins": 4, "k": 1}, 7 / 16, "neither of two misses the slot"),
            Case({"callers": 2, "bins": 4, "k": 0}, 1.0, "at least none is certain"),
            Case({"callers": 20, "bins": 10, "k": 5}, _tail(20, 0.1, 5)),
            Case({"callers": 1000, "bins": 100, "k": 20}, _tail(1000, 0.01, 20)),
        ),
    ),
)
