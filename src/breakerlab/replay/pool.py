"""The app: callers, the balancer, each instance's pool of workers, fallbacks, health, restarts."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from breakerlab.policy.breaker import reset
from breakerlab.policy.budget import fill
from breakerlab.policy.throttle import empty
from breakerlab.replay.attempts import (
    OVER,
    UNAVAILABLE,
    attempt,
    begin_call,
    begin_row,
    end_row,
    has_time,
    outer_deadline,
    record_event,
    time_out,
    timer_lag,
)
from breakerlab.replay.calendar import schedule
from breakerlab.replay.desk import cancel
from breakerlab.replay.draws import AVAILABLE, BACK, BALANCE, NETWORK, SIZE, THINK, WRITES, drawn, request_key, uniform
from breakerlab.replay.kinds import (
    APP,
    ARRIVED,
    ATTEMPT_TIMEOUT,
    BREAKER_STATE,
    CLIENT_ERROR,
    CONNECTION,
    ERROR,
    GIVE_UP,
    HEALTH,
    HOLD_OVER,
    LOST,
    NO_STATUS,
    OK,
    POOL_TIMEOUT,
    PROBE,
    RESTART,
    RESTARTED,
    STANDBY_OVER,
    THOUGHT,
    TIMEOUT,
    UNKNOWN,
)
from breakerlab.replay.records import NOTHING, append, give_back, take, ticket, unlink
from breakerlab.replay.tables import CALLS, World

# where a call stands in the app: waits for a worker, has one, waits between attempts without one; or is a probe
WAITING, WORKING, AWAY, WAITING_AGAIN, PROBING = 1, 2, 3, 4, 5

ROUND_ROBIN, RANDOM, LEAST_BUSY = 0, 1, 2  # the places of the words in `app.BALANCERS`
NOBODY, BY_LLM, BY_STANDBY = 0, 1, 2  # who served; a standby adds its place in the chain; see `servers`
MANY = 1 << 32  # more requests than one caller of a closed loop ever makes


def arrive(w: World, request: int, now: float) -> None:
    """A caller sends a request. Its patience begins now, whatever happens to the request."""
    w.requests.row[request] = begin_row(w, request, 1, APP, NOTHING, now)
    app, clock = w.app[0], w.clock[0]
    until = now + w.endpoints[endpoint_of(w, request)].patience
    if app.closed and until <= clock.last_moment:
        schedule(w, until, GIVE_UP, request)
    if app.network_code == NOTHING:
        reach_app(w, request, now)
        return
    key = request_key(clock.key, number_of(w, request))
    first, second, n = app.network_first, app.network_second, clock.app_network_values
    seconds = drawn(app.network_code, first, second, w.app_network_values, n, key, 0, NETWORK)
    schedule(w, now + seconds, ARRIVED, request)


def ask(w: World, caller: int, now: float) -> None:
    """A caller of a closed loop has thought, and sends its next request."""
    request = w.clock[0].arrived
    w.clock[0].arrived = request + 1
    w.requests.caller[request] = caller
    w.turns[caller] += 1
    arrive(w, request, now)


def endpoint_of(w: World, request: int) -> int:
    return 0 if w.app[0].closed else int(w.arrivals.endpoint[request])


def number_of(w: World, request: int) -> int:
    """What the random numbers of a request are drawn from: the same under another policy."""
    if not w.app[0].closed:
        return int(w.arrivals.number[request])
    caller = int(w.requests.caller[request])
    return int(caller * MANY + w.turns[caller])


def reach_app(w: World, request: int, now: float) -> None:
    """A request reaches the app, which has a worker for it, or lets it wait, or is down."""
    row = w.requests.row[request]
    key = request_key(w.clock[0].key, number_of(w, request))
    i = choose_instance(w, key)
    if i == NOTHING:
        answer(w, request, row, CONNECTION, NO_STATUS, NOBODY, now)
        return
    w.rows.instance[row] = i
    c = take(w.stores[CALLS], w.calls)
    call = w.calls[c]
    call.request = request
    call.key = key
    call.endpoint = endpoint_of(w, request)
    call.instance = i
    call.app_row = row
    call.row = NOTHING
    call.job = NOTHING
    call.attempts = 0
    call.layer = 0
    call.standby = NOTHING
    call.refused = 0
    say_what_is_asked(w, call)
    if w.instances[i].in_use < w.app[0].workers:
        start_work(w, c, now)
        return
    call.state = WAITING
    wait_for_worker(w, c, now + w.app[0].pool_timeout)


def say_what_is_asked(w: World, call: Any) -> None:
    app = w.app[0]
    if app.closed:
        first, second, n = app.tokens_first, app.tokens_second, w.clock[0].token_values
        call.tokens = drawn(app.tokens_code, first, second, w.token_values, n, call.key, 0, SIZE)
        call.write = 1 if uniform(call.key, 0, WRITES) < app.writes else 0
    else:
        call.tokens = w.arrivals.tokens[call.request]
        call.write = 1 if w.arrivals.write[call.request] else 0
    call.once = call.write * app.sends_once


def choose_instance(w: World, key: np.uint64) -> int:
    """The instance that the balancer sends a request to, of those that are up; NOTHING (-1) if none is."""
    app = w.app[0]
    n = app.instances
    if n == 1:
        return 0 if w.instances[0].is_up else NOTHING
    if app.balancer == LEAST_BUSY:
        return least_busy(w)
    first = app.turn
    if app.balancer == RANDOM:
        first = int(uniform(key, 0, BALANCE) * n)
    for step in range(n):
        i = (first + step) % n
        if w.instances[i].is_up:
            app.turn = (i + 1) % n
            return int(i)
    return NOTHING


def least_busy(w: World) -> int:
    best = NOTHING
    least = 0
    for i in range(w.app[0].instances):
        instance = w.instances[i]
        if instance.is_up:
            load = instance.in_use + instance.waiting
            if best == NOTHING or load < least:
                best, least = i, load
    return best


def wait_for_worker(w: World, c: int, until: float) -> None:
    call = w.calls[c]
    instance = w.instances[call.instance]
    instance.waiting += 1
    append(instance, w.calls, c)
    if until <= w.clock[0].last_moment:
        schedule(w, until, POOL_TIMEOUT, ticket(c, call.stamp))


def leave_queue(w: World, c: int) -> None:
    instance = w.instances[w.calls[c].instance]
    instance.waiting -= 1
    unlink(instance, w.calls, c)


def start_work(w: World, c: int, now: float) -> None:
    call = w.calls[c]
    w.instances[call.instance].in_use += 1
    call.state = WORKING
    hold = w.endpoints[call.endpoint].hold
    if hold > 0.0:
        call.stamp += 1
        schedule(w, now + hold, HOLD_OVER, ticket(c, call.stamp))
        return
    begin_call(w, c, 0, now)
    go_on(w, c, attempt(w, c, now), now)


def go_on(w: World, c: int, result: int, now: float) -> None:
    """What the app does when its call has come to its end, or waits between two attempts."""
    call = w.calls[c]
    if result == OVER:
        if call.status == 200:
            finish(w, c, OK, 200, BY_LLM, now)
        elif call.status < 500:
            finish(w, c, CLIENT_ERROR, call.status, NOBODY, now)
        else:
            fall_back(w, c, now)
    elif call.row == NOTHING and call.state == WORKING and not w.app[0].holds:
        call.state = AWAY
        release_worker(w, call.instance)


def come_back(w: World, c: int, now: float) -> None:
    """The wait between two attempts is over; a call that gave its worker back needs one again."""
    call = w.calls[c]
    if call.state == WORKING:
        go_on(w, c, attempt(w, c, now), now)
    elif w.instances[call.instance].in_use < w.app[0].workers:
        resume_work(w, c, now)
    else:
        call.state = WAITING_AGAIN
        call.stamp += 1
        until, cut = now + w.app[0].pool_timeout, outer_deadline(w, c)
        if cut < until:
            schedule(w, cut, ATTEMPT_TIMEOUT, ticket(c, call.stamp))
            until = w.clock[0].last_moment * 2.0  # beyond the end: the pool's own limit is not reached
        wait_for_worker(w, c, until)


def time_out_outside(w: World, c: int, now: float) -> None:
    """An attempt's time is over; one that waited for a worker waits no longer."""
    if w.calls[c].state == WAITING_AGAIN:
        leave_queue(w, c)
        w.calls[c].state = AWAY
    go_on(w, c, time_out(w, c, now), now)


def resume_work(w: World, c: int, now: float) -> None:
    call = w.calls[c]
    w.instances[call.instance].in_use += 1
    call.state = WORKING
    go_on(w, c, attempt(w, c, now) if has_time(w, c, now) else OVER, now)


def release_worker(w: World, instance: int) -> None:
    w.instances[instance].in_use -= 1
    if w.instances[instance].waiting > 0:
        w.clock[0].touched = instance


def fall_back(w: World, c: int, now: float) -> None:
    """The call has failed: of the fallbacks, the first that has an answer gives it."""
    call = w.calls[c]
    for place in range(w.app[0].standbys):
        standby = w.standbys[place]
        u = uniform(call.key, place, AVAILABLE) if standby.availability < 1.0 else 0.0
        if u < standby.availability and standby.in_use < standby.slots:
            if standby.seconds == 0.0:
                finish(w, c, OK, 200, BY_STANDBY + place, now)
                return
            standby.in_use += 1
            call.standby = place
            call.stamp += 1
            schedule(w, now + standby.seconds, STANDBY_OVER, ticket(c, call.stamp))
            return
    finish(w, c, ERROR, call.status, NOBODY, now)


def standby_answers(w: World, c: int, now: float) -> None:
    place = w.calls[c].standby
    w.standbys[place].in_use -= 1
    finish(w, c, OK, 200, BY_STANDBY + place, now)


def finish(w: World, c: int, outcome: int, status: int, server: int, now: float) -> None:
    """The app is done with a request: it answers, and the worker is free."""
    call = w.calls[c]
    if call.state == WORKING:
        release_worker(w, call.instance)
    w.requests.attempts[call.request] = call.attempts
    w.requests.refused[call.request] = call.refused
    answer(w, call.request, call.app_row, outcome, status, server, now)
    give_back(w.stores[CALLS], w.calls, c)


def answer(w: World, request: int, row: int, outcome: int, status: int, server: int, now: float) -> None:
    """What the caller sees, unless it has already had an answer; a caller that has given up saw a timeout then."""
    if w.rows.outcome[row] != UNKNOWN:
        return
    until = w.rows.time[row] + w.endpoints[endpoint_of(w, request)].patience
    seen = now + seconds_back(w, request)
    if seen >= until:
        end_row(w, row, TIMEOUT, NO_STATUS, until)
    else:
        end_row(w, row, outcome, status, seen)
        w.requests.server[request] = server if outcome == OK else NOBODY
    if w.app[0].closed:
        think(w, int(w.requests.caller[request]), min(seen, until))


def seconds_back(w: World, request: int) -> float:
    """How long an answer takes from the app to its caller."""
    app, clock = w.app[0], w.clock[0]
    if app.answer_network_code == NOTHING:
        return 0.0
    key = request_key(clock.key, number_of(w, request))
    first, second, n = app.answer_network_first, app.answer_network_second, clock.answer_network_values
    return drawn(app.answer_network_code, first, second, w.answer_network_values, n, key, 0, BACK)


def think(w: World, caller: int, now: float) -> None:
    """A caller of a closed loop has its answer, or has given up, or begins; it thinks before it asks."""
    app, clock = w.app[0], w.clock[0]
    turn = w.turns[caller]
    key = request_key(clock.key, caller)
    first, second, n = app.think_first, app.think_second, clock.think_values
    seconds = drawn(app.think_code, first, second, w.think_values, n, key, turn, THINK)
    if now + seconds < app.duration:
        schedule(w, now + seconds, THOUGHT, caller)


def give_up(w: World, request: int, now: float) -> None:
    """A caller of a closed loop loses its patience; the app does not notice."""
    answer(w, request, w.requests.row[request], TIMEOUT, NO_STATUS, NOBODY, now)


def time_out_in_pool(w: World, c: int, now: float) -> None:
    """Nobody had a worker to spare in time: a call is answered 503, a health probe has failed."""
    call = w.calls[c]
    leave_queue(w, c)
    if call.state == PROBING:
        i = call.instance
        give_back(w.stores[CALLS], w.calls, c)
        judge_health(w, i, False, now)
        return
    call.status = UNAVAILABLE
    finish(w, c, ERROR, UNAVAILABLE, NOBODY, now)


def employ(w: World, i: int, now: float) -> None:
    """A free worker turns to whoever has waited longest."""
    instance = w.instances[i]
    c = instance.first
    leave_queue(w, c)
    call = w.calls[c]
    call.stamp += 1
    if call.state == PROBING:
        give_back(w.stores[CALLS], w.calls, c)
        judge_health(w, i, True, now)
    elif call.state == WAITING:
        start_work(w, c, now)
    else:
        resume_work(w, c, now)


# ---- health


def probe(w: World, number: int, now: float) -> None:
    """The supervisor asks every instance that is up for its health."""
    app = w.app[0]
    next_probe = (number + 2) * app.health_interval
    if next_probe <= app.duration:
        schedule(w, next_probe, PROBE, number + 1)
    for i in range(app.instances):
        instance = w.instances[i]
        if instance.is_up:
            if instance.in_use < app.workers:
                judge_health(w, i, True, now)
            else:
                c = take(w.stores[CALLS], w.calls)
                call = w.calls[c]
                call.instance = i
                call.state = PROBING
                late = timer_lag(w, request_key(w.clock[0].key, number), i)
                wait_for_worker(w, c, now + min(app.health_timeout, app.pool_timeout) + late)


def judge_health(w: World, i: int, passed: bool, now: float) -> None:
    record_event(w, now, HEALTH, i, 1 if passed else 0)
    instance = w.instances[i]
    instance.failed_probes = 0 if passed else instance.failed_probes + 1
    if instance.failed_probes >= w.app[0].health_failures:
        kill(w, i, now)


def kill(w: World, i: int, now: float) -> None:
    """The supervisor kills an instance: what it has in hand is lost, its callers see their connections reset."""
    for c in range(w.stores[CALLS].used):
        call = w.calls[c]
        if call.state != 0 and call.instance == i:
            if call.state == PROBING:
                give_back(w.stores[CALLS], w.calls, c)
            else:
                lose(w, c, now)
    instance = w.instances[i]
    instance.is_up = 0
    instance.in_use = 0
    instance.waiting = 0
    instance.first = NOTHING
    instance.last = NOTHING
    instance.failed_probes = 0
    record_event(w, now, RESTART, i, 1)
    late = timer_lag(w, request_key(w.clock[0].key, w.clock[0].events), i)
    schedule(w, now + w.app[0].restart_seconds + late, RESTARTED, i)


def lose(w: World, c: int, now: float) -> None:
    """A call dies with its instance. An attempt that has begun never ends for the app; the service works on."""
    call = w.calls[c]
    if call.standby != NOTHING:
        w.standbys[call.standby].in_use -= 1
    if call.row != NOTHING:
        w.rows.outcome[call.row] = LOST
        w.rows.latency[call.row] = math.nan
        cancel(w, c, now)
    w.requests.attempts[call.request] = call.attempts
    answer(w, call.request, call.app_row, CONNECTION, NO_STATUS, NOBODY, now)
    give_back(w.stores[CALLS], w.calls, c)


def restart(w: World, i: int, now: float) -> None:
    """A new process: nothing in hand, breakers and throttles that have seen nothing, full budgets."""
    w.instances[i].is_up = 1
    app = w.app[0]
    if not app.shared:
        for layer in range(app.layers):
            b = i * app.layers + layer
            if layer == 0 and w.breakers[b].state_code != 0:
                record_event(w, now, BREAKER_STATE, i, 0)
            reset(w.breakers[b])
            fill(w.budgets[b], now)
            empty(w.throttles[b])
    record_event(w, now, RESTART, i, 0)


def servers(chain: Sequence[str]) -> tuple[str, ...]:
    """Who may have served a request, in the order of the engine's codes; "" is nobody, or an endpoint of its own."""
    return ("", "llm", *chain)
