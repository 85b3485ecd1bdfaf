"""What the engine's tables say in numbers: kinds of events, outcomes, states."""

NO_STATUS = 0

# kinds of calendar event; the frequent ones first
SERVED, NEXT_ATTEMPT, ATTEMPT_TIMEOUT, HOLD_OVER, POOL_TIMEOUT, REACHED, REPLIED, STANDBY_OVER = range(8)
ARRIVED, GIVE_UP, THOUGHT, CHANGED, PROBE, RESTARTED, SAMPLE = range(8, 15)

# outcomes: the places of these words in `trace.schema.OUTCOMES`
OK, ERROR, THROTTLED, CLIENT_ERROR, TIMEOUT, CONNECTION, REJECTED, CANCELLED, LOST = range(9)
UNKNOWN = -1  # under way

# kinds of event rows: the places of these words in `trace.schema.EVENT_KINDS`
POOL, HEALTH, RESTART, BREAKER_STATE = range(4)

# services of the trace
APP, LLM = 0, 1
