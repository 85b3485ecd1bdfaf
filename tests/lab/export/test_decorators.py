"""The decorators of tenacity and stamina are executed, on a clock that only sleeping moves."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakerlab.lab.export import export
from breakerlab.policy import Backoff, Breaker, Fallback, Policy, Retry, RetryBudget, Throttle
from breakerlab.policy.outcome import FAILURE, of_error

from .policies import policies

tenacity = pytest.importorskip("tenacity")
stamina = pytest.importorskip("stamina")
BOTH = ("tenacity", "stamina")
JITTERS = ["none", "full", "equal", "decorrelated", "additive", "sdk"]


class FailingError(Exception):
    """An error as HTTP clients raise it."""

    def __init__(self, status: int | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        if status is not None:
            self.response = SimpleNamespace(status_code=status, headers=headers or {})


class Trial:
    """Runs an export against an error for ever; `u` is every draw. Notes the waits, and when attempts started."""

    def __init__(self, policy: Policy, target: str, u: float = 0.5, took: float = 0.0) -> None:
        self.u, self.took, self.now = u, took, 0.0
        self.waits: list[float] = []
        self.starts: list[float] = []
        self.timeouts: list[float] = []
        self.names: dict[str, Any] = {}
        exec(export(policy, target).text, self.names)

    def run(self, error: Exception | None = None) -> Any:
        error = FailingError() if error is None else error

        def ask(question: str, timeout: float) -> None:
            self.starts.append(self.now)
            self.timeouts.append(timeout)
            self.now += self.took
            raise error

        with pytest.MonkeyPatch.context() as patch:
            clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep)
            patch.setattr(tenacity, "time", clock)
            patch.setattr(tenacity.nap, "time", clock)
            patch.setattr(random, "uniform", lambda low, high: low + (high - low) * self.u)
            patch.setattr(random, "random", lambda: self.u)
            try:
                return self.names["llm"](SimpleNamespace(ask=ask), "?")
            except FailingError as raised:
                assert raised is error
                return None

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def tried(policy: Policy, target: str, error: Exception | None = None, **how: float) -> Trial:
    trial = Trial(policy, target, **how)
    trial.run(error)
    return trial


def patient(**settings: Any) -> Policy:
    return Policy(timeout=3.5, retry=Retry(total_time=None, final_reserve=0.0, **settings))


@pytest.mark.parametrize("target", BOTH)
@given(policy=policies())
def test_every_policy_gives_a_decorator_that_loads(target: str, policy: Policy) -> None:
    assert callable(Trial(policy, target).names["llm"])


@pytest.mark.parametrize("target", BOTH)
@pytest.mark.parametrize("attempts", [1, 2, 7])
def test_it_makes_as_many_attempts_with_the_policys_timeout(target: str, attempts: int) -> None:
    trial = tried(patient(attempts=attempts), target)
    assert trial.timeouts == [3.5] * attempts
    assert len(trial.waits) == attempts - 1


@pytest.mark.parametrize("target", BOTH)
def test_without_retries_it_makes_one(target: str) -> None:
    assert len(tried(Policy.none(), target).starts) == 1
    assert tried(Policy(timeout=9.0, retry=Retry(attempts=1, total_time=2.0)), target).timeouts == [2.0]


@pytest.mark.parametrize("jitter", JITTERS)
@given(u=st.floats(0.0, 1.0, exclude_max=True))
def test_tenacity_waits_as_the_policy_does(jitter: str, u: float) -> None:
    backoff = Backoff(base=0.3, factor=1.7, cap=2.0, jitter=jitter)
    ours: list[float] = []
    for attempt in range(1, 9):
        drawn = 1.0 - u if jitter == "sdk" else u  # there 1 - u / 4, here 3 / 4 + u / 4
        ours.append(backoff.delay(attempt, ours[-1] if ours else 0.0, drawn))
    assert tried(patient(attempts=9, backoff=backoff), "tenacity", u=u).waits == pytest.approx(ours)


@pytest.mark.parametrize("jitter", JITTERS)
@pytest.mark.parametrize("u", [0.0, 0.3, 0.999])
def test_staminas_first_wait_is_the_policys_or_said_not_to_be(jitter: str, u: float) -> None:
    backoff = Backoff(base=0.8, factor=2.0, cap=5.0, jitter=jitter)
    policy = patient(attempts=7, backoff=backoff)
    waits = tried(policy, "stamina", u=u).waits
    first = 0.5 + 0.5 * u if jitter == "full" else backoff.delay(1, 0.0, 1.0 - u if jitter == "sdk" else u) / 0.8
    assert waits[0] == pytest.approx(0.8 * first)
    assert max(waits) == 5.0  # the cap, after the draw
    said = "\n".join(export(policy, "stamina").cannot)
    assert ("drawn from half of the policy's longest on" in said) is (jitter == "full")
    assert ("exactly that" in said) is (jitter != "none")


def test_stamina_without_jitter_waits_as_the_policy_does() -> None:
    backoff = Backoff(base=0.8, factor=3.0, cap=50.0, jitter="none")
    waits = tried(patient(attempts=6, backoff=backoff), "stamina").waits
    assert waits == pytest.approx([backoff.delay(attempt, 0.0, 0.0) for attempt in range(1, 6)])


@pytest.mark.parametrize("target", BOTH)
@pytest.mark.parametrize("status", [None, 200, 400, 401, 404, 408, 409, 422, 425, 429, 500, 503, 599])
def test_what_counts_as_a_failure_is_what_the_policy_counts(target: str, status: int | None) -> None:
    error = FailingError(status)
    again = len(tried(patient(attempts=2), target, error).starts) == 2
    assert again is (of_error(error) is FAILURE)


@pytest.mark.parametrize("target", BOTH)
def test_an_interrupt_is_not_retried(target: str) -> None:
    trial = Trial(patient(attempts=3), target)
    with pytest.raises(KeyboardInterrupt):
        trial.run(KeyboardInterrupt())  # type: ignore[arg-type]
    assert len(trial.starts) == 1


@pytest.mark.parametrize(
    ("asked", "waits"),
    [("7", [8.0, 9.0]), ("0", [1.0, 2.0]), ("junk", [1.0, 2.0]), ("nan", [1.0, 2.0]), ("-3", [1.0, 2.0])],
)
def test_tenacity_adds_the_backoff_to_what_the_server_asks(asked: str, waits: list[float]) -> None:
    backoff = Backoff(base=1.0, factor=2.0, jitter="none")
    error = FailingError(503, {"retry-after": asked})
    assert tried(patient(attempts=3, backoff=backoff, retry_after_limit=10.0), "tenacity", error).waits == waits
    ignoring = patient(attempts=3, backoff=backoff, retry_after_limit=None)
    assert tried(ignoring, "tenacity", error).waits == [1.0, 2.0]


def test_stamina_waits_what_the_server_asks_and_a_little() -> None:
    backoff = Backoff(base=1.0, factor=2.0, jitter="none")
    error = FailingError(503, {"retry-after": "7"})
    assert tried(patient(attempts=3, backoff=backoff, retry_after_limit=10.0), "stamina", error).waits == [7.5, 7.5]
    ignoring = patient(attempts=3, backoff=backoff, retry_after_limit=None)
    assert tried(ignoring, "stamina", error).waits == [1.0, 2.0]


@pytest.mark.parametrize("target", BOTH)
@pytest.mark.parametrize("asked", ["10.1", "100", "inf"])
def test_a_server_that_asks_for_too_long_is_not_asked_again(target: str, asked: str) -> None:
    error = FailingError(503, {"retry-after": asked})
    assert len(tried(patient(attempts=3, retry_after_limit=10.0), target, error).starts) == 1
    at_the_limit = FailingError(503, {"retry-after": "10"})
    assert len(tried(patient(attempts=3, retry_after_limit=10.0), target, at_the_limit).starts) == 3


@given(reserve=st.sampled_from([0.0, 0.25, 0.5]), took=st.floats(0.1, 9.0), base=st.floats(0.1, 5.0))
def test_tenacity_starts_nothing_after_the_last_moment(reserve: float, took: float, base: float) -> None:
    fixed = Backoff(base=base, factor=1.0, cap=base, jitter="none")
    retry = Retry(attempts=50, total_time=20.0, final_reserve=reserve, backoff=fixed)
    starts = tried(Policy(retry=retry), "tenacity", took=took).starts
    ours = [0.0]
    while (start := retry.next_start(len(ours), 0.0, ours[-1] + took, base)) is not None:
        ours.append(start)
        if start == retry.last_start_after:  # cut short: tenacity gives up here, as is said
            ours.pop()
            break
    assert starts == pytest.approx(ours)


@given(took=st.floats(0.1, 9.0), base=st.floats(0.1, 5.0))
def test_stamina_starts_nothing_once_the_last_moment_has_passed_at_a_failure(took: float, base: float) -> None:
    fixed = Backoff(base=base, factor=1.0, cap=base, jitter="none")
    retry = Retry(attempts=200, total_time=20.0, final_reserve=0.25, backoff=fixed)
    starts = tried(Policy(retry=retry), "stamina", took=took).starts
    assert all(start + took < retry.last_start_after for start in starts[:-1])
    assert starts[-1] + took >= retry.last_start_after
    assert starts[-1] <= retry.last_start_after + base


def test_tenacity_falls_back() -> None:
    policy = Policy(retry=Retry(attempts=2), fallback=Fallback({"text": "resting"}))
    assert Trial(policy, "tenacity").run() == {"text": "resting"}
    assert Trial(Policy(fallback=Fallback("resting")), "tenacity").run() == "resting"
    wrong = Trial(policy, "tenacity")
    assert wrong.run(FailingError(404)) is None  # raised: a wrong request is no failure
    functions = Policy(fallback=Fallback(small=lambda error: "", message="resting"))
    assert "# TODO: first small" in export(functions, "tenacity").text
    assert Trial(functions, "tenacity").run() == "resting"
    assert Trial(Policy(fallback=Fallback(len)), "tenacity").run() is None


@pytest.mark.parametrize("target", BOTH)
def test_what_they_have_not(target: str) -> None:
    budget, throttle, rules = RetryBudget(), Throttle(), Breaker(failure_rate=0.5)
    policy = Policy(retry=Retry(budget=budget, wait_for_probe=True), breaker=rules, throttle=throttle)
    said = "\n".join(export(policy, target).cannot)
    for part in (repr(budget), repr(throttle), repr(rules), "wait_for_probe", "30.0 s", "22.5 s", "0.25"):
        assert part in said
    few = export(Policy.naive(), target).cannot
    assert len(few) == 1
    assert "cannot cut an attempt" in few[0]


def test_stamina_leaves_the_fallback_out_and_says_so() -> None:
    assert "Fallback(fallback='resting')" in "\n".join(export(Policy(fallback=Fallback("resting")), "stamina").cannot)
