"""The event loop: a policy meets a service that its own retries can overload, inside an app with pools of workers.

Everything here and in `calendar`, `records`, `desk`, `attempts` and `pool` is a plain function over a `World` and runs
as it stands, interpreted; `compiled.py` compiles the same functions, and with them the very rules of
`breakerlab.policy`.
The order of events at one moment is the order in which they were scheduled; an arrival comes after all of them, so that
it meets the fault that begins, or the app that is back, at that very moment.
"""

from breakerlab.replay.attempts import end_attempt, record_event, reply, reply_later
from breakerlab.replay.calendar import KINDS, close_hole, put, remove_first, restore_order, schedule
from breakerlab.replay.desk import ACCEPTED, change, complete, reach, serve_next
from breakerlab.replay.kinds import (
    ARRIVED,
    ATTEMPT_TIMEOUT,
    CHANGED,
    CLIENT_ERROR,
    ERROR,
    GIVE_UP,
    HOLD_OVER,
    NEXT_ATTEMPT,
    OK,
    POOL,
    POOL_TIMEOUT,
    PROBE,
    REACHED,
    REPLIED,
    RESTARTED,
    SAMPLE,
    SERVED,
    STANDBY_OVER,
    THOUGHT,
    THROTTLED,
)
from breakerlab.replay.pool import (
    NOBODY,
    arrive,
    ask,
    come_back,
    employ,
    finish,
    give_up,
    go_on,
    probe,
    reach_app,
    restart,
    standby_answers,
    think,
    time_out_in_pool,
    time_out_outside,
)
from breakerlab.replay.records import give_back, is_current, place_of
from breakerlab.replay.tables import CALLS, JOBS, SAMPLE_SECONDS, World

FINISHED, OUT_OF_ROOM, OUT_OF_TIME, TOO_MANY_ATTEMPTS = 0, 1, 2, 3
NO_INSTANCE = -1
MOST_LINES = 8  # that one event, and one worker that it frees, may need in a table beyond its margin


def run(w: World) -> int:
    """Play the world to its end, or until a table is full; it can then be enlarged, and the world played on."""
    clock = w.clock[0]
    if not clock.started:
        clock.started = 1
        schedule_the_known(w)
    due = w.arrivals.time
    while True:
        if not has_room(w):
            return OUT_OF_ROOM
        if clock.sent >= clock.most_attempts:
            return TOO_MANY_ATTEMPTS
        if clock.touched != NO_INSTANCE:
            turn_to_waiting(w)
            continue
        open_loop = clock.arrived < clock.arrivals
        if open_loop and (clock.scheduled == 0 or due[clock.arrived] < w.calendar[0].time):
            now = due[clock.arrived]
            if now > clock.last_moment:
                return OUT_OF_TIME
            clock.now = now
            clock.arrived += 1
            arrive(w, clock.arrived - 1, now)
        elif clock.scheduled > 0:
            first = w.calendar[0]
            now, kind, subject = first.time, first.key & (KINDS - 1), first.subject
            if now > clock.last_moment:
                return OUT_OF_TIME
            clock.now = now
            remove_first(w)
            happen(w, now, kind, subject)
            close_hole(w)
        else:
            return FINISHED


def schedule_the_known(w: World) -> None:
    for i in range(w.clock[0].steps):
        if w.steps[i].time <= w.clock[0].last_moment:
            schedule(w, w.steps[i].time, CHANGED, i)
    if w.app[0].health_interval <= w.app[0].duration:
        schedule(w, w.app[0].health_interval, PROBE, 0)
    schedule(w, 0.0, SAMPLE, 0)
    if w.app[0].closed:
        for caller in range(w.app[0].callers):
            think(w, caller, 0.0)


def turn_to_waiting(w: World) -> None:
    """One worker that has become free turns to one that waits, if any does."""
    clock = w.clock[0]
    instance = w.instances[clock.touched]
    if instance.waiting > 0 and instance.in_use < w.app[0].workers:
        employ(w, clock.touched, clock.now)
    else:
        clock.touched = NO_INSTANCE


def has_room(w: World) -> bool:
    """Whether every table has lines for what one event may bring.

    How many events there is room for at least is counted down, and looked up anew only when that is over.
    """
    clock = w.clock[0]
    clock.sure_events -= 1
    if clock.sure_events > 0:
        return True
    if clock.scheduled + for_all_at_once(w) >= clock.calendar_room and not forget_stale_events(w):
        return False
    room = min(clock.rows_room - clock.rows, clock.requests_room - clock.arrived)
    room = min(room, clock.events_room - clock.events, clock.samples_room - clock.samples)
    room = min(room, clock.asked_room - clock.asked, clock.calls_room - w.stores[CALLS].used)
    # an event's lines may be those of new calls and jobs, each of which then needs up to three more in the calendar
    calendar_room = (clock.calendar_room - clock.scheduled - for_all_at_once(w)) // 4
    room = min(room, clock.jobs_room - w.stores[JOBS].used, calendar_room)
    clock.sure_events = room // (MOST_LINES * w.app[0].instances)
    return bool(room >= 0)


def for_all_at_once(w: World) -> int:
    """Lines of the calendar that one event may need: a fault ends, and all that waits is served; an instance is killed,
    and all its callers go away."""
    return int(w.stores[CALLS].used + 2 * w.stores[JOBS].used)


def forget_stale_events(w: World) -> bool:
    """Drop what no longer holds from a full calendar; whether that has made it at most half full."""
    clock = w.clock[0]
    kept = 0
    for i in range(clock.scheduled):
        event = w.calendar[i]
        if is_to_come(w, event.key % KINDS, event.subject):
            put(w.calendar[kept], event.time, event.key, event.subject)
            kept += 1
    clock.scheduled = kept
    restore_order(w)
    return bool(2 * (kept + for_all_at_once(w)) <= clock.calendar_room)


def is_to_come(w: World, kind: int, subject: int) -> bool:
    if kind == SERVED or kind == REACHED:  # noqa: SIM109
        return is_current(w.jobs, subject)
    if kind <= STANDBY_OVER:
        return is_current(w.calls, subject)
    return True


def happen(w: World, now: float, kind: int, subject: int) -> None:
    if kind == SERVED:
        if is_current(w.jobs, subject):
            serve_out(w, place_of(subject), now)
    elif kind == REACHED:
        reach_out(w, place_of(subject), now)
    elif kind <= STANDBY_OVER:
        if is_current(w.calls, subject):
            go_on_with_call(w, place_of(subject), kind, now)
    elif kind == ARRIVED:
        reach_app(w, subject, now)
    elif kind == GIVE_UP:
        give_up(w, subject, now)
    elif kind == THOUGHT:
        ask(w, subject, now)
    elif kind == CHANGED:
        change(w, subject, now)
    elif kind == SAMPLE:
        sample(w, now, subject)
    elif kind == PROBE:
        probe(w, subject, now)
    elif kind == RESTARTED:
        restart(w, subject, now)


def go_on_with_call(w: World, c: int, kind: int, now: float) -> None:
    if kind == NEXT_ATTEMPT:
        come_back(w, c, now)
    elif kind == ATTEMPT_TIMEOUT:
        time_out_outside(w, c, now)
    elif kind == HOLD_OVER:
        finish(w, c, OK, 200, NOBODY, now)
    elif kind == POOL_TIMEOUT:
        time_out_in_pool(w, c, now)
    elif kind == REPLIED:
        go_on(w, c, reply(w, c, w.calls[c].status, now), now)
    elif kind == STANDBY_OVER:
        standby_answers(w, c, now)


def serve_out(w: World, j: int, now: float) -> None:
    """The service has done an attempt's work, and answers, if anybody still waits."""
    job = w.jobs[j]
    caller, status = job.caller, job.status
    complete(w, j, now)
    give_back(w.stores[JOBS], w.jobs, j)
    serve_next(w, now)
    if is_current(w.calls, caller):
        outcome = OK if status == 200 else ERROR if status >= 500 else THROTTLED if status == 429 else CLIENT_ERROR
        c = place_of(caller)
        asked = w.service[0].retry_after if status == 503 else 0.0
        go_on(w, c, end_attempt(w, c, outcome, status, asked, now), now)


def reach_out(w: World, j: int, now: float) -> None:
    """An attempt that was on its way reaches the service; a refusal is told to whoever still waits."""
    caller, deadline = w.jobs[j].caller, w.jobs[j].deadline
    w.service[0].on_the_way -= 1
    result = reach(w, j, now)
    if result != ACCEPTED and is_current(w.calls, caller):
        c = place_of(caller)
        go_on(w, c, reply_later(w, c, result, deadline, now), now)


def sample(w: World, now: float, number: int) -> None:
    app, clock, service = w.app[0], w.clock[0], w.service[0]
    i = clock.samples
    clock.samples = i + 1
    w.samples.time[i] = now
    w.samples.in_service[i] = service.in_service
    w.samples.queued[i] = service.queued
    for place in range(app.instances):
        if w.instances[place].is_up:
            record_event(w, now, POOL, place, w.instances[place].in_use)
    if (number + 1) * SAMPLE_SECONDS <= app.duration:
        schedule(w, (number + 1) * SAMPLE_SECONDS, SAMPLE, number + 1)
