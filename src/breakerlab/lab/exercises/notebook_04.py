"""Exercises of 04, retry caps and budgets."""

from breakerlab.lab.exercise import Case, Exercise

EXERCISES = (
    Exercise(
        name="final_attempt_start",
        task="give the second at which the next attempt starts, `wait` seconds after `now`, but no later than (1 "
        "- `reserve`) x `total_time`, so that the final attempt keeps its reserve; None if `now` is that "
        "late already.",
        why="a backoff that would eat into the reserve is cut short, so the last attempt has time to succeed "
        "and nothing is overshot.",
        cases=(
            Case({"total_time": 30.0, "reserve": 0.25, "now": 5.0, "wait": 4.0}, 9.0, "there is time enough"),
            Case({"total_time": 30.0, "reserve": 0.25, "now": 20.0, "wait": 8.0}, 22.5, "28 s is in the reserve"),
            Case({"total_time": 30.0, "reserve": 0.25, "now": 22.5, "wait": 1.0}, None, "the reserve has begun"),
            Case({"total_time": 10.0, "reserve": 0.2, "now": 0.0, "wait": 20.0}, 8.0),
        ),
    ),
    Exercise(
        name="retries_granted",
        task="give how many retries a token bucket grants: it starts full with `burst` tokens and holds no more, "
        "each call first adds `ratio`, and a call that fails, as `failed` says of each, takes one token for "
        "its one retry, if a whole one is there.",
        why="once the burst is spent, retries are at most `ratio` of the calls, however many fail: a cap on "
        "what all calls add.",
        cases=(
            Case({"failed": [True] * 5, "ratio": 0.0, "burst": 3}, 3, "the burst, and no more"),
            Case({"failed": [True] * 20, "ratio": 0.25, "burst": 1}, 5, "every fourth call has earned one"),
            Case(
                {"failed": [False] * 50 + [True] * 5, "ratio": 0.5, "burst": 2}, 4, "calm earns no more than the burst"
            ),
            Case({"failed": [False] * 5, "ratio": 0.5, "burst": 2}, 0, "nothing fails"),
        ),
    ),
)
