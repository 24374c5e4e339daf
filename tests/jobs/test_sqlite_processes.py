"""Jobs in an SQLite file that several processes share: who has what, and what a killed one leaves behind."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from time import time
from typing import Any

import pytest
from tests.support.remote import ROOT, remote

from pipemount import Settings
from pipemount.errors import StoreError
from pipemount.jobs.models import Claim, JobQuery
from pipemount.jobs.sqlite import SQLiteStore, writer
from pipemount.testing.stores.asking import ADA, DONE, asked, event, found, ids, keyed, read, submitted

MANY: dict[str, Any] = {"max_jobs": 100_000}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path, Settings(**MANY))
    await store.open()
    yield store
    await store.close()


def integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        [found] = connection.execute("PRAGMA integrity_check").fetchone()
        return str(found)
    finally:
        connection.close()


# --------------------------------------------------------------------------------------------- together


async def test_what_one_process_submits_another_claims_and_the_first_reads_its_end(
    store: SQLiteStore, path: Path
) -> None:
    job_id = (await submitted(store, principal=ADA)).id
    async with remote(path) as other:
        [lease] = await other("claim", Claim("w", ["sum"], 5))
        assert (lease.job.id, lease.job.request.principal) == (job_id, ADA)
        await other("append", lease, [event(1, "run_started")])
        await other("finish", lease, DONE, [event(2, "run_completed")])
    job = await found(store, job_id)
    assert (job.status, job.result) == ("succeeded", DONE.result)
    assert await read(store, job_id) == [1, 2]


async def test_two_processes_claim_each_job_once(store: SQLiteStore, path: Path) -> None:
    jobs = [(await store.submit(request)).job.id for request in [asked() for _ in range(300)]]
    async with remote(path) as first, remote(path) as second:
        leases = await asyncio.gather(first("claim_all", "a", 3), second("claim_all", "b", 3))
    claimed = [lease.job.id for part in leases for lease in part]
    assert sorted(claimed) == sorted(jobs)


async def test_j1_two_processes_that_ask_for_the_same_make_one_job(store: SQLiteStore, path: Path) -> None:
    async with remote(path) as first, remote(path) as second:
        parts = await asyncio.gather(*(child("submit_all", [keyed() for _ in range(100)]) for child in (first, second)))
    made = [each for part in parts for each in part]
    assert len({each.job.id for each in made}) == 1
    assert sum(not each.reused for each in made) == 1


async def test_who_waits_hears_of_what_another_process_writes(store: SQLiteStore, path: Path) -> None:
    job_id = (await submitted(store)).id
    async with remote(path) as other:
        waiting = asyncio.create_task(store.wait(job_id, 0, 60))
        [lease] = await other("claim", Claim("w", ["sum"], 1))
        await other("append", lease, [event(1, "run_started")])
        assert await waiting
        waiting = asyncio.create_task(store.wait(job_id, 10**9, 60))
        await other("finish", lease, DONE, [event(2, "run_completed")])
        assert await waiting
        waiting = asyncio.create_task(store.wait_for_work(60))
        await other("submit", asked())
        assert await waiting


async def test_who_waits_for_work_hears_of_each_once_and_of_what_becomes_due(store: SQLiteStore, path: Path) -> None:
    await submitted(store)
    assert await store.wait_for_work(60), "what was there before"
    assert not await store.wait_for_work(0.05), "he knows"
    async with remote(path) as other:
        waiting = asyncio.create_task(store.wait_for_work(60))
        await other("submit", asked(run_at=time() + 0.3))
        assert await waiting
        assert await store.wait_for_work(60), "it is due"
        assert not await store.wait_for_work(0.05)


# ----------------------------------------------------------------------------------------------- killed


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.full)])
async def test_j2_what_was_accepted_before_a_kill_is_there(path: Path, kills: int) -> None:
    """Killed in the middle of writing; each time the file opens, and what was told of is in it."""
    accepted: list[str] = []
    for number in range(kills):
        async with remote(path, **MANY) as child:
            child.begin("flood", [asked(inputs=b"1" * 3000) for _ in range(300)])
            for _ in range(1 + number % 17):
                accepted.append(await child.answer())
            await child.kill()
    store = SQLiteStore(path, Settings(**MANY))
    await store.open()
    assert set(accepted) <= set(await ids(store, limit=10**6))
    for job_id in accepted:
        assert (await found(store, job_id)).request.inputs == b"1" * 3000
    await store.close()
    assert integrity(path) == "ok"


async def test_a_kill_inside_of_a_transaction_leaves_nothing_of_it_and_stops_nobody(
    store: SQLiteStore, path: Path
) -> None:
    before = (await submitted(store)).id
    async with remote(path) as child:
        child.begin("hang", asked())
        assert await child.answer() == "inside"
        waiting = asyncio.create_task(store.submit(asked()))
        assert (await found(store, before)).status == "queued", "reads go on"
        assert not waiting.done()
        await child.kill()
        after = (await waiting).job.id
    assert await ids(store) == [after, before]
    assert await read(store, before) == []
    folder = path.with_name("jobs.db-files") / "payloads"
    assert len(list(folder.iterdir())) == 1, "what the dead one has left"
    await store.close()
    await store.open()
    assert list(folder.iterdir()) == []


async def test_jobs_of_a_killed_process_wait_again_and_the_third_time_they_fail(store: SQLiteStore, path: Path) -> None:
    first, wished, younger = [(await submitted(store)).id for _ in range(3)]
    for crashes in (1, 2, 3):
        async with remote(path) as child:
            worker = f"worker-{crashes}"
            await child("join", worker)
            leases = {lease.job.id: lease for lease in await child("claim", Claim(worker, ["sum"], 2))}
            assert await child("hand_over", leases[first], worker)
            await child("append", leases[first], [event(crashes, "run_started")])
            await child("save_step", leases[first], "one", b"1")
            if crashes == 1:
                await store.request_cancel(wished, "enough")
            assert await store.rescue() == 0, "it lives"
            await child.kill()
        assert await store.rescue() == len(leases)
        assert await store.rescue() == 0
        assert (await found(store, first)).crashes == crashes
    job = await found(store, first)
    assert (job.status, job.attempt, job.last_event) == ("failed", 3, 4)
    assert job.error is not None
    assert (job.error["code"], job.error["run_id"]) == ("worker-lost", first)
    assert [each.kind for each in await store.read_events(first, 0, 9)] == ["run_started"] * 3 + ["run_failed"]
    assert (await found(store, wished)).reason == "enough"
    assert (await found(store, wished)).status == "cancelled"
    job = await found(store, younger)
    assert (job.crashes, job.attempt) == (1, 1), "its neighbour had not begun it the second time"
    assert await store.counts() == {"queued": 1, "failed": 1, "cancelled": 1}


async def test_a_worker_that_comes_back_under_its_name_takes_up_what_it_had(store: SQLiteStore, path: Path) -> None:
    job_id = (await submitted(store)).id
    async with remote(path) as child:
        await child("join", "w")
        await child("claim", Claim("w", ["sum"], 1))
    await store.join("w")
    job = await found(store, job_id)
    assert (job.status, job.crashes) == ("queued", 1)


async def test_a_name_that_is_in_use_is_refused(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipemount.jobs.sqlite.locks.TRIES", 3)
    async with remote(path) as child:
        await child("join", "w")
        with pytest.raises(StoreError, match="already"):
            await store.join("w")


async def test_what_a_paused_process_says_late_is_refused(store: SQLiteStore, path: Path) -> None:
    job_id = (await submitted(store)).id
    async with remote(path) as child:
        await child("join", "paused")
        [old] = await child("claim", Claim("paused", ["sum"], 1))
        child.pause()
        child.begin("finish", old, DONE, [event(1, "run_completed")])
        assert await store.rescue() == 0, "it lives: its jobs are its own"
        await store.leave("paused")  # as an operator may
        [new] = await store.claim(Claim("other", ["sum"], 1))
        await store.append(new, [event(1, "run_started")])
        child.go_on()
        assert await child.answer() is False
        assert await child("append", old, [event(2)]) is False
        assert await child("heartbeat", [old]) == ["lost"]
    assert (await found(store, job_id)).status == "running"
    assert await store.finish(new, DONE, [event(2, "run_completed")])
    assert await read(store, job_id) == [1, 2]


async def test_who_cannot_write_for_a_paused_process_is_told_and_reads_go_on(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 0.2)
    job_id = (await submitted(store)).id
    async with remote(path) as child:
        child.begin("hang", asked())
        assert await child.answer() == "inside"
        child.pause()
        with pytest.raises(StoreError) as raised:
            await store.submit(refused := asked())
        assert raised.value.retry_after > 0
        assert await ids(store) == [job_id]
    monkeypatch.undo()
    after = (await submitted(store)).id
    assert await ids(store) == [after, job_id]
    assert await store.get(refused.job_id) is None, "what was refused is not done later"


# ----------------------------------------------------------------------------------------------- forked

FORKING = """
import asyncio, os, sys
from pathlib import Path
from pipemount import Settings
from pipemount.errors import StoreError
from pipemount.jobs.models import Claim, JobQuery
from pipemount.jobs.sqlite import SQLiteStore, locks
from pipemount.testing.stores.asking import asked

locks.TRIES = 3
path = Path(sys.argv[1])
store = SQLiteStore(path, Settings())

async def parent():
    await store.open()
    await store.join("parent")
    await store.submit(asked())
    await store.claim(Claim("parent", ["sum"], 1))

async def child():
    store.forget()
    await store.open()
    assert await store.rescue() == 0, "the parent lives"
    try:
        await store.join("parent")
    except StoreError:
        pass
    else:
        raise AssertionError("the child is not its parent")
    await store.submit(asked())
    await store.close()

async def after():
    assert await store.rescue() == 0
    assert len((await store.list(JobQuery())).jobs) == 2
    await store.submit(asked())

loop = asyncio.new_event_loop()
loop.run_until_complete(parent())
for use in (True, False):
    pid = os.fork()
    if pid == 0:
        if use:
            asyncio.new_event_loop().run_until_complete(child())
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    print("forked", flush=True)
    assert sys.stdin.readline() == "go on\\n"
loop.run_until_complete(after())
print("done", flush=True)
sys.stdin.readline()
os._exit(0)
"""


async def test_a_forked_child_has_locks_of_its_own_and_takes_none_away(store: SQLiteStore, path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "ignore::DeprecationWarning", "-c", FORKING, str(path)),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        for _ in range(2):
            assert await process.stdout.readline() == b"forked\n"
            assert await store.rescue() == 0, "the parent holds its lock though its child has ended"
            process.stdin.write(b"go on\n")
        assert await process.stdout.readline() == b"done\n"
        assert await store.rescue() == 0
    finally:
        process.kill()
        await process.wait()
    assert await store.rescue() == 1
    assert len((await store.list(JobQuery())).jobs) == 3
    await store.close()
    assert integrity(path) == "ok"
