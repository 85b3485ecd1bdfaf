"""The pipeline: its pool of workers, its calls under a policy, and callers that leave."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from breakerlab.live import AppSetup, Incident, ServiceSetup
from breakerlab.live.pipeline import Calls, Pipeline, Workers
from breakerlab.policy import Backoff, Breaker, Policy, Retry, RetryBudget
from breakerlab.trace import Recorder, read_trace

QUICK = Retry(
    attempts=4,
    total_time=None,
    final_reserve=0.0,
    backoff=Backoff(0.001, 1.0, 0.001, "none"),
    retry_after_limit=None,
)
ONE_WORKER = Incident(
    "one_worker",
    service=ServiceSetup(slots=8, first_token=0.3, per_token=0.0),
    app=AppSetup(workers=1, pool_timeout=0.1, health_interval=2.0),
)


def test_workers_are_handed_out_in_the_order_of_asking():
    async def scene():
        workers = Workers(size=1, patience=5.0)
        assert await workers.acquire()
        served = []

        async def wait(number):
            assert await workers.acquire()
            served.append(number)
            workers.release()

        waiters = [asyncio.create_task(wait(number)) for number in range(4)]
        await asyncio.sleep(0)
        assert (workers.in_use, workers.waiting) == (1, 4)
        workers.release()
        await asyncio.gather(*waiters)
        assert served == [0, 1, 2, 3]
        assert (workers.in_use, workers.waiting) == (0, 0)

    asyncio.run(scene())


def test_who_waits_too_long_leaves_without_a_worker_and_blocks_nobody():
    async def scene():
        workers = Workers(size=1, patience=0.01)
        assert await workers.acquire()
        assert not await workers.acquire()
        assert (workers.in_use, workers.waiting) == (1, 0)
        workers.release()
        assert workers.in_use == 0
        assert await workers.acquire()

    asyncio.run(scene())


NOW = 0.01  # s; between the decision to wait and the waiting


def called(policy, answers, tmp_path, times=1, asks="3"):
    """Whether each of ``times`` calls was answered, and the log, for a provider that answers as scripted.

    With a 503 it asks to wait ``asks`` seconds.
    """
    path = tmp_path / "calls.jsonl"
    script = iter(answers)

    async def provider(request):
        answer = next(script)
        if answer == "silence":
            await asyncio.sleep(60)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, headers={"Retry-After": asks} if answer == 503 else {})

    async def scene():
        transport = httpx.MockTransport(provider)
        with Recorder(path) as recorder:
            async with httpx.AsyncClient(base_url="http://provider", transport=transport) as client:
                calls = Calls(policy, client, recorder, time.monotonic, draw=lambda: 0.5)
                return [await calls.complete(request=number, tokens=10) for number in range(times)]

    return asyncio.run(scene()), read_trace(path)


def test_retries_on_anything_until_an_answer_comes(tmp_path):
    script = [503, "silence", httpx.ConnectError("refused"), 200]
    answered, trace = called(Policy(timeout=0.05, retry=QUICK), script, tmp_path)
    assert answered == [True]
    assert list(trace.attempts["outcome"]) == ["error", "timeout", "connection", "ok"]
    assert trace.attempts["status"].astype(object).fillna(0).tolist() == [503, 0, 0, 200]
    assert list(trace.attempts["attempt"]) == [1, 2, 3, 4]
    assert trace.attempts["retry_after"].tolist()[0] == 3.0


@pytest.mark.parametrize(("retry", "attempts"), [(QUICK, 4), (None, 1)])
def test_gives_up_after_the_attempts_of_the_policy(tmp_path, retry, attempts):
    answered, trace = called(Policy(retry=retry), [503] * attempts, tmp_path)
    assert answered == [False]
    assert len(trace.attempts) == attempts


def test_an_open_circuit_refuses_without_sending_and_ends_the_retries(tmp_path):
    policy = Policy(retry=QUICK, breaker=Breaker(failure_threshold=2, recovery_timeout=60.0))
    answered, trace = called(policy, [503, 503], tmp_path, times=2)
    assert answered == [False, False]
    assert list(trace.attempts["outcome"]) == ["error", "error", "rejected"]
    assert trace.events[["kind", "value"]].values.tolist() == [["breaker", 1.0]]


@pytest.fixture
def sleeps(monkeypatch):
    """What the calls would sleep between their attempts; nothing waits."""
    slept = []
    real = asyncio.sleep

    async def sleep(seconds):
        slept.append(seconds)
        await real(0)

    monkeypatch.setattr("breakerlab.live.pipeline.asyncio.sleep", sleep)
    return slept


@pytest.mark.parametrize(("limit", "waits"), [(None, [0.001]), (3.0, [3.001]), (2.9, [])])
def test_what_the_provider_asks_for_is_obeyed_up_to_the_limit(tmp_path, sleeps, limit, waits):
    answered, _ = called(Policy(retry=replace(QUICK, retry_after_limit=limit)), [503, 200], tmp_path)
    assert answered == [bool(waits)]
    assert sleeps == pytest.approx(waits, abs=NOW)


def test_a_date_or_nonsense_in_retry_after_does_no_harm(tmp_path, sleeps):
    policy = Policy(retry=replace(QUICK, retry_after_limit=60.0))
    for number, asks in enumerate(["Sun, 06 Nov 1994 08:49:37 GMT", "soon", "1e999"]):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert called(policy, [503, 200], folder, asks=asks)[0] == [True]
    assert sleeps == pytest.approx([0.001] * 3, abs=NOW)


def test_decorrelated_waits_build_on_the_last(tmp_path, sleeps):
    backoff = Backoff(base=0.01, cap=60.0, jitter="decorrelated")
    called(Policy(retry=replace(QUICK, backoff=backoff)), [503] * 4, tmp_path)
    assert sleeps == pytest.approx([0.02, 0.035, 0.0575], abs=NOW)  # halfway from 0.01 to three times the last


def test_a_retry_that_the_budget_refuses_is_recorded_and_ends_the_call(tmp_path, sleeps):
    policy = Policy(retry=replace(QUICK, budget=RetryBudget(ratio=0.0, burst=2.0)))
    answered, trace = called(policy, [503, 503, 503, 503], tmp_path, times=2)
    assert answered == [False, False]
    attempts = trace.attempts.sort_values(["request", "attempt"])
    assert attempts["attempt"].tolist() == [1, 2, 3, 4, 1, 2]
    assert attempts["outcome"].tolist() == ["error", "error", "error", "rejected", "error", "rejected"]


@pytest.mark.parametrize(
    ("budget", "script", "answers"),
    [
        (RetryBudget(1.0, "call", burst=1.0), [503, 200] * 4, [True] * 4),
        (RetryBudget(0.5, "success", burst=1.0), [503, 200, 503, 200, 503, 200], [True, False, True, True]),
    ],
)
def test_calls_or_successes_earn_retries(tmp_path, sleeps, budget, script, answers):
    """A token per call, or half a token per success, in a bucket of one."""
    policy = Policy(retry=replace(QUICK, budget=budget))
    assert called(policy, script, tmp_path, times=4)[0] == answers


def test_who_waits_for_the_probe_tries_again_when_it_is_due(tmp_path, sleeps):
    breaker = Breaker(failure_threshold=1, recovery_timeout=60.0)
    policy = Policy(retry=replace(QUICK, attempts=3, wait_for_probe=True), breaker=breaker)
    answered, trace = called(policy, [503], tmp_path)
    assert answered == [False]
    assert list(trace.attempts["outcome"]) == ["error", "rejected", "rejected"]
    assert sleeps == pytest.approx([60.0, 60.0], abs=1.0)


def test_a_call_goes_on_and_is_logged_after_its_caller_has_gone(tmp_path, running, counts):
    async def scene():
        async with (
            running("provider", ONE_WORKER, tmp_path) as (provider, provider_port),
            running("pipeline", ONE_WORKER, tmp_path, provider_port) as (pipeline, _),
        ):
            patience = httpx.Timeout(None, read=0.05)
            with pytest.raises(httpx.ReadTimeout):
                await pipeline.post("/answer", json={"request": 5, "max_tokens": 1}, timeout=patience)
            await counts(provider, until=lambda seen: seen["served"] == 1)
            await counts(pipeline, until=lambda seen: seen["in_use"] == 0)

    asyncio.run(scene())
    attempts = read_trace(tmp_path / "pipeline.part.jsonl").attempts
    assert attempts[["service", "request", "outcome", "endpoint"]].values.tolist() == [
        ["llm", 5, "ok", "POST /v1/chat"]
    ]


def one_worker_pipeline(tmp_path, provider):
    """The endpoints of a pipeline with one worker and one attempt, and a client of them, without a process."""

    @asynccontextmanager
    async def opened():
        transport = httpx.MockTransport(provider)
        with Recorder(tmp_path / "pipeline.jsonl") as recorder:
            async with httpx.AsyncClient(base_url="http://provider", transport=transport) as out:
                pipeline = Pipeline(ONE_WORKER, Calls(Policy.none(), out, recorder, time.monotonic))
                inside = httpx.ASGITransport(pipeline.app())
                async with httpx.AsyncClient(base_url="http://pipeline", transport=inside) as client:
                    yield client

    return opened()


def test_search_and_health_need_a_worker_too(tmp_path):
    async def scene():
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def provider(request):
            asked.set()
            await go_on.wait()
            return httpx.Response(200)

        async with one_worker_pipeline(tmp_path, provider) as client:
            assert (await client.get("/health")).status_code == 200
            answer = asyncio.create_task(client.post("/answer", json={"request": 0, "max_tokens": 1}))
            await asked.wait()
            others = await asyncio.gather(client.get("/search"), client.get("/health"))
            assert [other.status_code for other in others] == [503, 503]
            go_on.set()
            assert (await answer).status_code == 200
            assert [(await client.get("/search")).status_code for _ in range(2)] == [200, 200]

    asyncio.run(scene())


def test_a_call_without_success_is_answered_502_and_a_wrong_question_400(tmp_path):
    async def scene():
        async with one_worker_pipeline(tmp_path, lambda request: httpx.Response(503)) as client:
            assert (await client.post("/answer", json={"request": 0, "max_tokens": 1})).status_code == 502
            assert (await client.post("/answer", json={"request": "x"})).status_code == 400
            assert (await client.get("/health")).status_code == 200

    asyncio.run(scene())
