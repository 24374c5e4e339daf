"""The events of one job in memory: what is kept of them, and who is woken."""

from __future__ import annotations

import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st

from pipemount import Settings
from pipemount.jobs.desk import Subscription
from pipemount.jobs.encoding import encode
from pipemount.jobs.log import Log
from pipemount.jobs.memory import MemoryStore
from pipemount.jobs.models import JobEvent, JobRequest
from pipemount.runtime.buffer import PATIENCE
from pipemount.runtime.events import Event, EventKind

KINDS: list[EventKind] = ["delta", "data", "log", "progress", "step_started", "step_completed", "branch"]


def event(sequence: int, kind: EventKind = "delta", size: int = 0) -> JobEvent:
    return encode(Event(kind, sequence, "r", 1.0, data={"value": "x" * size}))


def numbers(log: Log) -> list[int]:
    return [event.sequence for event in log.events]


def test_d6_of_a_runs_own_events_more_are_kept_but_not_all() -> None:
    """HARDENING D6: a pipeline without an end fills no memory."""
    log = Log(limit=10, limit_bytes=10**9)
    for number in range(1, 1001):
        log.append([event(number, "step_completed")])
        assert len(log.events) <= 10 * PATIENCE
    assert log.first == numbers(log)[0] > 1
    assert numbers(log) == list(range(log.first, 1001))


def test_d6_bytes_are_bounded_too_and_the_youngest_event_is_kept_however_large() -> None:
    log = Log(limit=1000, limit_bytes=10_000)
    for number in range(1, 101):
        log.append([event(number, size=1000)])
        assert log.size <= 12_000
    log.append([event(101, size=50_000)])
    assert numbers(log)[-1] == 101
    log.append([event(102)])
    assert numbers(log) == [102]


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 3000)), max_size=120), st.integers(1, 20))
def test_what_is_told_of_the_log_is_true(told: list[tuple[EventKind, int]], limit: int) -> None:
    log = Log(limit, limit_bytes=20_000)
    for number, (kind, size) in enumerate(told, 1):
        log.append([event(number, kind, size)])
    last = len(told) + 1
    log.append([event(last, "run_completed")])
    kept = numbers(log)
    assert log.size == sum(len(each.body) for each in log.events)
    assert (log.last, kept[-1]) == (last, last)
    assert kept == sorted(set(kept))
    assert [number for number in kept if number >= log.first] == list(range(log.first, last + 1))
    assert log.first == 1 or log.first - 1 not in kept, "first_event is not later than it must be"
    assert [each.sequence for each in log.read(log.first - 1, 10**6)] == list(range(log.first, last + 1))


async def test_who_waits_for_later_events_is_left_to_wait() -> None:
    log = Log(10, 10**6)
    soon, late = (asyncio.create_task(log.wait(after, 30)) for after in (0, 2))
    await asyncio.sleep(0)
    log.append([event(1), event(2)])
    assert await soon
    assert log.awaited and not late.done()
    late.cancel()
    await asyncio.wait([late])
    assert not log.awaited, "who gives up leaves nothing behind"


async def test_a_reader_is_given_no_more_than_a_part_at_once_and_one_event_for_all_that_is_gone() -> None:
    settings = Settings(max_event_buffer=100, max_event_bytes=10**7)
    store = MemoryStore(settings)
    await store.submit(JobRequest(job_id="j", pipeline="p", fingerprint="", inputs=b"{}"))
    lease = await store.claim_job("j", "w")
    assert lease is not None
    await store.append(lease, [event(1, "run_started"), event(2, "missed"), event(9, "missed"), event(10)])
    await store.append(lease, [event(number, size=30_000) for number in range(11, 20)])
    reader = Subscription(store, "j", 0)
    parts = []
    while reader.after < 19:
        parts.append(await reader.next(30))
    assert max(sum(len(event.body) for event in part) for part in parts) < 128 * 1024
    assert len(parts) > 2
    first = [(event.kind, event.sequence) for event in parts[0]][:3]
    assert first == [("run_started", 1), ("missed", 9), ("delta", 10)]
    assert json.loads(parts[0][1].body)["data"] == {"first": 2, "last": 9}
