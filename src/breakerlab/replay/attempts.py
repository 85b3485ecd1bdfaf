"""A call under its policies, one around the other: attempts, timeouts, breakers, budgets, backoff.

Layer 0 is the outermost policy; an attempt of it is the whole call of the next. Only an attempt of the innermost layer
reaches the service. Each function says whether the call goes on (UNDER_WAY) or has come to its end (OVER), with what
the app will answer in `call.status`.
"""

from typing import Any

from breakerlab.policy.backoff import delay
from breakerlab.policy.breaker import OPEN, REFUSED, admit, admit_first, fail, ignore, succeed
from breakerlab.policy.budget import note_call, note_success, withdraw
from breakerlab.policy.retry import STOP, next_start, time_allowed
from breakerlab.policy.throttle import note_accept, refuses
from breakerlab.replay.calendar import schedule
from breakerlab.replay.desk import (
    ACCEPTED,
    CONNECTION_REFUSED,
    HANGS,
    OVERLOADED,
    cancel,
    seconds_until_granted,
    send,
)
from breakerlab.replay.draws import BACKOFF, LAG, RECOVERY, SHED, drawn, uniform
from breakerlab.replay.kinds import (
    ATTEMPT_TIMEOUT,
    BREAKER_STATE,
    CLIENT_ERROR,
    CONNECTION,
    ERROR,
    LLM,
    NEXT_ATTEMPT,
    NO_STATUS,
    OK,
    REJECTED,
    REPLIED,
    THROTTLED,
    TIMEOUT,
    UNKNOWN,
)
from breakerlab.replay.records import NOTHING, ticket
from breakerlab.replay.tables import LAYERS, World

UNDER_WAY, OVER = 0, 1
APART = 1 << 20  # the draws of two layers must not be the same
MOST = 32_767  # the largest attempt number that a trace holds; it stands for all beyond
REQUEST_TIMEOUT, TOO_EARLY = 408, 425  # of the client's errors those that another attempt may mend
BAD_GATEWAY, UNAVAILABLE = 502, 503


def breaker_of(w: World, call: Any, layer: int) -> Any:
    """Where the breaker and the budget of this layer stand in their tables."""
    app = w.app[0]
    return layer if app.shared else call.instance * app.layers + layer


def attempt(w: World, c: int, now: float) -> int:
    """An attempt of layer `call.layer` begins, and with it the calls of all layers within."""
    call, app = w.calls[c], w.app[0]
    call.stamp += 1
    row = begin_llm_row(w, call, now)
    call.row = row
    cut = w.clock[0].last_moment * 2.0
    for layer in range(app.layers):
        part = w.parts[c * LAYERS + layer]
        if layer >= call.layer:
            policy = w.policies[layer]
            if layer > call.layer:
                begin_call(w, c, layer, now)
            if policy.has_budget and part.made == 0:
                note_call(w.budgets[breaker_of(w, call, layer)])
            if policy.has_throttle and is_throttled(w, call, layer, now):
                reject(w, call, row, now)
                return end_refused(w, c, layer, now)
            if policy.has_breaker and not is_admitted(w, c, layer, now):
                return refuse(w, c, layer, now)
            made = policy.attempts - 1 if call.once else part.made
            allowed = time_allowed(policy, policy.timeout, made, part.began, now)
            part.made += 1
            part.sent = now
            part.deadline = now + allowed
        if part.deadline < cut:
            cut = part.deadline
    w.clock[0].sent += 1
    call.attempts += 1
    result = send(w, c, cut, now)
    if result == ACCEPTED:
        return UNDER_WAY
    if result == HANGS:
        if cut <= w.clock[0].last_moment:
            schedule(w, cut, ATTEMPT_TIMEOUT, ticket(c, call.stamp))
        return UNDER_WAY
    return reply_later(w, c, result, cut, now)


def has_time(w: World, c: int, now: float) -> bool:
    """Whether a call that had to wait for a worker may still make an attempt; if not, it is over."""
    call = w.calls[c]
    call.status = BAD_GATEWAY
    for layer in range(call.layer + 1):
        part = w.parts[c * LAYERS + layer]
        if now >= part.began + w.policies[layer].total_time_limit:
            return False
        if layer < call.layer and now >= part.deadline:
            return False
    return True


def outer_deadline(w: World, c: int) -> float:
    """When the time of a layer around the one that waits is over."""
    cut = w.clock[0].last_moment * 2.0
    for around in range(w.calls[c].layer):
        cut = min(cut, w.parts[c * LAYERS + around].deadline)
    return float(cut)


def begin_call(w: World, c: int, layer: int, now: float) -> None:
    part = w.parts[c * LAYERS + layer]
    part.began = now
    part.made = 0
    part.delay = 0.0


def begin_llm_row(w: World, call: Any, now: float) -> int:
    return begin_row(w, call.request, min(call.attempts + 1, MOST), LLM, call.instance, now)


def begin_row(w: World, request: int, number: int, service: int, instance: int, now: float) -> int:
    clock, rows = w.clock[0], w.rows
    row = clock.rows
    clock.rows = row + 1
    rows.time[row] = now
    rows.request[row] = request
    rows.number[row] = number
    rows.service[row] = service
    rows.instance[row] = instance
    rows.outcome[row] = UNKNOWN
    rows.status[row] = NO_STATUS
    return int(row)


def end_row(w: World, row: int, outcome: int, status: int, now: float) -> None:
    rows = w.rows
    rows.latency[row] = now - rows.time[row]
    rows.outcome[row] = outcome
    rows.status[row] = status


def reject(w: World, call: Any, row: int, now: float) -> None:
    """An attempt is refused locally, and never sent."""
    end_row(w, row, REJECTED, NO_STATUS, now)
    call.row = NOTHING
    call.attempts += 1


def is_admitted(w: World, c: int, layer: int, now: float) -> bool:
    call = w.calls[c]
    b = breaker_of(w, call, layer)
    breaker = w.breakers[b]
    permit = breaker.free_permit
    if permit == REFUSED:
        before = breaker.state_code
        first = w.parts[c * LAYERS + layer].made == 0
        permit = admit_first(breaker, now) if first else admit(breaker, now)
        note_transition(w, call.instance, b, before, now)
    w.parts[c * LAYERS + layer].permit = permit
    return bool(permit != REFUSED)


def is_throttled(w: World, call: Any, layer: int, now: float) -> bool:
    u = uniform(call.key, call.attempts + layer * APART, SHED)
    return refuses(w.throttles[breaker_of(w, call, layer)], now, u)


def refuse(w: World, c: int, layer: int, now: float) -> int:
    """A layer's circuit refuses an attempt: that ends its call, or the call waits for the next probe."""
    call, part, policy = w.calls[c], w.parts[c * LAYERS + layer], w.policies[layer]
    reject(w, call, call.row, now)
    part.made += 1
    if policy.wait_for_probe and not call.once:
        wait = draw_delay(w, c, layer)
        probe_at = w.breakers[breaker_of(w, call, layer)].probe_at
        start = next_start(policy, part.made, part.began, now, wait, 0.0, probe_at)
        if start != STOP:  # nothing was sent, so the budget is not asked
            return wait_until(w, c, layer, start)
    return end_refused(w, c, layer, now)


def end_refused(w: World, c: int, layer: int, now: float) -> int:
    """A refusal is retried by nobody: it ends the calls of all layers around."""
    call = w.calls[c]
    forget_permits(w, c, 0, layer, now)
    call.refused = 1
    call.status = UNAVAILABLE
    return OVER


def forget_permits(w: World, c: int, first: int, end: int, now: float) -> None:
    """What is cut off from within or without says nothing about the service: probes' permits are free again.

    A throttle, which counts failures alone against the service, takes it for accepted.
    """
    for layer in range(first, end):
        if w.policies[layer].has_throttle:
            note_accept(w.throttles[breaker_of(w, w.calls[c], layer)], now)
        if w.policies[layer].has_breaker:
            ignore(w.breakers[breaker_of(w, w.calls[c], layer)], w.parts[c * LAYERS + layer].permit)


def reply_later(w: World, c: int, result: int, cut: float, now: float) -> int:
    """What the service says at once is known after the seconds that a refusal takes, if it takes any."""
    call = w.calls[c]
    seconds = 0.0 if result == CONNECTION_REFUSED else w.service[0].rejection_seconds
    if seconds == 0.0:
        return reply(w, c, result, now)
    if now + seconds >= cut:
        if cut <= w.clock[0].last_moment:
            schedule(w, cut, ATTEMPT_TIMEOUT, ticket(c, call.stamp))
    else:
        call.status = result
        schedule(w, now + seconds, REPLIED, ticket(c, call.stamp))
    return UNDER_WAY


def reply(w: World, c: int, result: int, now: float) -> int:
    """The app learns that the service has refused an attempt."""
    service = w.service[0]
    if result == CONNECTION_REFUSED:
        return end_attempt(w, c, CONNECTION, NO_STATUS, 0.0, now)
    if result == OVERLOADED:
        return end_attempt(w, c, ERROR, 503, service.retry_after, now)
    asked = seconds_until_granted(service, w.calls[c].tokens)
    i = w.clock[0].asked
    w.clock[0].asked = i + 1
    w.asked.row[i] = w.calls[c].row
    w.asked.seconds[i] = asked
    return end_attempt(w, c, THROTTLED, 429, asked, now)


def end_attempt(w: World, c: int, outcome: int, status: int, asked: float, now: float) -> int:
    """The app learns how an attempt on the service went."""
    call = w.calls[c]
    call.stamp += 1
    call.job = NOTHING
    end_row(w, call.row, outcome, status, now)
    call.row = NOTHING
    layers = w.app[0].layers
    if outcome == OK:
        for layer in range(layers - 1, -1, -1):
            tell_success(w, c, layer, now)
        call.status = 200
        return OVER
    if outcome == CLIENT_ERROR and status != REQUEST_TIMEOUT and status != TOO_EARLY:
        forget_permits(w, c, 0, layers, now)
        call.status = status
        return OVER
    return end_failed(w, c, layers - 1, asked, now)


def time_out(w: World, c: int, now: float) -> int:
    """An attempt's time is over: that of the outermost layer whose time it is, and with it all within."""
    call, layers = w.calls[c], w.app[0].layers
    layer = 0
    while layer < layers - 1 and w.parts[c * LAYERS + layer].deadline > now:
        layer += 1
    forget_permits(w, c, layer + 1, layers, now)
    if call.row != NOTHING:
        end_row(w, call.row, TIMEOUT, NO_STATUS, now)
        call.row = NOTHING
        cancel(w, c, now)
        call.job = NOTHING
    call.stamp += 1
    return end_failed(w, c, layer, 0.0, now)


def end_failed(w: World, c: int, layer: int, asked: float, now: float) -> int:
    """An attempt of `layer` has failed: its policy waits for the next, or gives up, and the layer around has failed."""
    call = w.calls[c]
    while layer >= 0:
        policy, part = w.policies[layer], w.parts[c * LAYERS + layer]
        tell_failure(w, c, layer, asked, now)
        start = STOP
        if not call.once:
            wait = draw_delay(w, c, layer)
            probe_at = next_probe(w, call, layer, now) if policy.has_breaker else now
            start = next_start(policy, part.made, part.began, now, wait, asked, probe_at)
        if start != STOP:
            if policy.has_budget and not withdraw(w.budgets[breaker_of(w, call, layer)], now):
                reject(w, call, begin_llm_row(w, call, now), now)
            else:
                return wait_until(w, c, layer, start)
        layer -= 1
    call.status = BAD_GATEWAY
    return OVER


def next_probe(w: World, call: Any, layer: int, now: float) -> float:
    """When an open circuit admits its next probe; now, while it is not open."""
    breaker = w.breakers[breaker_of(w, call, layer)]
    return float(breaker.probe_at) if breaker.state_code == OPEN else now


def wait_until(w: World, c: int, layer: int, start: float) -> int:
    """The next attempt of `layer` begins at `start`, unless the time of a layer around it is over before."""
    call = w.calls[c]
    call.layer = layer
    cut = start + timer_lag(w, call.key, call.attempts)
    kind = NEXT_ATTEMPT
    deadline = outer_deadline(w, c)
    if deadline <= cut:
        cut = deadline
        kind = ATTEMPT_TIMEOUT
    if cut <= w.clock[0].last_moment:
        schedule(w, cut, kind, ticket(c, call.stamp))
    return UNDER_WAY


def timer_lag(w: World, key: Any, number: int) -> float:
    """Seconds by which a timer is late."""
    app = w.app[0]
    if app.timer_lag_code == NOTHING:
        return 0.0
    first, second, n = app.timer_lag_first, app.timer_lag_second, w.clock[0].timer_lag_values
    return drawn(app.timer_lag_code, first, second, w.timer_lag_values, n, key, number, LAG)


def draw_delay(w: World, c: int, layer: int) -> float:
    """The backoff before the next attempt; the call remembers it, because decorrelated jitter builds on it."""
    call, part = w.calls[c], w.parts[c * LAYERS + layer]
    u = uniform(call.key, call.attempts + layer * APART, BACKOFF)
    part.delay = delay(w.policies[layer], part.made, part.delay, u)
    return float(part.delay)


def tell_success(w: World, c: int, layer: int, now: float) -> None:
    call, part = w.calls[c], w.parts[c * LAYERS + layer]
    b = breaker_of(w, call, layer)
    if w.policies[layer].has_breaker:
        breaker = w.breakers[b]
        before = breaker.state_code
        u = uniform(call.key, call.attempts + layer * APART, RECOVERY)
        succeed(breaker, part.permit, now, now - part.sent, u)
        note_transition(w, call.instance, b, before, now)
    if w.policies[layer].has_budget:
        note_success(w.budgets[b])
    if w.policies[layer].has_throttle:
        note_accept(w.throttles[b], now)


def tell_failure(w: World, c: int, layer: int, asked: float, now: float) -> None:
    if not w.policies[layer].has_breaker:
        return
    call, part = w.calls[c], w.parts[c * LAYERS + layer]
    b = breaker_of(w, call, layer)
    breaker = w.breakers[b]
    before = breaker.state_code
    u = uniform(call.key, call.attempts + layer * APART, RECOVERY)
    fail(breaker, part.permit, now, now - part.sent, asked, u)
    note_transition(w, call.instance, b, before, now)


def note_transition(w: World, instance: int, b: int, state_before: int, now: float) -> None:
    """Log a change of a circuit, that of the outermost layer."""
    if w.breakers[b].state_code != state_before and b % w.app[0].layers == 0:
        record_event(w, now, BREAKER_STATE, instance, w.breakers[b].state_code)


def record_event(w: World, now: float, kind: int, instance: int, value: int) -> None:
    clock, events = w.clock[0], w.events
    i = clock.events
    clock.events = i + 1
    events.time[i] = now
    events.kind[i] = kind
    events.instance[i] = instance
    events.value[i] = value
