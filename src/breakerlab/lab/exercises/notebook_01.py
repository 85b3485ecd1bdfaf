"""Exercises of 01, the anatomy of a meltdown."""

from breakerlab.lab.exercise import Case, Exercise

EXERCISES = (
    Exercise(
        name="workers_in_use",
        task="give the mean number of workers that `rate` requests per second hold for `seconds` each.",
        why="Little's law: what is in the house is the rate at which it comes times how long it stays. Latency "
        "fills pools.",
        cases=(
            Case({"rate": 9.0, "seconds": 0.5}, 4.5, "on a calm day"),
            Case({"rate": 9.0, "seconds": 20.0}, 180.0, "with retries that wait"),
            Case({"rate": 0.0, "seconds": 20.0}, 0.0, "when nobody calls"),
        ),
    ),
    Exercise(
        name="seconds_held",
        task="give how long a request holds its worker when all its `attempts` fail after `attempt_seconds` "
        "each, with `delay` seconds between two of them.",
        why="ten attempts 2 s apart hold a worker for 18 s even where each refusal is instant: patience is what "
        "fills the pool.",
        cases=(
            Case({"attempts": 1, "attempt_seconds": 0.5, "delay": 2.0}, 0.5, "without a retry there is no delay"),
            Case({"attempts": 10, "attempt_seconds": 0.0, "delay": 2.0}, 18.0, "nine delays lie between ten attempts"),
            Case({"attempts": 3, "attempt_seconds": 10.0, "delay": 2.0}, 34.0, "when every attempt times out"),
        ),
    ),
)
