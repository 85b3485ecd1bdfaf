"""Exercises of 05, why the outage outlives its cause."""

from breakerlab.lab.exercise import Case, Exercise

EXERCISES = (
    Exercise(
        name="can_stay_down",
        task="give True if a service of `capacity` requests/s that carries `load` requests/s today would be "
        "overloaded if each request were tried `attempts` times.",
        why="load x attempts > capacity is the vulnerable region: it works for years, until something pushes it "
        "over the edge.",
        cases=(
            Case({"load": 140.0, "capacity": 300.0, "attempts": 2}, False, "280 fit into 300"),
            Case({"load": 160.0, "capacity": 300.0, "attempts": 2}, True, "320 do not fit into 300"),
            Case({"load": 280.0, "capacity": 300.0, "attempts": 1}, False, "without retries"),
            Case({"load": 150.0, "capacity": 300.0, "attempts": 2}, False, "300 just fit"),
        ),
    ),
    Exercise(
        name="seconds_to_drain",
        task="give how long after its end an outage of `outage` seconds is worked off, when `load` requests/s "
        "waited in an endless queue and the service does `capacity` requests/s; infinity if never.",
        why="backlog over spare capacity: close to capacity a short outage takes minutes to work off, all of it "
        "too late.",
        cases=(
            Case({"load": 100.0, "capacity": 300.0, "outage": 10.0}, 5.0),
            Case({"load": 280.0, "capacity": 300.0, "outage": 10.0}, 140.0, "only 20 requests/s are spare"),
            Case({"load": 300.0, "capacity": 300.0, "outage": 10.0}, float("inf"), "nothing is spare"),
            Case({"load": 100.0, "capacity": 300.0, "outage": 0.0}, 0.0, "no outage"),
        ),
    ),
    Exercise(
        name="longest_outage",
        task="give the longest outage in seconds after which the first caller in line waits at most `timeout` "
        "seconds for an answer that takes `service_seconds`.",
        why="after a longer one, first in first out serves callers who have left, and each of them has sent a retry.",
        cases=(
            Case({"timeout": 1.0, "service_seconds": 0.1}, 0.9),
            Case({"timeout": 10.0, "service_seconds": 2.5}, 7.5),
            Case({"timeout": 1.0, "service_seconds": 2.0}, 0.0, "too slow even without an outage"),
        ),
    ),
    Exercise(
        name="blocking_probability",
        task="give the probability that a call finds all `slots` taken, for an offered load of `erlangs`, where "
        "nobody waits (Erlang B).",
        why="Erlang's formula holds for any distribution of service times: 18 erlangs on 16 slots lose 24 % of "
        "the calls.",
        cases=(
            Case({"erlangs": 1.0, "slots": 0}, 1.0, "without slots"),
            Case({"erlangs": 1.0, "slots": 1}, 0.5),
            Case({"erlangs": 2.0, "slots": 2}, 0.4),
            Case({"erlangs": 18.0, "slots": 16}, 0.23569, "as in the reference checks"),
        ),
        tolerance=1e-4,
    ),
)
