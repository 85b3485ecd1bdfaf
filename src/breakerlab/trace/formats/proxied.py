"""A request that a proxy tried several times, where its log tells how often, and of the last attempt only more."""

from __future__ import annotations

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.rows import MAX_MOMENT, Rows
from breakerlab.trace.redaction import described


def add_attempts(
    rows: Rows,
    count: int,
    *,
    start: int,
    last_start: int,
    latency: float | None,
    status: int | None,
    outcome: str,
    earlier: str,
    instance: str | None,
    earlier_instance: str | None = None,
    service: str,
    client: str,
    endpoint: str,
) -> None:
    """Add the attempts of one request, of which the log tells how many there were and how the last one ended.

    Those before it have begun somewhere between `start` and `last_start`; they are put at `start`, with an outcome
    (`earlier`) but without latency and status. Raises BadRow, and then has added nothing.
    """
    if not 0 <= start <= last_start <= MAX_MOMENT:
        raise BadRow("time", described(start), "a time from 1970 to 2099")
    request = rows.new_request()
    for attempt in range(1, count):
        rows.add(
            start=start,
            latency=None,
            status=None,
            outcome=earlier,
            request=request,
            attempt=attempt,
            service=service,
            client=client,
            endpoint=endpoint,
            instance=earlier_instance,
        )
    rows.add(
        start=last_start,
        latency=latency,
        status=status,
        outcome=outcome,
        request=request,
        attempt=count,
        service=service,
        client=client,
        endpoint=endpoint,
        instance=instance,
    )
