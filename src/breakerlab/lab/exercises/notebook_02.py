"""Exercises of 02, the circuit breaker."""

from breakerlab.lab.exercise import Case, Exercise

OK, FAIL = True, False

EXERCISES = (
    Exercise(
        name="opens_after_rate",
        task="give the number of the call (from 1) at which a circuit opens because at least `rate` of the last "
        "`window` calls failed, judged from `minimum_calls` calls on, or None.",
        why="a rate sees the partial outage that a count of failures in a row overlooks; the minimum keeps one "
        "bad call quiet.",
        cases=(
            Case({"outcomes": [FAIL, OK, FAIL, FAIL], "rate": 0.5, "window": 4, "minimum_calls": 4}, 4),
            Case(
                {"outcomes": [FAIL, FAIL, FAIL], "rate": 0.5, "window": 10, "minimum_calls": 5},
                None,
                "three calls are fewer than the minimum",
            ),
            Case(
                {"outcomes": [OK, OK, OK, OK, FAIL, FAIL], "rate": 0.5, "window": 4, "minimum_calls": 4},
                6,
                "only the last four calls count",
            ),
            Case(
                {"outcomes": [OK, FAIL], "rate": 0.5, "window": 4, "minimum_calls": 2},
                2,
                "a window that is not full is judged by the calls that it has",
            ),
            Case(
                {"outcomes": [FAIL, OK, OK, OK, FAIL], "rate": 0.5, "window": 4, "minimum_calls": 4},
                None,
                "the first failure has left the window when the second comes",
            ),
        ),
    ),
    Exercise(
        name="probes_admitted",
        task="give how many of `waiting` callers a half-open circuit lets through at once, with `permits` "
        "permits of which `in_flight` are taken.",
        why="without permits every waiting caller is a probe, and a service that just came back meets the whole herd.",
        cases=(
            Case({"waiting": 32, "permits": 1, "in_flight": 0}, 1, "the article's class lets through all 32"),
            Case({"waiting": 32, "permits": 3, "in_flight": 2}, 1, "two permits are taken"),
            Case({"waiting": 2, "permits": 5, "in_flight": 0}, 2, "nobody else waits"),
            Case({"waiting": 4, "permits": 1, "in_flight": 1}, 0, "the only permit is taken"),
        ),
    ),
)
