"""Exercises of 11, the real server."""

from breakerlab.lab.exercise import Case, Exercise

EXERCISES = (
    Exercise(
        name="chance_each",
        task="give the probability with which each of `quantities` bands must hold so that all of them hold with at "
        "least `together`, however they hang together (Bonferroni).",
        why="the chances to miss add up at worst: with 122 quantities each band must hold at 99.96 % for 95 % in all.",
        cases=(
            Case({"together": 0.95, "quantities": 1}, 0.95, "one quantity alone"),
            Case({"together": 0.95, "quantities": 4}, 0.9875),
            Case({"together": 0.9, "quantities": 10}, 0.99),
            Case({"together": 0.95, "quantities": 122}, 1 - 0.05 / 122, "as many as of each naive recording"),
        ),
    ),
    Exercise(
        name="all_inside",
        task="give True if every value of `recorded` lies in its band from `low` to `high`, whose ends belong to it; "
        "a value that is not a number lies nowhere.",
        why="a simultaneous band makes one claim about all quantities, and a single value outside refutes it.",
        cases=(
            Case({"recorded": [864, 32], "low": [861, 30], "high": [866, 38]}, True, "the breaker's recording"),
            Case({"recorded": [870, 32], "low": [861, 30], "high": [866, 38]}, False, "one above"),
            Case({"recorded": [864, 32, 0], "low": [861, 30, 0], "high": [866, 38, 0]}, True, "a band without width"),
            Case({"recorded": [864, 1], "low": [861, 0], "high": [866, 0]}, False, "a restart that nobody expected"),
            Case({"recorded": [864, float("nan")], "low": [861, 0], "high": [866, 5]}, False, "not a number"),
        ),
    ),
    Exercise(
        name="lost_attempts",
        task="give the ids of the attempts that began and never ended, in the order in which they began; `lines` are "
        'pairs such as ("begin", "a") and ("end", "a").',
        why="a process that is killed writes no last line; a begin without an end is how it is counted all the same.",
        cases=(
            Case({"lines": [("begin", "a"), ("end", "a")]}, [], "nothing is lost"),
            Case({"lines": [("begin", "a"), ("begin", "b"), ("end", "b")]}, ["a"], "the later one ends first"),
            Case(
                {"lines": [("begin", "c"), ("begin", "a"), ("begin", "b"), ("end", "a")]},
                ["c", "b"],
                "killed with two under way",
            ),
            Case({"lines": []}, [], "nothing began"),
        ),
    ),
)
