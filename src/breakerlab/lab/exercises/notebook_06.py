"""Exercises of 06, degrade gracefully."""

from breakerlab.lab.exercise import Case, Exercise, Pair

EXERCISES = (
    Exercise(
        name="goodput",
        task="give the answers per second that reached a waiting caller: of `answers`, pairs of (ok, seconds), "
        "those that are ok and took no longer than `patience`, over `duration` seconds.",
        why="an answer that comes after its caller has left is work, not service: count what somebody was there "
        "to read.",
        cases=(
            Case({"answers": [(True, 1.0), (True, 2.0)], "patience": 8.0, "duration": 2.0}, 1.0),
            Case({"answers": [(True, 9.0), (True, 1.0)], "patience": 8.0, "duration": 1.0}, 1.0, "one came too late"),
            Case({"answers": [(False, 0.1), (True, 1.0)], "patience": 8.0, "duration": 1.0}, 1.0, "one is an error"),
            Case({"answers": [], "patience": 8.0, "duration": 5.0}, 0.0, "nobody asked"),
        ),
    ),
    Exercise(
        name="who_serves",
        task="give the name of the first in `chain`, triples of (name, available, seconds), that is available "
        "and needs at most `patience` seconds; 'nobody' if there is none. One that is not available costs "
        "no time.",
        why="the order of a fallback chain is a decision: the best answer that still comes in time, and a "
        "message at the end.",
        cases=(
            Case({"chain": [("llm", True, 2.0), ("cache", True, 0.0)], "patience": 8.0}, "llm"),
            Case({"chain": [("llm", False, 2.0), ("cache", True, 0.0)], "patience": 8.0}, "cache", "the LLM is down"),
            Case(
                {"chain": [("llm", True, 9.0), ("small model", True, 1.0)], "patience": 8.0},
                "small model",
                "the LLM would be too late",
            ),
            Case({"chain": [("llm", False, 2.0)], "patience": 8.0}, "nobody", "nobody is left"),
        ),
    ),
    Exercise(
        name="times_carried_out",
        task="give how many times a write is carried out by a service that keeps keys: `attempts` are the keys "
        "of the attempts that reached it, None for one without a key.",
        why="attempts under one key are carried out once; a retry without a key is a second order, a second charge.",
        cases=(
            Case({"attempts": ["a", "a", "a"]}, 1, "three attempts of one request"),
            Case({"attempts": ["a", "b", "a"]}, 2, "two requests"),
            Case({"attempts": [None, None]}, 2, "without a key each attempt counts"),
            Case({"attempts": []}, 0, "nothing arrived"),
        ),
    ),
    Exercise(
        name="idempotency_key",
        task="give the key that `attempt` of `request` of `client` sends: one for all attempts of a request, and "
        "another for any other request.",
        why="the key belongs to what the caller wants, not to how often it is tried: one per logical request.",
        cases=(
            Pair(
                {"client": "ann", "request": 7, "attempt": 1},
                {"client": "ann", "request": 7, "attempt": 2},
                True,
                "since a retry is the same request",
            ),
            Pair(
                {"client": "ann", "request": 7, "attempt": 1},
                {"client": "ann", "request": 8, "attempt": 1},
                False,
                "since these are two requests",
            ),
            Pair(
                {"client": "ann", "request": 7, "attempt": 1},
                {"client": "bob", "request": 7, "attempt": 1},
                False,
                "since these are two clients",
            ),
            Pair(
                {"client": "a1", "request": 1, "attempt": 1},
                {"client": "a", "request": 11, "attempt": 1},
                False,
                "since a key made of two parts needs a mark between them",
            ),
        ),
    ),
)
