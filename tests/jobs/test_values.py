"""Values that are too large for a database, in the file systems that fsspec has."""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import time
from typing import Any, cast

import fsspec
import pytest
from tests.support.stores import in_a_file, postgres

from pipemount import Local, PipelineApp, Settings, StepContext, pipeline, step
from pipemount.errors import ConfigurationError, IdempotencyMismatchError, OverloadedError, StoreError, ValueLostError
from pipemount.jobs import valued
from pipemount.jobs.models import Claim, JobQuery, Outcome
from pipemount.jobs.sqlite import SQLiteStore
from pipemount.jobs.store import Store
from pipemount.jobs.valued import ValuedStore
from pipemount.jobs.values import Values
from pipemount.testing.hosts.process import environment
from pipemount.testing.stores import StoreContract
from pipemount.testing.stores.asking import DONE, again, asked, event, found, keyed, leased, read

LARGE = b'"%b"' % (b"x" * 300_000)
folders = itertools.count()


def in_memory_files(settings: Settings) -> Store:
    return cast("Store", ValuedStore(in_a_file(settings), Values(f"memory://jobs-{next(folders)}")))


@pytest.mark.full  # what differs from other stores is told below
class TestValuedStores(StoreContract):
    @pytest.fixture
    def make_store(self) -> Callable[[Settings], Store]:
        return in_memory_files


class Place:
    """A store whose values are in a folder."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def of(self, job_id: str, kind: str = "*") -> list[Path]:
        return [path for path in self.folder.glob(f"{job_id}/{kind}/*") if path.is_file()]

    async def anew(self) -> None:
        """Nothing is remembered."""
        await self.store.close()
        await self.store.open()
        self.store._values._cached.clear()  # type: ignore[attr-defined]  # as in another process


@asynccontextmanager
async def opened(inner: Store, folder: Path) -> AsyncIterator[Place]:
    store = cast("Store", ValuedStore(inner, Values(f"file://{folder}")))
    await store.open()
    try:
        yield Place(store, folder)
    finally:
        await store.close()


@pytest.fixture(params=[in_a_file, postgres])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with opened(request.param(Settings()), tmp_path / "values") as place:
        yield place


@pytest.fixture
async def in_file(tmp_path: Path) -> AsyncIterator[Place]:
    async with opened(in_a_file(Settings()), tmp_path / "values") as place:
        yield place


async def test_large_values_are_outside_of_the_database_and_are_given_as_they_came(place: Place) -> None:
    store = place.store
    made, _ = await store.submit(asked(inputs=LARGE, parameters=LARGE, overrides=LARGE + b" "))
    assert made.request.inputs == LARGE, "who submits has what he gave"
    assert len(place.of(made.id)) == 2, "what is the same is kept once"
    await place.anew()
    assert (await found(store, made.id)).request == made.request
    lease = await store.claim_job(made.id, "w")
    assert lease is not None and lease.job.request == made.request
    assert await store.save_step(lease, "one", LARGE) and await store.save_step(lease, "two", b"2")
    await store.requeue(lease)
    await place.anew()
    lease = await again(store, lease)
    assert await store.read_steps(lease) == {"one": LARGE, "two": b"2"}
    told = [event(1, "step_completed", output="y" * 300_000), event(2, "data", value="z" * 300_000)]
    await store.append(lease, told)
    await store.finish(lease, Outcome(status="succeeded", result=LARGE), [event(3, "run_completed")])
    assert not place.of(made.id, "steps"), "they are not needed any more"
    assert len(place.of(made.id, "events")) == 1, "what passes makes way where it is"
    await place.anew()
    assert (await found(store, made.id)).result == LARGE
    assert [job.result for job in (await store.list(JobQuery())).jobs] == [LARGE]
    assert list(await store.read_events(made.id, 0, 9))[:2] == told
    assert await store.delete(made.id)
    assert place.files == []


async def test_what_looks_like_a_reference_is_a_value_all_the_same(in_file: Place) -> None:
    lease = await leased(in_file.store)
    strange = b"\0value 3 0123 ../../secret"
    await in_file.store.save_step(lease, "one", strange)
    assert await in_file.store.read_steps(lease) == {"one": strange}


async def test_small_values_are_where_they_were(in_file: Place) -> None:
    lease = await leased(in_file.store, inputs=b'{"a":1}')
    await in_file.store.save_step(lease, "one", b"x" * 1000)
    await in_file.store.finish(lease, DONE, [event(1, "run_completed")])
    assert in_file.files == []


async def test_who_is_refused_or_asks_again_leaves_nothing(tmp_path: Path) -> None:
    async with opened(in_a_file(Settings(max_job_bytes=10_000)), tmp_path / "values") as place:
        first, _ = await place.store.submit(keyed(inputs=LARGE))
        same, reused = await place.store.submit(keyed(inputs=LARGE))
        assert (same.id, reused, same.request.inputs) == (first.id, True, LARGE)
        with pytest.raises(IdempotencyMismatchError):
            await place.store.submit(keyed(digest="other", inputs=LARGE))
        await place.store.submit(asked(inputs=b'"%b"' % (b"y" * 5_000)))
        with pytest.raises(OverloadedError):
            await place.store.submit(asked(inputs=b'"%b"' % (b"y" * 5_000), overrides=LARGE))
        assert place.files == place.of(first.id) and len(place.files) == 1


def damage(path: Path, fault: str) -> None:
    if fault == "gone":
        path.unlink()
    else:
        path.write_bytes(b"" if fault == "short" else LARGE[:-2] + b'!"')


@pytest.mark.parametrize("fault", ["gone", "broken", "short"])
async def test_a_lost_value_is_told_of(place: Place, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    store = place.store
    waits, asks = (await store.submit(asked(inputs=LARGE))).job, await leased(store)
    done = await leased(store)
    await store.save_step(asks, "one", LARGE)
    await store.save_step(asks, "two", b"2")
    await store.finish(done, Outcome(status="succeeded", result=LARGE), [event(1, "run_completed")])
    for path in place.files:
        damage(path, fault)
    await place.anew()
    with pytest.raises(ValueLostError, match=f"{done.job.id}/result"):
        await store.get(done.job.id)
    with caplog.at_level(logging.WARNING, "pipemount"):
        assert await store.read_steps(asks) == {"two": b"2"}, "the step runs again"
        assert await store.claim(Claim("w", ["sum"], 1)) == []
    job = await found(store, waits.id)
    assert (job.status, job.error and job.error["code"], job.last_event) == ("failed", "value-lost", 1)
    assert await read(store, waits.id) == [1]
    jobs = {job.id: job.status for job in (await store.list(JobQuery())).jobs}
    assert jobs == {waits.id: "failed", asks.job.id: "running", done.job.id: "succeeded"}
    assert await store.delete(done.job.id) and await store.delete(waits.id)


async def test_where_values_cannot_be_reached_jobs_wait(in_file: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    store = in_file.store
    job = (await store.submit(asked(inputs=LARGE))).job
    await in_file.anew()

    def away(*_: Any, **__: Any) -> None:
        raise OSError("no route to host")

    with monkeypatch.context() as patched:
        patched.setattr(fsspec.implementations.local.LocalFileSystem, "open", away)
        with pytest.raises(StoreError):
            await store.submit(asked(inputs=LARGE))
        assert await store.claim_job(job.id, "w") is None
        with pytest.raises(StoreError):
            await store.get(job.id)
    waiting = await found(store, job.id)
    assert waiting.status == "queued" and (waiting.run_at or 0) > time()


async def test_where_the_disk_is_full_nothing_is_half_there(in_file: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = await leased(in_file.store)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pipemount.jobs.values.os.fsync", full)
        with pytest.raises(StoreError):
            await in_file.store.submit(asked(inputs=LARGE, overrides=LARGE))
        with pytest.raises(StoreError):
            await in_file.store.save_step(lease, "one", LARGE)
    assert in_file.files == []
    assert await in_file.store.save_step(lease, "one", LARGE), "it goes on by itself"


async def test_values_of_forgotten_jobs_are_swept_and_of_those_that_may_come_not(
    in_file: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = in_file.store
    kept = (await store.submit(asked(inputs=LARGE))).job.id
    for age in (0.0, valued.ABANDONED + 60):
        orphan = in_file.folder / f"orphan-{age:.0f}" / "inputs" / f"{time() - age:.0f}-abc"
        orphan.parent.mkdir(parents=True)
        orphan.write_bytes(LARGE)
    await store.sweep()
    assert {path.name for path in in_file.folder.iterdir()} == {kept, "orphan-0"}
    old = in_file.folder / "old" / "inputs" / "1-abc"
    old.parent.mkdir(parents=True)
    old.write_bytes(LARGE)
    await store.sweep()
    assert old.exists(), "one looks now and then, for it takes a list of all"
    monkeypatch.setattr(valued, "BETWEEN", 0.0)
    await store.sweep()
    assert not old.exists()


async def test_files_are_not_read_or_written_on_the_loop(in_file: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    before = Values._read

    def noted(values: Values, name: str) -> bytes:
        threads.append(threading.current_thread().name)
        return before(values, name)

    monkeypatch.setattr(Values, "_read", noted)
    job = (await in_file.store.submit(asked(inputs=LARGE))).job
    await in_file.anew()
    await asyncio.gather(*(found(in_file.store, job.id) for _ in range(3)))
    await found(in_file.store, job.id)
    assert threads and all(name.startswith("pipemount-values") for name in threads)
    assert len(threads) <= 3, "what was read is known"


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from pipemount import Settings
from pipemount.jobs.models import JobRequest
from pipemount.jobs.sqlite import SQLiteStore
from pipemount.jobs.valued import ValuedStore
from pipemount.jobs.values import Values

async def main(folder, job_id, after):
    inner = SQLiteStore(Path(folder) / "jobs.db", Settings())
    store = ValuedStore(inner, Values(f"file://{folder}/values"))
    await store.open()
    submit = inner.submit
    async def killed(request):
        if after == "row":
            await submit(request)
        os.kill(os.getpid(), signal.SIGKILL)
    inner.submit = killed
    await store.submit(JobRequest(job_id=job_id, pipeline="sum", fingerprint="f", inputs=b'"%b"' % (b"x" * 300000)))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("after", ["file", "row"])
async def test_who_is_killed_between_file_and_row_loses_no_job(
    tmp_path: Path, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = asked().job_id
    command = [sys.executable, "-c", KILLED, str(tmp_path), job_id, after]
    done = await asyncio.create_subprocess_exec(*command, env=environment())
    assert await done.wait() == -signal.SIGKILL
    async with opened(SQLiteStore(tmp_path / "jobs.db", Settings()), tmp_path / "values") as place:
        assert len(place.of(job_id, "inputs")) == 1
        monkeypatch.setattr(valued, "ABANDONED", -60.0)
        await place.store.sweep()
        assert len(place.files) == (after == "row"), "what no row names is swept, and nothing else"
        if after == "row":
            assert (await found(place.store, job_id)).request.inputs == LARGE
            assert [lease.job.id for lease in await place.store.claim(Claim("w", ["sum"], 1))] == [job_id]


@pytest.mark.parametrize("values", ["values", "/srv/values", "nothing-known://x"])
def test_what_is_no_address_is_refused(values: str) -> None:
    with pytest.raises(ConfigurationError, match="values="):
        Local("sqlite:///jobs.db", values=values).make_store(Settings())


TRIED: list[int] = []


@step
def fill(n: int, context: StepContext) -> bytes:
    TRIED.append(n)
    return b"\0value " + b"x" * n


@step
def measure(body: bytes) -> int:
    TRIED.append(0)
    if len(TRIED) == 2:
        raise ConnectionError("once more")
    return len(body)


@pipeline
def filling(n: int) -> Any:
    return measure(fill(n))


async def test_an_app_keeps_what_its_steps_gave_elsewhere(tmp_path: Path) -> None:
    TRIED.clear()
    jobs = Local(f"sqlite:///{tmp_path / 'jobs.db'}", values=f"file://{tmp_path / 'values'}")
    app = PipelineApp(filling, jobs=jobs, settings=Settings(job_retry_delay=0.01))
    assert "values" not in repr(jobs)
    async with app.lifespan(None):
        job = await app.calling(max_attempts=2).submit(n=400_000)
        ended = await app.jobs.until_ended(job.id, None)
        assert (ended.status, ended.attempt, ended.outputs) == ("succeeded", 2, {"output": 400_007})
    assert TRIED == [400_000, 0, 0], "its large output was kept"
    assert [path for path in (tmp_path / "values").rglob("*") if path.is_file() and "steps" in path.parts] == []
    assert not list((tmp_path / "jobs.db-files" / "payloads").iterdir())
