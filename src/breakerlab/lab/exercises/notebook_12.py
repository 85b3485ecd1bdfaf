"""Exercises of 12, the challenge."""

from breakerlab.lab.exercise import Case, Exercise

NEVER = float("inf")
LIMITS = {"goodput": 8.0, "amplification": 1.5, "time_to_recover": 30.0}

EXERCISES = (
    Exercise(
        name="within_limits",
        task="give True if `goodput` is at least, and `amplification` and `time_to_recover` are at most, what "
        "`limits` names for each.",
        why="three limits at once: a policy that answers hardly anybody is gentle, and one that hammers answers many.",
        cases=(
            Case({"goodput": 8.5, "amplification": 1.2, "time_to_recover": 12.0, "limits": LIMITS}, True),
            Case({"goodput": 7.9, "amplification": 1.2, "time_to_recover": 12.0, "limits": LIMITS}, False, "too few"),
            Case({"goodput": 8.5, "amplification": 1.6, "time_to_recover": 12.0, "limits": LIMITS}, False, "too many"),
            Case(
                {"goodput": 8.5, "amplification": 1.2, "time_to_recover": NEVER, "limits": LIMITS}, False, "never back"
            ),
            Case({"goodput": 8.0, "amplification": 1.5, "time_to_recover": 30.0, "limits": LIMITS}, True, "just so"),
        ),
    ),
    Exercise(
        name="mean_difference",
        task="give the mean of the differences `mine` minus `baseline`, seed by seed, and its standard error: "
        "the standard deviation of the differences (over n - 1) over the root of n.",
        why="pairs cancel what both policies met, the same callers and the same draws; what is left is the "
        "policies' doing.",
        cases=(
            Case({"mine": [3.0, 5.0], "baseline": [1.0, 1.0]}, (3.0, 1.0)),
            Case({"mine": [10.0, 20.0, 30.0], "baseline": [9.0, 19.0, 29.0]}, (1.0, 0.0), "each seed says the same"),
            Case({"mine": [1.0, 2.0, 3.0, 4.0], "baseline": [1.0, 1.0, 1.0, 1.0]}, (1.5, 0.6454972243679028)),
        ),
    ),
    Exercise(
        name="verdict",
        task="give 'higher' or 'lower' if the interval from `low` to `high` of a difference lies on one side of "
        "0, and 'noise' if it holds 0.",
        why="an interval that holds 0 does not say that two policies are equal: it says that these seeds cannot tell.",
        cases=(
            Case({"low": 0.5, "high": 2.0}, "higher"),
            Case({"low": -3.0, "high": -0.1}, "lower"),
            Case({"low": -0.5, "high": 2.0}, "noise"),
            Case({"low": 0.0, "high": 2.0}, "noise", "0 is in the interval"),
        ),
    ),
)
