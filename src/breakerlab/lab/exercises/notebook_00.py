"""Exercises of 00, start here."""

from breakerlab.lab.exercise import Case, Exercise

EXERCISES = (
    Exercise(
        name="attempts_per_second",
        task="give how many attempts per second reach an API that refuses each of them at once, if `rate` requests "
        "come per second and each is tried up to `attempts` times.",
        why="retries multiply the load, and most where everything fails.",
        cases=(
            Case({"rate": 9.0, "attempts": 1}, 9.0, "without a retry"),
            Case({"rate": 9.0, "attempts": 10}, 90.0, "under the policy that was on"),
            Case({"rate": 0.0, "attempts": 10}, 0.0, "when nobody calls"),
        ),
    ),
    Exercise(
        name="largest_safe_cap",
        task="give the largest cap on attempts up to which every cap in `restarts` has no restart, or None; "
        "`restarts` says for each cap how many there were.",
        why="a cap is chosen with room to the first one that fails, and not by the last one that was lucky.",
        cases=(
            Case({"restarts": {1: 0, 2: 0, 3: 0, 4: 1, 5: 2}}, 3, "in the recorded incident"),
            Case({"restarts": {1: 0, 2: 1, 3: 0}}, 1, "a lucky cap above one that is not safe does not count"),
            Case({"restarts": {3: 0, 1: 0, 2: 0}}, 3, "the caps may be in any order"),
            Case({"restarts": {1: 2, 2: 0}}, None, "not even one attempt is safe"),
        ),
    ),
)
