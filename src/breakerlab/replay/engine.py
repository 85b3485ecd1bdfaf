"""The event loop: a policy meets a service that its own retries can overload, inside an app with one pool of workers.

Everything here is a plain function over a `World` and runs as it stands, interpreted; `compiled.py` compiles the same
functions, and with them the very rules of `breakerlab.policy`. The order of events at one moment is the order in which
they were scheduled; an arrival comes after all of them, so that it meets the fault that begins, or the app that is
back, at that very moment.
"""

from breakerlab.policy.backoff import delay
from breakerlab.policy.breaker import OPEN, REFUSED, admit, fail, reset, succeed
from breakerlab.policy.budget import fill, note_call, note_success, withdraw
from breakerlab.policy.retry import STOP, next_start, time_allowed
from breakerlab.replay.calendar import remove_first, schedule
from breakerlab.replay.draws import BACKOFF, RECOVERY, uniform
from breakerlab.replay.tables import ATTEMPTS, EVENTS, SAMPLE_SECONDS, SCHEDULED, World

# outcomes: the places of these words in `trace.schema.OUTCOMES`
OK, ERROR, TIMEOUT, CONNECTION, REJECTED, LOST = 0, 1, 4, 5, 6, 8
# kinds of event rows: the places of these words in `trace.schema.EVENT_KINDS`
POOL, HEALTH, RESTART, BREAKER_STATE = 0, 1, 2, 3
NO_STATUS = 0
NOTHING = -1

# where a request stands in the app
UNSEEN, WAITING, WORKING, GONE = 0, 1, 2, 3
# where a health probe stands
PROBE_WAITING, PROBE_OVER = 1, 2

# kinds of calendar event
POOL_TIMEOUT, HOLD_OVER, NEXT_ATTEMPT, SERVED, ATTEMPT_TIMEOUT, GIVE_UP = 0, 1, 2, 3, 4, 5
CAPACITY, PROBE, PROBE_TIMEOUT, RESTARTED, SAMPLE = 6, 7, 8, 9, 10

FINISHED, OUT_OF_ROOM = 0, 1


def run(w: World) -> int:
    """Play the world to its end. FINISHED, or OUT_OF_ROOM if the attempts did not fit into the tables."""
    schedule_the_known(w)
    arrivals = w.requests.shape[0]
    arrived = 0
    calendar = w.calendar
    used = w.used
    while arrived < arrivals or used[SCHEDULED] > 0:
        if not has_room(w):
            return OUT_OF_ROOM
        if arrived < arrivals and (used[SCHEDULED] == 0 or w.requests[arrived].due < calendar[0].time):
            now = w.requests[arrived].due
            arrive(w, arrived, now)
            arrived += 1
        else:
            now = calendar[0].time
            kind, subject = calendar[0].kind, calendar[0].subject
            remove_first(w)
            happen(w, now, kind, subject)
        employ_free_workers(w, now)
    return FINISHED


def has_room(w: World) -> bool:
    """Whether there is room for an attempt and, beside it, for the retry that the budget then refuses."""
    return bool(w.used[ATTEMPTS] + 1 < w.attempts.shape[0])


def schedule_the_known(w: World) -> None:
    for i in range(w.steps.shape[0]):
        schedule(w, w.steps[i].time, CAPACITY, i)
    schedule(w, w.app[0].health_interval, PROBE, 0)
    schedule(w, 0.0, SAMPLE, 0)


def happen(w: World, now: float, kind: int, subject: int) -> None:
    if kind == SERVED:
        w.service[0].in_service -= 1
        serve_next(w, now)
        if w.attempts[subject].waiting:
            end_attempt(w, subject, OK, 200, now)
    elif kind == ATTEMPT_TIMEOUT:
        if w.attempts[subject].waiting:
            end_attempt(w, subject, TIMEOUT, NO_STATUS, now)
    elif kind == GIVE_UP:
        answer(w, subject, TIMEOUT, NO_STATUS, now)
    elif kind == NEXT_ATTEMPT:
        if w.requests[subject].state == WORKING:
            attempt(w, subject, now)
    elif kind == HOLD_OVER:
        if w.requests[subject].state == WORKING:
            finish(w, subject, OK, 200, now)
    elif kind == POOL_TIMEOUT:
        if w.requests[subject].state == WAITING:
            w.requests[subject].state = GONE
            answer(w, subject, ERROR, 503, now)
    elif kind == CAPACITY:
        w.service[0].slots_now = w.steps[subject].slots
        serve_next(w, now)
    elif kind == SAMPLE:
        sample_pool(w, now, subject)
    elif kind == PROBE:
        probe(w, subject, now)
    elif kind == PROBE_TIMEOUT:
        if w.probes[subject] == PROBE_WAITING:
            judge_health(w, subject, False, now)
    elif kind == RESTARTED:
        restart(w, now)


# ---- the app: callers, workers, health


def arrive(w: World, request: int, now: float) -> None:
    """A caller sends a request. Its patience begins now, whatever the app does with it."""
    if not w.app[0].is_up:
        w.requests[request].state = GONE
        answer(w, request, CONNECTION, NO_STATUS, now)
        return
    schedule(w, now + w.requests[request].patience, GIVE_UP, request)
    if w.app[0].in_use < w.app[0].workers:
        start_work(w, request, now)
        return
    w.requests[request].state = WAITING
    join_pool_queue(w, request)
    schedule(w, now + w.app[0].pool_timeout, POOL_TIMEOUT, request)


def join_pool_queue(w: World, job: int) -> None:
    w.pool_queue[w.app[0].queue_tail] = job
    w.app[0].queue_tail += 1


def start_work(w: World, request: int, now: float) -> None:
    w.requests[request].state = WORKING
    w.app[0].in_use += 1
    w.requests[request].began = now
    if w.requests[request].hold > 0.0:
        schedule(w, now + w.requests[request].hold, HOLD_OVER, request)
    else:
        attempt(w, request, now)


def finish(w: World, request: int, outcome: int, status: int, now: float) -> None:
    """The app is done with a request: it answers, and the worker is free."""
    w.requests[request].state = GONE
    w.app[0].in_use -= 1
    answer(w, request, outcome, status, now)


def employ_free_workers(w: World, now: float) -> None:
    """Free workers turn to whoever has waited longest."""
    app = w.app[0]
    while app.in_use < app.workers and app.queue_head < app.queue_tail and has_room(w):
        job = w.pool_queue[app.queue_head]
        app.queue_head += 1
        if job < 0:
            pass_probe(w, -job - 1, now)
        elif w.requests[job].state == WAITING:
            start_work(w, job, now)


def answer(w: World, request: int, outcome: int, status: int, now: float) -> None:
    """What the caller sees, unless it has already had an answer or given up."""
    if w.requests[request].outcome == NOTHING:
        w.requests[request].outcome = outcome
        w.requests[request].status = status
        w.requests[request].end = now


def probe(w: World, number: int, now: float) -> None:
    """The supervisor asks for the app's health; while the app is down it does not ask."""
    app = w.app[0]
    next_probe = (number + 2) * app.health_interval
    if next_probe <= app.duration:
        schedule(w, next_probe, PROBE, number + 1)
    if not app.is_up:
        return
    w.probes[number] = PROBE_WAITING
    if app.in_use < app.workers:
        judge_health(w, number, True, now)
        return
    join_pool_queue(w, -number - 1)
    schedule(w, now + min(app.health_timeout, app.pool_timeout), PROBE_TIMEOUT, number)


def pass_probe(w: World, number: int, now: float) -> None:
    if w.probes[number] == PROBE_WAITING:
        judge_health(w, number, True, now)


def judge_health(w: World, number: int, passed: bool, now: float) -> None:
    w.probes[number] = PROBE_OVER
    record_event(w, now, HEALTH, 1 if passed else 0)
    app = w.app[0]
    app.failed_probes = 0 if passed else app.failed_probes + 1
    if app.failed_probes >= app.health_failures:
        kill(w, now)


def kill(w: World, now: float) -> None:
    """The supervisor kills the app: what it has in hand is lost, its callers see their connections reset."""
    app = w.app[0]
    for request in range(w.requests.shape[0]):
        state = w.requests[request].state
        if state == UNSEEN:
            break
        if state == WORKING and w.requests[request].current != NOTHING:
            lose_attempt(w, w.requests[request].current)
        if state != GONE:
            w.requests[request].state = GONE
            answer(w, request, CONNECTION, NO_STATUS, now)
    for number in range(w.probes.shape[0]):
        if w.probes[number] == PROBE_WAITING:
            w.probes[number] = PROBE_OVER
    app.is_up = 0
    app.in_use = 0
    app.queue_head = app.queue_tail
    app.failed_probes = 0
    record_event(w, now, RESTART, 1)
    schedule(w, now + app.restart_seconds, RESTARTED, 0)


def lose_attempt(w: World, a: int) -> None:
    """An attempt that began and never ended for its caller; the service works on."""
    if w.attempts[a].waiting:
        w.attempts[a].waiting = 0
        w.attempts[a].outcome = LOST


def restart(w: World, now: float) -> None:
    """A new process: nothing in hand, a breaker that has seen nothing, and a full budget."""
    w.app[0].is_up = 1
    if w.breaker[0].state_code != 0:
        record_event(w, now, BREAKER_STATE, 0)
    reset(w.breaker[0])
    fill(w.budget[0], now)
    record_event(w, now, RESTART, 0)


def sample_pool(w: World, now: float, number: int) -> None:
    app = w.app[0]
    if app.is_up:
        record_event(w, now, POOL, app.in_use)
    if (number + 1) * SAMPLE_SECONDS <= app.duration:
        schedule(w, (number + 1) * SAMPLE_SECONDS, SAMPLE, number + 1)


def record_event(w: World, now: float, kind: int, value: int) -> None:
    i = w.used[EVENTS]
    w.events[i].time = now
    w.events[i].kind = kind
    w.events[i].value = value
    w.used[EVENTS] = i + 1


# ---- the call under its policy


def attempt(w: World, request: int, now: float) -> None:
    """Make an attempt, if the breaker allows it."""
    if w.policy[0].has_budget and w.requests[request].made == 0:
        note_call(w.budget[0])
    a = begin_attempt(w, request, now)
    if w.policy[0].has_breaker:
        before = w.breaker[0].state_code
        permit = admit(w.breaker[0], now)
        w.requests[request].permit = permit
        note_transition(w, before, now)
        if permit == REFUSED:
            refuse(w, a, now)
            return
    policy = w.policy[0]
    allowed = time_allowed(policy, policy.timeout, w.requests[request].made, w.requests[request].began, now)
    w.requests[request].made += 1
    w.requests[request].current = a
    w.attempts[a].waiting = 1
    schedule(w, now + allowed, ATTEMPT_TIMEOUT, a)
    reach_service(w, a, now)


def refuse(w: World, a: int, now: float) -> None:
    """An open circuit refuses an attempt: that ends its call, or the call waits for the next probe."""
    record_outcome(w, a, REJECTED, NO_STATUS, now)
    request = w.attempts[a].request
    w.requests[request].made += 1
    wait = draw_delay(w, request)
    made, began, probe_at = w.requests[request].made, w.requests[request].began, w.breaker[0].probe_at
    start = next_start(w.policy[0], made, began, now, wait, 0.0, probe_at) if w.policy[0].wait_for_probe else STOP
    if start == STOP:
        finish(w, request, ERROR, 503, now)
    else:  # nothing was sent, so the budget is not asked
        schedule(w, start, NEXT_ATTEMPT, request)


def begin_attempt(w: World, request: int, now: float) -> int:
    a = int(w.used[ATTEMPTS])
    w.used[ATTEMPTS] = a + 1
    w.attempts[a].request = request
    w.attempts[a].number = w.requests[request].made + 1
    w.attempts[a].time = now
    return a


def record_outcome(w: World, a: int, outcome: int, status: int, now: float) -> None:
    w.attempts[a].waiting = 0
    w.attempts[a].outcome = outcome
    w.attempts[a].status = status
    w.attempts[a].end = now


def end_attempt(w: World, a: int, outcome: int, status: int, now: float) -> None:
    """The app learns how an attempt went: it tells breaker and budget, and answers, waits or gives up."""
    request = w.attempts[a].request
    record_outcome(w, a, outcome, status, now)
    asked = w.service[0].retry_after if status == 503 else 0.0
    tell_breaker(w, a, outcome, asked, now)
    if outcome == OK:
        if w.policy[0].has_budget:
            note_success(w.budget[0])
        finish(w, request, OK, 200, now)
        return
    wait = draw_delay(w, request)
    made, began = w.requests[request].made, w.requests[request].began
    open_now = w.policy[0].has_breaker and w.breaker[0].state_code == OPEN
    probe_at = w.breaker[0].probe_at if open_now else now
    start = next_start(w.policy[0], made, began, now, wait, asked, probe_at)
    if start == STOP:
        finish(w, request, ERROR, 502, now)
    elif w.policy[0].has_budget and not withdraw(w.budget[0], now):
        record_outcome(w, begin_attempt(w, request, now), REJECTED, NO_STATUS, now)
        finish(w, request, ERROR, 502, now)
    else:
        schedule(w, start, NEXT_ATTEMPT, request)


def draw_delay(w: World, request: int) -> float:
    """The backoff before the next attempt; the request remembers it, because decorrelated jitter builds on it."""
    made = w.requests[request].made
    u = uniform(w.app[0].seed, w.requests[request].number, made, BACKOFF)
    w.requests[request].delay = delay(w.policy[0], made, w.requests[request].delay, u)
    return float(w.requests[request].delay)


def tell_breaker(w: World, a: int, outcome: int, retry_after: float, now: float) -> None:
    if not w.policy[0].has_breaker:
        return
    breaker = w.breaker[0]
    before = breaker.state_code
    request = w.attempts[a].request
    permit, took = w.requests[request].permit, now - w.attempts[a].time
    u = uniform(w.app[0].seed, w.requests[request].number, w.requests[request].made, RECOVERY)
    if outcome == OK:
        succeed(breaker, permit, now, took, u)
    else:
        fail(breaker, permit, now, took, retry_after, u)
    note_transition(w, before, now)


def note_transition(w: World, state_before: int, now: float) -> None:
    if w.breaker[0].state_code != state_before:
        record_event(w, now, BREAKER_STATE, w.breaker[0].state_code)


# ---- the service


def reach_service(w: World, a: int, now: float) -> None:
    s = w.service[0]
    if s.in_service < s.slots_now:
        serve(w, a, now)
    elif s.queue_tail - s.queue_head < s.queue_limit:
        w.service_queue[s.queue_tail] = a
        s.queue_tail += 1
    else:
        end_attempt(w, a, ERROR, 503, now)


def serve(w: World, a: int, now: float) -> None:
    """Begin an attempt's work. Its length depends on how much is in hand at this moment, and is fixed from here on."""
    s = w.service[0]
    s.in_service += 1
    alone = s.first_token + w.requests[w.attempts[a].request].tokens * s.per_token
    crowd = (s.in_service - 1) / max(s.slots - 1, 1)
    schedule(w, now + alone * (1.0 + s.slowdown * crowd), SERVED, a)


def serve_next(w: World, now: float) -> None:
    s = w.service[0]
    while s.in_service < s.slots_now and s.queue_head < s.queue_tail:
        a = w.service_queue[s.queue_head]
        s.queue_head += 1
        serve(w, a, now)
