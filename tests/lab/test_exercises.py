"""Every solution is right, every common mistake is told wrong in one sentence, and nothing is ever thrown."""

import math

import numpy as np
import pytest

from breakerlab.lab import check, solutions
from breakerlab.lab.exercise import CHAPTERS, Case, Exercise, exercise, exercises, in_chapter, judge

ALL = exercises()

MISTAKES = {
    "attempts_per_second": [lambda rate, attempts: rate, lambda rate, attempts: rate * (attempts - 1)],
    "largest_safe_cap": [
        lambda restarts: max(cap for cap, number in restarts.items() if number == 0),
        lambda restarts: len([number for number in restarts.values() if number == 0]) or None,
    ],
    "workers_in_use": [lambda rate, seconds: rate / seconds, lambda rate, seconds: rate],
    "seconds_held": [lambda attempts, attempt_seconds, delay: attempts * (attempt_seconds + delay)],
    "opens_after_rate": [
        lambda outcomes, rate, window, minimum_calls: next(  # over all calls, not the window
            (n for n in range(minimum_calls, len(outcomes) + 1) if outcomes[:n].count(False) / n >= rate),
            None,
        ),
        lambda outcomes, rate, window, minimum_calls: next(  # no minimum
            (
                n
                for n in range(1, len(outcomes) + 1)
                if outcomes[max(n - window, 0) : n].count(False) / len(outcomes[max(n - window, 0) : n]) >= rate
            ),
            None,
        ),
    ],
    "probes_admitted": [
        lambda waiting, permits, in_flight: waiting,  # the article's class
        lambda waiting, permits, in_flight: min(waiting, permits),
        lambda waiting, permits, in_flight: permits - in_flight,
    ],
    "full_jitter_delay": [
        lambda base, cap, attempt, u: min(cap, base * 2 ** (attempt - 1) * u),  # capped after the draw
        lambda base, cap, attempt, u: min(cap, base * 2 ** (attempt - 1)) * (1 + u / 2),  # the article's
    ],
    "probability_together": [
        lambda callers, bins, k: math.comb(callers, k) * (1 / bins) ** k * (1 - 1 / bins) ** (callers - k),
        lambda callers, bins, k: 1 - (1 - 1 / bins) ** callers,
    ],
    "final_attempt_start": [
        lambda total_time, reserve, now, wait: now + wait,
        lambda total_time, reserve, now, wait: min(now + wait, (1 - reserve) * total_time),
        lambda total_time, reserve, now, wait: min(now + wait, total_time) if now < total_time else None,
    ],
    "retries_granted": [
        lambda failed, ratio, burst: sum(failed),
        lambda failed, ratio, burst: min(sum(failed), int(burst + ratio * len(failed))),
    ],
    "can_stay_down": [
        lambda load, capacity, attempts: load > capacity,
        lambda load, capacity, attempts: load * attempts >= capacity,
    ],
    "seconds_to_drain": [
        lambda load, capacity, outage: load * outage / capacity,
        lambda load, capacity, outage: load * outage / (capacity - load),
    ],
    "longest_outage": [
        lambda timeout, service_seconds: timeout,
        lambda timeout, service_seconds: timeout - service_seconds,
    ],
    "blocking_probability": [lambda erlangs, slots: erlangs / (erlangs + slots)],
    "goodput": [
        lambda answers, patience, duration: len(answers) / duration,
        lambda answers, patience, duration: sum(ok for ok, _ in answers) / duration,
        lambda answers, patience, duration: sum(seconds <= patience for _, seconds in answers) / duration,
    ],
    "who_serves": [
        lambda chain, patience: chain[0][0],
        lambda chain, patience: next((name for name, up, _ in chain if up), "nobody"),
        lambda chain, patience: next((name for name, up, s in chain if up and s <= patience), None),
    ],
    "times_carried_out": [len, lambda attempts: len(attempts), lambda attempts: len(set(attempts))],
    "idempotency_key": [
        lambda client, request, attempt: f"{client}/{request}/{attempt}",
        lambda client, request, attempt: request,
        lambda client, request, attempt: f"{client}{request}",
        lambda client, request, attempt: "key",
        lambda client, request, attempt: None,
    ],
    "false_trip_probability": [
        lambda window, needed, probability: (
            math.comb(window, needed) * probability**needed * (1 - probability) ** (window - needed)
        ),
        lambda window, needed, probability: probability**needed,
    ],
    "share_still_answered": [
        lambda shards, failing, threshold: 1 - failing / shards,
        lambda shards, failing, threshold: 0 if failing / shards > threshold else 1 - failing / shards,
    ],
    "seconds_until_noticed": [lambda clients, rate, minimum_calls: minimum_calls / rate],
    "knobs_turned": [
        lambda before, after: sorted(name for name in before if before[name] != after[name]),
        lambda before, after: sorted(name for name in after if before.get(name) != after[name]),
        lambda before, after: sorted(set(before.items()) ^ set(after.items())),
        lambda before, after: [name for name in {**after, **before} if before.get(name, 0) != after.get(name, 0)],
    ],
    "worth_defending": [
        lambda candidates: [max(candidates, key=lambda name: candidates[name][0])],
        lambda candidates: [max(candidates, key=lambda name: candidates[name][0] - candidates[name][1])],
        lambda candidates: [  # beaten by whoever is as good in both: two that are alike lose to each other
            name
            for name, (answers, errors) in candidates.items()
            if not any(n != name and a >= answers and e <= errors for n, (a, e) in candidates.items())
        ],
        lambda candidates: [  # beaten only by whoever is better in both
            name
            for name, (answers, errors) in candidates.items()
            if not any(a > answers and e < errors for a, e in candidates.values())
        ],
    ],
    "chance_each": [
        lambda together, quantities: together,
        lambda together, quantities: together / quantities,
        lambda together, quantities: together ** (1 / quantities),  # right only for what is independent
    ],
    "all_inside": [
        lambda recorded, low, high: all(a < x < b for a, x, b in zip(low, recorded, high, strict=True)),
        lambda recorded, low, high: any(a <= x <= b for a, x, b in zip(low, recorded, high, strict=True)),
        lambda recorded, low, high: not any(x < a or x > b for a, x, b in zip(low, recorded, high, strict=True)),
        lambda recorded, low, high: low[0] <= recorded[0] <= high[0],
    ],
    "lost_attempts": [
        lambda lines: [attempt for kind, attempt in lines if kind == "begin"],
        lambda lines: lines and [lines[-1][1]],
        lambda lines: sorted(
            {attempt for kind, attempt in lines if kind == "begin"}
            - {attempt for kind, attempt in lines if kind == "end"}
        ),
        lambda lines: sum(kind == "begin" for kind, _ in lines) - sum(kind == "end" for kind, _ in lines),
    ],
    "within_limits": [
        lambda goodput, amplification, time_to_recover, limits: goodput >= limits["goodput"],
        lambda goodput, amplification, time_to_recover, limits: (
            goodput > limits["goodput"] and amplification < limits["amplification"] and time_to_recover < 30
        ),
        lambda goodput, amplification, time_to_recover, limits: True,
    ],
    "mean_difference": [
        lambda mine, baseline: np.mean(mine) - np.mean(baseline),
        lambda mine, baseline: (np.mean(np.subtract(mine, baseline)), np.std(np.subtract(mine, baseline), ddof=1)),
        lambda mine, baseline: (
            np.mean(mine) - np.mean(baseline),
            (np.var(mine, ddof=1) / len(mine) + np.var(baseline, ddof=1) / len(mine)) ** 0.5,  # unpaired
        ),
    ],
    "verdict": [
        lambda low, high: "higher" if low + high > 0 else "lower",
        lambda low, high: "higher" if low >= 0 else "lower" if high <= 0 else "noise",
    ],
}


@pytest.mark.parametrize("name", ALL)
def test_the_solution_is_right(name: str) -> None:
    assert judge(ALL[name], solutions.solution(name)) == ("right", ALL[name].why)


@pytest.mark.parametrize("name", ALL)
def test_mistakes_are_told_wrong_in_one_sentence_without_the_solution(name: str) -> None:
    body = solutions.source(name).splitlines()[-1].strip().removeprefix("return ")
    for mistake in MISTAKES[name]:
        found = judge(ALL[name], mistake)
        assert found.status == "wrong", found
        assert found.sentence.startswith(f"{name}(")
        assert found.sentence.endswith(".")
        assert "expected" in found.sentence
        assert "\n" not in str(found)
        assert body not in found.sentence or len(body) < 12


def test_every_notebook_with_exercises_has_two_or_more_and_names_are_unique() -> None:
    assert {number: len(in_chapter(number)) >= 2 for number in CHAPTERS} == dict.fromkeys(CHAPTERS, True)
    assert sum(len(in_chapter(number)) for number in CHAPTERS) == len(ALL)


@pytest.mark.parametrize("name", ALL)
def test_cases_name_the_parameters_of_the_solution(name: str) -> None:
    import inspect

    parameters = set(inspect.signature(solutions.solution(name)).parameters)
    assert all(set(case.inputs) == parameters for case in ALL[name].cases)


def not_written(**inputs: object) -> object:
    raise NotImplementedError


def raises(**inputs: object) -> object:
    raise KeyError("x" * 500 + "\nsecond line")


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None


def test_what_is_not_written_is_not_yet(capsys) -> None:
    check("workers_in_use", not_written)
    assert capsys.readouterr().out == (
        "not yet: give the mean number of workers that `rate` requests per second hold for `seconds` each.\n"
    )


def test_a_wrong_answer_is_told_with_input_got_and_expected(capsys) -> None:
    check("workers_in_use", lambda rate, seconds: rate)
    assert capsys.readouterr().out == (
        "wrong: workers_in_use(rate=9, seconds=0.5) gives 9, expected 4.5, on a calm day.\n"
    )


@pytest.mark.parametrize(
    ("function", "part"),
    [
        (raises, "raises KeyError ("),
        (lambda: 1, "raises TypeError ("),
        (lambda rate, seconds: None, "gives nothing (is a return missing?)"),
        (lambda rate, seconds: "4.5", "gives '4.5'"),
        (lambda rate, seconds: True, "gives True"),
        (lambda rate, seconds: Unprintable(), "gives a Unprintable"),
        (lambda rate, seconds: [0] * 10**5, "gives [0, 0"),
        (lambda rate, seconds: float("nan"), "gives nan"),
        (lambda rate, seconds: np.array([4.5]), "gives [4.5]"),
    ],
)
def test_whatever_a_function_does_is_one_short_line(capsys, function, part) -> None:
    check("workers_in_use", function)
    told = capsys.readouterr().out
    assert part in told
    assert told.count("\n") == 1
    assert len(told) < 300


def test_numpy_numbers_and_close_ones_are_right() -> None:
    asked = ALL["workers_in_use"]
    assert judge(asked, lambda rate, seconds: np.float64(rate) * seconds * (1 + 1e-9)).status == "right"
    assert judge(
        ALL["can_stay_down"], lambda load, capacity, attempts: np.bool_(load * attempts > capacity)
    ).status == ("right")


def test_a_function_that_changes_its_inputs_does_not_change_the_cases() -> None:
    asked = Exercise("f", "t", "w", (Case({"values": [1]}, 0), Case({"values": [1, 2]}, 0)))
    before = [dict(case.inputs) for case in asked.cases]
    assert judge(asked, lambda values: values.clear() or 0).status == "right"
    assert [dict(case.inputs) for case in asked.cases] == before == [{"values": [1]}, {"values": [1, 2]}]


def test_what_is_no_function_is_not_yet() -> None:
    assert str(judge(ALL["workers_in_use"], 4.5)) == (
        "not yet: give the check your function workers_in_use itself, not 4.5."
    )


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="there is no exercise 'worker'; there are 'attempts_per_second'"):
        exercise("worker")
    with pytest.raises(ValueError, match="no solution named 'inspect'"):
        solutions.solution("inspect")


def test_a_solution_shows_its_source_for_the_folded_cell() -> None:
    assert solutions.source("workers_in_use") == "def workers_in_use(rate, seconds):\n    return rate * seconds\n"


@pytest.mark.parametrize("name", ALL)
def test_task_and_reason_are_whole_sentences(name: str) -> None:
    for text in (ALL[name].task, ALL[name].why):
        assert text.endswith(".")
        assert "  " not in text
    assert ALL[name].task.startswith("give ")
