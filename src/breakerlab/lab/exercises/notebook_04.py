"""Exercises of 04, retry caps and budgets."""

from breakerlab.lab.exercise import Case, Exercise

OK, FAIL = True, False

EXERCISES = (
    Exercise(
        name="attempts_per_request",
        task="give the mean number of attempts of a request that is tried at most `attempts` times, when each "
        "fails with `probability`.",
        why="(1 - p**n) / (1 - p): near 1 on a calm day, n in a total outage, which is when the service can "
        "bear it least.",
        cases=(
            Case({"probability": 0.0, "attempts": 4}, 1.0, "where nothing fails"),
            Case({"probability": 0.5, "attempts": 4}, 1.875),
            Case({"probability": 1.0, "attempts": 4}, 4.0, "where everything fails"),
            Case({"probability": 0.9, "attempts": 1}, 1.0, "without retries"),
        ),
    ),
    Exercise(
        name="attempts_of_layers",
        task="give the attempts that one request costs in a total outage, where each layer around the call makes "
        "at most so many as `layers` lists.",
        why="layers multiply: an app with 4 attempts around an SDK with 3 makes 12. Retry at one layer only.",
        cases=(
            Case({"layers": [4]}, 4, "one layer"),
            Case({"layers": [4, 3]}, 12, "an app around an SDK"),
            Case({"layers": [4, 4, 4]}, 64),
            Case({"layers": []}, 1, "no layer retries, and still there is the call"),
        ),
    ),
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
    Exercise(
        name="load_with_budget",
        task="give the load relative to no retries when attempts fail with `probability`, callers try without "
        "end, and a budget lets retries be at most `ratio` of the calls.",
        why="min(1 / (1 - p), 1 + ratio): a cap on attempts multiplies, a budget only adds.",
        cases=(
            Case({"probability": 0.05, "ratio": 0.1}, 1.0 / 0.95, "the budget is not used up"),
            Case({"probability": 0.5, "ratio": 0.1}, 1.1),
            Case({"probability": 1.0, "ratio": 0.1}, 1.1, "in a total outage"),
        ),
    ),
)
