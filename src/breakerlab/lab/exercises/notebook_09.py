"""Exercises of 09, the policy explorer."""

from breakerlab.lab.exercise import Case, Exercise

OURS = {"attempts": 3, "timeout": 10.0, "failure_threshold": 5}

EXERCISES = (
    Exercise(
        name="knobs_turned",
        task="give the names of the knobs that stand differently in `before` and `after`, in order of the alphabet.",
        why="a comparison says what one knob does only if one knob was turned; a list of two or more says that you "
        "compare something else.",
        cases=(
            Case({"before": OURS, "after": OURS}, [], "nothing was turned"),
            Case({"before": OURS, "after": {**OURS, "attempts": 2}}, ["attempts"]),
            Case(
                {"before": OURS, "after": {"attempts": 4, "timeout": 2.0, "failure_threshold": 5}},
                ["attempts", "timeout"],
            ),
            Case({"before": OURS, "after": {"attempts": 3, "timeout": 10.0}}, ["failure_threshold"], "the rule is off"),
            Case({"before": {"timeout": 5.0}, "after": {"timeout": 5.0, "budget": None}}, [], "off in both"),
            Case({"before": {"timeout": 5.0}, "after": {"timeout": 5.0, "budget": 0.1}}, ["budget"], "a new rule"),
        ),
    ),
    Exercise(
        name="worth_defending",
        task="give the names in `candidates` that no other beats: in answers and 503s at least as good, in one better.",
        why="what is left is a choice between two goods, and that choice is yours to defend; all others lose on both "
        "counts.",
        cases=(
            Case({"candidates": {"a": (900, 50), "b": (800, 60)}}, ["a"], "a answers more and costs less"),
            Case({"candidates": {"a": (900, 50), "b": (800, 30)}}, ["a", "b"], "neither beats the other"),
            Case({"candidates": {"a": (900, 50), "b": (900, 30)}}, ["b"], "the same answers for less"),
            Case({"candidates": {"a": (900, 50), "b": (900, 50)}}, ["a", "b"], "two that are alike"),
            Case({"candidates": {"a": (700, 40), "b": (900, 50), "c": (800, 40)}}, ["b", "c"], "in the order given"),
            Case({"candidates": {"only": (1, 99)}}, ["only"], "with nobody to lose to"),
        ),
    ),
)
