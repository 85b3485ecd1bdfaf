"""The service at work: who is let in, who waits, how long it takes. It knows its jobs, and nothing of the app."""

from typing import Any

from breakerlab.replay.calendar import schedule
from breakerlab.replay.distribution import LLM
from breakerlab.replay.draws import FAULT, NETWORK, WORK, drawn, uniform
from breakerlab.replay.kinds import ATTEMPT_TIMEOUT, REACHED, SERVED
from breakerlab.replay.records import NOTHING, append, give_back, is_current, place_of, take, ticket, unlink
from breakerlab.replay.tables import JOBS, World

# where a job stands
ON_THE_WAY, QUEUED, IN_SERVICE = 1, 2, 3

# what comes of reaching the service: it is in its hands; or at once, the negative of a status
ACCEPTED, HANGS, CONNECTION_REFUSED, OVERLOADED, THROTTLED = 0, 1, -1, -503, -429

FIFO, LIFO, DEADLINE = 0, 1, 2  # the places of the words in `server.DISCIPLINES`
NO_LIMIT = -1.0


def send(w: World, c: int, deadline: float, now: float) -> int:
    """The app sends an attempt; what comes of it at once. ACCEPTED leaves the job in `calls[c].job`."""
    call, service = w.calls[c], w.service[0]
    call.job = NOTHING
    service.came += 1
    endpoint = w.endpoints[call.endpoint]
    status = 200
    if endpoint.refuse > 0.0 or endpoint.hang > 0.0 or endpoint.error > 0.0:
        u = uniform(call.key, call.attempts, FAULT)
        if u < endpoint.refuse:
            service.turned_away += 1
            return CONNECTION_REFUSED
        if u < endpoint.refuse + endpoint.hang:
            service.turned_away += 1
            return HANGS
        if u < endpoint.refuse + endpoint.hang + endpoint.error:
            status = endpoint.status
    j = take(w.stores[JOBS], w.jobs)
    job = w.jobs[j]
    job.request = call.request
    job.key = call.key
    job.attempt = call.attempts
    job.endpoint = call.endpoint
    job.caller = ticket(c, call.stamp)
    job.status = status
    job.write = call.write
    job.tokens = call.tokens
    job.deadline = deadline
    job.timed = 0
    call.job = j
    if service.network_code == NOTHING:
        return reach(w, j, now)
    seconds = drawn(
        service.network_code,
        service.network_first,
        service.network_second,
        w.network_values,
        w.clock[0].network_values,
        call.key,
        call.attempts,
        NETWORK,
    )
    job.state = ON_THE_WAY
    service.on_the_way += 1
    if now + seconds >= deadline:
        time_it(w, j)
    schedule(w, now + seconds, REACHED, ticket(j, job.stamp))
    return ACCEPTED


def reach(w: World, j: int, now: float) -> int:
    """An attempt reaches the service, which takes it in or refuses it."""
    service, job = w.service[0], w.jobs[j]
    if service.cancels and not is_current(w.calls, job.caller):
        service.cancelled += 1
        give_back(w.stores[JOBS], w.jobs, j)
        return ACCEPTED
    if service.request_limit != NO_LIMIT and not is_granted(service, job.tokens, now):
        service.throttled += 1
        give_back(w.stores[JOBS], w.jobs, j)
        return THROTTLED
    if service.in_service < service.slots_now:
        job.arrived = now
        serve(w, j, now)
    elif service.queued < service.queue_limit:
        job.arrived = now
        look(service, now)
        job.state = QUEUED
        service.queued += 1
        append(service, w.jobs, j)
        time_it(w, j)
    else:
        service.refused += 1
        give_back(w.stores[JOBS], w.jobs, j)
        return OVERLOADED
    return ACCEPTED


def time_it(w: World, j: int) -> None:
    """Put the attempt's timeout into the calendar: it may come before the answer."""
    job = w.jobs[j]
    if not job.timed and job.deadline <= w.clock[0].last_moment and is_current(w.calls, job.caller):
        schedule(w, job.deadline, ATTEMPT_TIMEOUT, job.caller)
    job.timed = 1


def look(service: Any, now: float) -> None:
    """Keep the books up to now: slot-seconds in use, and seconds present."""
    if now == service.looked_at:
        return
    passed = now - service.looked_at
    service.busy += service.in_service * passed
    service.present += (service.in_service + service.queued) * passed
    service.looked_at = now


def serve(w: World, j: int, now: float) -> None:
    """Begin a job. How long it takes may depend on how much is in hand at this moment, and is fixed from here on."""
    service, job = w.service[0], w.jobs[j]
    look(service, now)
    service.in_service += 1
    job.state = IN_SERVICE
    job.began = now
    end = now + work_seconds(w, service, job) * w.endpoints[job.endpoint].latency
    if end >= job.deadline:
        time_it(w, j)
    schedule(w, end, SERVED, ticket(j, job.stamp))


def work_seconds(w: World, service: Any, job: Any) -> float:
    if service.time_code == LLM:
        alone = service.first_number + job.tokens * service.second_number
        crowd = min(service.in_service - 1.0, service.crowd) / max(service.crowd, 1.0)
        return float(alone * (1.0 + service.slowdown * crowd))
    return drawn(
        service.time_code,
        service.first_number,
        service.second_number,
        w.service_values,
        w.clock[0].service_values,
        job.key,
        job.attempt,
        WORK,
    )


def serve_next(w: World, now: float) -> None:
    """Free slots turn to the queue."""
    service = w.service[0]
    while service.in_service < service.slots_now and service.queued > 0:
        j = service.last if service.discipline == LIFO else service.first
        leave_queue(w, j, now)
        if service.discipline == DEADLINE and w.jobs[j].deadline <= now:
            service.dropped += 1
            service.spent += now - w.jobs[j].arrived
            give_back(w.stores[JOBS], w.jobs, j)
        else:
            serve(w, j, now)


def leave_queue(w: World, j: int, now: float) -> None:
    service = w.service[0]
    look(service, now)
    service.queued -= 1
    unlink(service, w.jobs, j)


def complete(w: World, j: int, now: float) -> None:
    """A job's work is done."""
    service, job = w.service[0], w.jobs[j]
    look(service, now)
    service.in_service -= 1
    service.given += now - job.began
    service.spent += now - job.arrived
    if job.status != 200:
        service.failed += 1
        return
    service.served += 1
    if job.write:
        w.requests.executed[job.request] += 1


def cancel(w: World, c: int, now: float) -> None:
    """The app has hung up on an attempt; a service that notices gives up the work."""
    service, j = w.service[0], w.calls[c].job
    if not service.cancels or j == NOTHING:
        return
    job = w.jobs[j]
    if place_of(job.caller) != c:
        return
    if job.state == QUEUED:
        leave_queue(w, j, now)
    elif job.state == IN_SERVICE:
        look(service, now)
        service.in_service -= 1
        service.given += now - job.began
    else:
        return  # still on the way: that nobody waits is noticed when it arrives
    service.spent += now - job.arrived
    service.cancelled += 1
    give_back(w.stores[JOBS], w.jobs, j)
    serve_next(w, now)


def change(w: World, step: int, now: float) -> None:
    """A fault begins or ends."""
    look(w.service[0], now)
    w.service[0].slots_now = w.steps[step].slots
    n = w.app[0].endpoints
    for e in range(n):
        told, endpoint = w.step_faults[step * n + e], w.endpoints[e]
        endpoint.latency = told.latency
        endpoint.error = told.error
        endpoint.refuse = told.refuse
        endpoint.hang = told.hang
        endpoint.status = told.status
    serve_next(w, now)


def is_granted(service: Any, tokens: float, now: float) -> bool:
    """Whether the rate limit allows an attempt of so many tokens; if so, it is counted."""
    passed = now - service.refilled_at
    service.refilled_at = now
    service.requests_left = min(service.requests_left + passed * service.request_rate, service.request_limit)
    service.tokens_left = min(service.tokens_left + passed * service.token_rate, service.token_limit)
    if service.requests_left < 1.0 or service.tokens_left < tokens:
        return False
    service.requests_left -= 1.0
    service.tokens_left -= tokens
    return True


def seconds_until_granted(service: Any, tokens: float) -> float:
    """What a 429 asks for: seconds until both buckets have enough, or are full, for one that asks for more."""
    requests = max(1.0 - service.requests_left, 0.0)
    wanted = max(min(tokens, service.token_limit) - service.tokens_left, 0.0)
    for_requests = requests / service.request_rate if requests > 0.0 else 0.0
    for_tokens = wanted / service.token_rate if wanted > 0.0 else 0.0
    return float(max(for_requests, for_tokens))
