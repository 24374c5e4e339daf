"""What callers are told over HTTP of events that are gone, 410, and while jobs cannot be kept, 503 until it is over."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.asgi import Answer, get, post
from tests.support.services import shared_postgres

from pipemount import Local, PipelineApp, Settings, get_step_context, pipeline, step
from pipemount.jobs.sqlite import SQLiteStore, connecting
from pipemount.jobs.sqlite.transaction import Transaction


@step
async def talk(words: int, text: str) -> int:
    for number in range(words):
        get_step_context().emit(number)
    await asyncio.sleep(0)
    return len(text)


@pipeline
def talking(words: int = 1, text: str = "") -> Any:
    return talk(words, text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db" if request.param == "sqlite" else shared_postgres().new_schema()


@asynccontextmanager
async def serving(url: str, **settings: Any) -> AsyncIterator[PipelineApp]:
    app = PipelineApp(talking, jobs=Local(url), settings=Settings(cleanup_timeout=1.0, **settings))
    async with app.lifespan(None):
        yield app


async def submit(app: PipelineApp, **inputs: Any) -> Answer:
    return await post(app, "/submit", {"parameters": inputs})


async def ended(app: PipelineApp, job_id: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        await app.jobs.until_ended(job_id, None)
    found: dict[str, Any] = (await get(app, f"/jobs/{job_id}")).json()
    return found


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await holds():
            await asyncio.sleep(0.02)


async def is_ready(app: PipelineApp) -> bool:
    return (await get(app, "/health/ready")).status == 200


def refused(answer: Answer) -> None:
    assert (answer.status, answer.json()["code"]) == (503, "store"), answer
    assert int(answer.headers["retry-after"]) > 0


# ----------------------------------------------------------------------------------------- pruned events


async def test_who_goes_on_behind_pruned_events_is_told_410_in_every_process(url: str) -> None:
    async with serving(url, max_event_buffer=16) as app, serving(url, max_event_buffer=16) as other:
        job_id = (await submit(app, words=200)).json()["job_id"]
        assert (await ended(app, job_id))["status"] == "succeeded"
        job = await app.get(job_id)
        assert 1 < job.first_event < job.last_event
        for each in (app, other):
            gone = await get(each, f"/jobs/{job_id}/events", headers={"last-event-id": "3"})
            assert (gone.status, gone.json()["code"]) == (410, "events-pruned")
            assert gone.json()["first_event"] == job.first_event
            kept = await get(each, f"/jobs/{job_id}/events", headers={"last-event-id": str(job.first_event - 1)})
            told = [int(line[4:]) for line in kept.body.decode().splitlines() if line.startswith("id: ")]
            assert told == list(range(job.first_event, job.last_event + 1)), "no gap behind it"


# --------------------------------------------------------------------------------------------- full disks


class Pages:
    """A database that may have no more pages: for those who may make no file system."""

    def __init__(self, app: PipelineApp) -> None:
        self._app = app

    async def fill(self) -> None:
        await self._limit("1")  # as many as there are

    async def free(self) -> None:
        await self._limit("1000000")

    async def _limit(self, pages: str) -> None:
        store = self._app.jobs.store
        assert isinstance(store, SQLiteStore) and store._writer is not None

        def limit(transaction: Transaction) -> None:
            transaction.connection.execute(f"PRAGMA max_page_count = {pages}")

        await store._writer.do(limit)


class Disk:
    """A file system of its own, which something else fills."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    async def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            for size in (65536, 4096, 512):
                while _written(file, size):
                    continue

    async def free(self) -> None:
        self._ballast.unlink()


def _written(file: Any, size: int) -> bool:
    try:
        return bool(file.write(b"\0" * size) == size)
    except OSError as error:
        assert error.errno == errno.ENOSPC
        return False


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Of four megabytes, in memory; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("file systems can be mounted by root only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def full_and_free_again(app: PipelineApp, disk: Pages | Disk) -> None:
    """503 for as long as it is full, and not a moment longer; what was accepted is performed, the rest is not there."""
    accepted = [(await submit(app, text="before")).json()["job_id"]]
    await ended(app, accepted[0])
    await disk.fill()
    answers = [await submit(app, text="x" * 9000) for _ in range(50)]  # what was freed before is used up first
    accepted += [answer.json()["job_id"] for answer in answers if answer.status == 202]
    refused(answers[-1])
    assert (await get(app, f"/jobs/{accepted[0]}")).json()["status"] == "succeeded", "reads go on"
    assert not await is_ready(app)
    await disk.free()
    await until(lambda: is_ready(app))
    accepted.append((await submit(app, text="after")).json()["job_id"])
    for job_id in accepted:
        assert (await ended(app, job_id))["status"] == "succeeded"
    assert sorted(job.id for job in (await app.list(limit=100)).jobs) == sorted(accepted)


async def test_while_there_is_no_room_for_a_page_more_jobs_are_503(path: Path) -> None:
    async with serving(f"sqlite:///{path}") as app:
        await full_and_free_again(app, Pages(app))


async def test_while_the_disk_is_full_jobs_are_503(small_disk: Path) -> None:
    async with serving(f"sqlite:///{small_disk}/jobs.db") as app:
        await full_and_free_again(app, Disk(small_disk))


# ---------------------------------------------------------------------------------------- foreign writers


async def test_while_another_program_writes_jobs_wait_and_then_are_503(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "BUSY", 0.3)
    async with serving(f"sqlite:///{path}") as app:
        before = (await submit(app)).json()["job_id"]
        await ended(app, before)
        with closing(sqlite3.connect(path, isolation_level=None)) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            refused(await submit(app))
            assert (await get(app, f"/jobs/{before}")).json()["status"] == "succeeded", "reads go on"
            assert (await get(app, f"/jobs/{before}/events")).status == 200
            foreign.execute("ROLLBACK")
        await until(lambda: is_ready(app))
        after = (await submit(app)).json()["job_id"]
        assert (await ended(app, after))["status"] == "succeeded"
        assert sorted(job.id for job in (await app.list()).jobs) == sorted([before, after])
