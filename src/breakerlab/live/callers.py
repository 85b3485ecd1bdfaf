"""The callers of the pipeline: open loop, drawn beforehand, and never waiting for one another.

Every caller opens a connection of its own, is sent off at its intended time whatever has returned, and counts its
latency from that time: a driver that waited for slow answers before it sent the next request would hide the very
queue it is to show. How late the driver itself was is measured and told. Started by ``record`` as a process of its
own.
"""

from __future__ import annotations

import asyncio
import gc
import math
import random
import sys
from dataclasses import dataclass
from statistics import NormalDist

import httpx

from breakerlab.live.axis import Axis
from breakerlab.live.incident import ANSWER, SEARCH, Incident
from breakerlab.live.process import Order, take_order, tell, when_parent_lets_go
from breakerlab.policy.outcome import word_of_status
from breakerlab.trace import Recorder


@dataclass(frozen=True)
class Arrival:
    """One caller: when it comes (s), what it asks for; ``tokens`` is None where no LLM is asked."""

    request: int
    due: float
    endpoint: str
    tokens: int | None


def draw_arrivals(incident: Incident) -> tuple[Arrival, ...]:
    """All callers of an incident in order of time; the same seed and traffic always give the same ones.

    Each endpoint has random numbers of its own, so that a changed search rate leaves the answers where they were.
    """
    answers = [(due, ANSWER, tokens) for due, tokens in _answers(incident)]
    searches = [(due, SEARCH, None) for due in _poisson(incident, SEARCH, incident.traffic.search_rate)]
    calls = sorted([*answers, *searches], key=lambda call: call[:2])
    return tuple(Arrival(number, *call) for number, call in enumerate(calls))


def _answers(incident: Incident) -> list[tuple[float, int]]:
    traffic = incident.traffic
    draws = random.Random(f"{incident.seed} tokens")
    location = math.log(traffic.tokens_mean) - traffic.tokens_sigma**2 / 2
    arrivals = _poisson(incident, ANSWER, traffic.answer_rate)
    return [(due, max(1, round(math.exp(location + traffic.tokens_sigma * _normal(draws))))) for due in arrivals]


def _poisson(incident: Incident, endpoint: str, rate: float) -> list[float]:
    draws = random.Random(f"{incident.seed} {endpoint}")
    arrivals: list[float] = []
    if rate == 0:
        return arrivals
    t = 0.0
    while (t := t - math.log(1.0 - draws.random()) / rate) < incident.duration:
        arrivals.append(round(t, 6))
    return arrivals


def _normal(draws: random.Random) -> float:
    """A standard normal number from one uniform one: only ``random()`` is promised to stay the same in every Python."""
    return NormalDist().inv_cdf(max(draws.random(), 2.0**-54))


class Driver:
    """Sends the callers off and logs what each of them met."""

    def __init__(self, incident: Incident, axis: Axis, app_url: str, recorder: Recorder) -> None:
        self._app = incident.app
        self._axis = axis
        self._recorder = recorder
        self._client = httpx.AsyncClient(
            base_url=app_url,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            timeout=None,
            trust_env=False,
        )
        self.lags: list[float] = []

    async def warm_up(self) -> None:
        """One call that nobody counts: the first through a client takes tens of milliseconds more than the others."""
        await self._client.get("/stats")

    async def run(self, arrivals: tuple[Arrival, ...]) -> None:
        """Send every caller at its time; returns when the last of them has its answer or has given up."""
        await asyncio.gather(*await self._send_off(arrivals))

    async def _send_off(self, arrivals: tuple[Arrival, ...]) -> list[asyncio.Task[None]]:
        """The calls under way, once the last caller has left."""
        loop = asyncio.get_running_loop()
        calls: list[asyncio.Task[None]] = []
        all_left = loop.create_future()

        def leave(arrival: Arrival) -> None:
            calls.append(loop.create_task(self._call(arrival)))
            if len(calls) == len(arrivals):
                all_left.set_result(None)

        for arrival in arrivals:
            loop.call_at(self._axis.loop_time(arrival.due), leave, arrival)
        if arrivals:
            await all_left
        return calls

    async def _call(self, arrival: Arrival) -> None:
        self.lags.append(self._axis.now() - arrival.due)
        attempt = self._recorder.begin(
            service="app",
            request=arrival.request,
            attempt=1,
            client="callers",
            endpoint=arrival.endpoint,
            due=arrival.due,
            tokens_out=arrival.tokens,
        )
        outcome, status = await self._answer_to(arrival)
        self._recorder.end(attempt, outcome=outcome, status=status)

    async def _answer_to(self, arrival: Arrival) -> tuple[str, int | None]:
        gives_up = self._axis.loop_time(arrival.due + self._app.caller_patience(arrival.endpoint))
        method, path = arrival.endpoint.split()
        question = None if arrival.tokens is None else {"request": arrival.request, "max_tokens": arrival.tokens}
        try:
            async with asyncio.timeout_at(gives_up):
                response = await self._client.request(method, path, json=question)
        except TimeoutError:
            return "timeout", None
        except httpx.TransportError:
            return "connection", None
        return word_of_status(response.status_code), response.status_code


async def main(order: Order, arrivals: tuple[Arrival, ...]) -> None:
    when_parent_lets_go(sys.exit)
    with order.recorder("callers") as recorder:
        driver = Driver(order.incident, order.axis, order.app_url, recorder)
        await driver.warm_up()
        tell("open")
        await driver.run(arrivals)
    lags = sorted(driver.lags) or [0.0]
    tell("done", sent=len(driver.lags), max_lag=lags[-1], p99_lag=lags[int(0.99 * (len(lags) - 1))])


if __name__ == "__main__":
    given = take_order()
    drawn = draw_arrivals(given.incident)
    gc.disable()  # a collection would make the driver late
    asyncio.run(main(given, drawn))
