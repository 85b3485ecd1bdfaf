"""The provider: slots, queue, 503, fault, and callers that leave."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx

from breakerlab.live import FaultWindow, Incident, ServiceSetup
from breakerlab.live.axis import Axis
from breakerlab.live.provider import Desk, script_faults

SMALL = Incident("small", service=ServiceSetup(slots=1, queue_limit=1, first_token=0.2, per_token=0.0, retry_after=2.0))


def chat(client):
    return client.post("/v1/chat", json={"max_tokens": 1})


def test_slots_then_queue_then_refusal_and_first_come_first_served():
    async def scene():
        desk = Desk(Incident("desk", service=ServiceSetup(slots=2, queue_limit=2, first_token=0.01, per_token=0.0)))
        jobs = [desk.admit(tokens=1) for _ in range(5)]
        assert (desk.in_service, desk.queued, jobs[4]) == (2, 2, None)
        finished = []
        for number, job in enumerate(jobs[:4]):
            job.add_done_callback(lambda _, number=number: finished.append(number))
        await asyncio.gather(*jobs[:4])
        await asyncio.sleep(0)
        assert finished == [0, 1, 2, 3]
        assert vars(desk.counters) == {"accepted": 4, "rejected": 1, "served": 4, "broken": 0}

    asyncio.run(scene())


def test_a_fault_lets_running_work_finish_and_the_queue_waits_for_slots():
    async def scene():
        desk = Desk(Incident("desk", service=ServiceSetup(slots=2, queue_limit=2, first_token=0.01, per_token=0.0)))
        running_jobs = [desk.admit(1), desk.admit(1)]
        desk.set_slots(0)
        waiting = desk.admit(1)
        await asyncio.gather(*running_jobs)
        await asyncio.sleep(0.05)
        assert not waiting.done() and (desk.in_service, desk.queued) == (0, 1)
        desk.set_slots(2)
        await waiting

    asyncio.run(scene())


def test_a_full_provider_answers_503_with_retry_after_while_the_others_get_answers(tmp_path, running):
    async def scene():
        async with running("provider", SMALL, tmp_path) as (client, _):
            answers = await asyncio.gather(*(chat(client) for _ in range(3)))
            assert sorted(answer.status_code for answer in answers) == [200, 200, 503]
            refused = next(answer for answer in answers if answer.status_code == 503)
            served = next(answer for answer in answers if answer.status_code == 200)
            assert refused.headers["retry-after"] == "2"
            assert served.json()["usage"] == {"completion_tokens": 1}
            assert (await client.post("/v1/chat", json={})).status_code == 400

    asyncio.run(scene())


def test_work_whose_caller_has_gone_goes_on_in_service_and_in_the_queue(tmp_path, running, counts):
    async def scene():
        async with running("provider", SMALL, tmp_path) as (client, port):
            patience = httpx.Timeout(None, read=0.1)
            url = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=url, timeout=patience, trust_env=False) as hasty:
                gone = await asyncio.gather(chat(hasty), chat(hasty), return_exceptions=True)
            assert all(isinstance(error, httpx.ReadTimeout) for error in gone)
            seen = await counts(client, until=lambda seen: seen["served"] == 2)
            assert (seen["accepted"], seen["broken"]) == (2, 0)

    asyncio.run(scene())


def test_the_fault_window_takes_the_slots_and_gives_them_back():
    async def scene():
        faulty = replace(SMALL, faults=(FaultWindow(0.0, 0.05, 0.0),))
        desk = Desk(faulty)
        assert desk.slots == 0
        script_faults(faulty, Axis.beginning_in(0.0), desk)
        async with asyncio.timeout(20.0):
            await desk.admit(tokens=1)
        assert desk.slots == 1

    asyncio.run(scene())
