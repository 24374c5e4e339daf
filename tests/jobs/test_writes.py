"""What the run of a job costs in writes, and in what order they come: what has ended is kept before it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pipemount import Local, PipelineApp, Settings, pipeline, step
from pipemount.jobs import performing
from pipemount.jobs.models import JobEvent

CALLS: list[str] = []
RELEASE: list[asyncio.Event] = []


@step
async def double(value: int) -> int:
    CALLS.append("double")
    await asyncio.sleep(0.01)  # by now all that is beside it has begun
    return 2 * value


@step
async def held(value: int) -> int:
    CALLS.append("held")
    await RELEASE[0].wait()
    await asyncio.sleep(0.02)
    if len(CALLS) < 3:
        raise OSError("not yet")
    return value + 1


@pipeline
def short(value: int) -> Any:
    return double(value)


@pipeline
def beside(value: int) -> Any:
    return double(value), held(value)


@pytest.fixture(autouse=True)
async def fresh() -> None:
    CALLS.clear()
    RELEASE[:] = [asyncio.Event()]


def recorded(app: PipelineApp, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """The writes under a lease, with the kinds of the events of each, or the key of the step."""
    writes: list[tuple[str, list[str]]] = []

    def record(name: str) -> None:
        verb: Callable[..., Awaitable[bool]] = getattr(app.jobs.store, name)

        async def write(lease: Any, *told: Any, **options: Any) -> bool:
            known = await verb(lease, *told, **options)
            events = [event.kind for part in told if isinstance(part, list) for event in part]
            writes.append((name, events or [part for part in told if isinstance(part, str)]))
            return known

        monkeypatch.setattr(app.jobs.store, name, write)

    for name in ("append", "save_step", "finish", "requeue"):
        record(name)
    return writes


def app_of(thing: Any, folder: Path) -> PipelineApp:
    settings = Settings(cleanup_timeout=1, job_retry_delay=0.01)
    return PipelineApp(thing, jobs=Local(f"sqlite:///{folder}/jobs.db"), settings=settings)


async def test_a_run_that_is_over_at_once_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performing, "MOMENT", 60)
    app = app_of(short, tmp_path)
    writes = recorded(app, monkeypatch)
    async with app.lifespan(None):
        job = await app.submit(value=4)
        job = await app.jobs.until_ended(job.id, None)
    assert (job.status, job.outputs) == ("succeeded", {"output": 8})
    assert writes == [("finish", ["run_started", "step_started", "step_completed", "run_completed"])]


async def test_an_ended_step_is_told_only_once_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_of(beside, tmp_path)
    writes = recorded(app, monkeypatch)
    async with app.lifespan(None):
        job = await app.submit(value=4)
        told: list[JobEvent] = []
        while "step_completed" not in [event.kind for event in told]:
            await app.jobs.store.wait(job.id, len(told), 10)
            told = [*await app.jobs.store.read_events(job.id, 0, 100)]
        told_in = next(number for number, (_, events) in enumerate(writes) if "step_completed" in events)
        assert ("save_step", ["double"]) in writes[:told_in], writes
        RELEASE[0].set()
        assert (await app.jobs.until_ended(job.id, None)).status == "failed"


async def test_what_has_ended_before_a_run_fails_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performing, "MOMENT", 60)
    app = app_of(beside, tmp_path)
    writes = recorded(app, monkeypatch)
    RELEASE[0].set()
    async with app.lifespan(None):
        job = await app.calling(max_attempts=3).submit(value=4)
        assert (await app.jobs.until_ended(job.id, None)).status == "succeeded"
    assert sorted(CALLS) == ["double", "held", "held"]
    assert [name for name, _ in writes] == ["save_step", "requeue", "finish"]
