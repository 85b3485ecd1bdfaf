"""The unit that suits a span of time, and moments in it: seconds for a minute, days for a log of a month."""

from typing import Final, NamedTuple


class Unit(NamedTuple):
    """A unit of time: its short name, and how many seconds it has."""

    name: str
    seconds: float


SECONDS, HOURS, DAYS = Unit("s", 1.0), Unit("h", 3600.0), Unit("days", 86400.0)
_LONGEST: Final = {SECONDS: 7200.0, HOURS: 259200.0}  # s, up to which a unit is used


def unit_of(span: float) -> Unit:
    """The unit for a span of that many seconds."""
    return next((unit for unit, longest in _LONGEST.items() if span <= longest), DAYS)


def time_told(seconds: float) -> str:
    """Seconds in the unit that suits them: 30 s, 41.7 h, 3.47 days."""
    unit = unit_of(abs(seconds))
    if unit is SECONDS:
        return f"{seconds:g} s"
    return f"{seconds / unit.seconds:.3g} {unit.name}"
