"""Event streams: one by one, soon, and ended when nobody reads them any more."""

from __future__ import annotations

import statistics
import time

from ..clause import clause, same
from ..pairs import Running
from ..process import wait_until

__all__: list[str] = []


@clause("events arrive one by one: each before the next is produced", group="streams")
def one_by_one(running: Running) -> None:
    for number in range(10):
        running.setup.gate(f"event-{number}").unlink(missing_ok=True)
    with running.stream("gated") as stream:
        same("status", stream.status, 200, running)
        for number in range(10):
            same("event", stream.event(), f"data: {number}", running)
            running.open_gate(f"event-{number + 1}")
        same("the end", stream.event(), "", running)


@clause("how long an event takes from the app to the client, at the median", group="streams")
def flush(running: Running) -> str:
    with running.stream("timed") as stream:
        lags = [time.monotonic() - float(event.removeprefix("data: ")) for event in iter(stream.event, "")]
    same("events", len(lags), 10, running)
    return f"{1000 * statistics.median(lags):.1f} ms"


@clause("three streams that their readers leave have ended soon after", group="streams")
def aborted(running: Running) -> None:
    wait_until(lambda: running.noted("stream ends") == running.noted("stream begins"))
    before = running.noted("stream ends").total()
    for _ in range(3):
        with running.stream("endless") as stream:
            same("first event", stream.event(), ": beat", running)
    wait_until(lambda: running.noted("stream ends").total() == before + 3)
