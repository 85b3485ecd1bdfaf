"""Exercises of 07, when not to use a breaker."""

from breakerlab.lab.exercise import Case, Exercise

EXERCISES = (
    Exercise(
        name="false_trip_probability",
        task="give the probability that at least `needed` of the `window` calls fail, when each fails with "
        "`probability`: the chance that a full window opens the circuit though nothing has changed.",
        why="a binomial tail: at 20 % failures and a rule of 50 %, one window of 10 in 30 trips by chance, of "
        "50 nearly none.",
        cases=(
            Case({"window": 1, "needed": 1, "probability": 0.2}, 0.2),
            Case({"window": 2, "needed": 1, "probability": 0.5}, 0.75, "one or two fail"),
            Case({"window": 10, "needed": 5, "probability": 0.2}, 0.0327934976, "as in the reference checks"),
            Case({"window": 50, "needed": 25, "probability": 0.2}, 2.09485486e-06, "a larger window"),
        ),
        tolerance=1e-4,
    ),
    Exercise(
        name="share_still_answered",
        task="give the share of requests answered when `failing` of `shards` equal shards fail and one breaker "
        "stands before all of them, which opens as soon as `threshold` of the requests fail.",
        why="one circuit for many parts makes a whole outage of a partial one: give each part a circuit of its own.",
        cases=(
            Case({"shards": 10, "failing": 1, "threshold": 0.5}, 0.9, "the circuit stays closed"),
            Case({"shards": 10, "failing": 5, "threshold": 0.5}, 0.0, "it opens for the good half too"),
            Case({"shards": 4, "failing": 1, "threshold": 0.2}, 0.0, "a sensitive rule"),
            Case({"shards": 4, "failing": 0, "threshold": 0.2}, 1.0, "nothing fails"),
        ),
    ),
    Exercise(
        name="seconds_until_noticed",
        task="give how many seconds each of `clients` needs until its own breaker has seen `minimum_calls`, when "
        "all together send `rate` requests per second.",
        why="a thousand small clients each learn alone, and slowly: the service is hit minimum_calls x clients "
        "times before all have opened.",
        cases=(
            Case({"clients": 1, "rate": 100.0, "minimum_calls": 10}, 0.1),
            Case({"clients": 1000, "rate": 100.0, "minimum_calls": 10}, 100.0, "each sends a request in 10 s"),
            Case({"clients": 50, "rate": 25.0, "minimum_calls": 20}, 40.0),
        ),
    ),
)
