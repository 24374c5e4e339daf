"""Jobs in an SQLite file: what is there after a restart, and what becomes of those who ask when it cannot be used."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.remote import remote

from pipemount import Settings
from pipemount.errors import ConfigurationError, OverloadedError, StoreError, ValueLostError
from pipemount.jobs.models import Claim, JobQuery, Outcome
from pipemount.jobs.sql.rows import new_row
from pipemount.jobs.sqlite import SQLiteStore, backup, connecting, payloads, writer
from pipemount.jobs.sqlite.connecting import check_place
from pipemount.jobs.sqlite.schema import BEGIN_BY, MIGRATIONS, migrate
from pipemount.jobs.sqlite.transaction import Transaction
from pipemount.testing.stores.asking import (
    ADA,
    DONE,
    asked,
    claimed,
    ended,
    event,
    found,
    ids,
    keyed,
    leased,
    read,
    submitted,
)

LARGE = b'"%b"' % (b"x" * 300_000)

OpenFile = Callable[..., Awaitable[SQLiteStore]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
async def open_file(path: Path) -> AsyncIterator[OpenFile]:
    opened: list[SQLiteStore] = []

    async def open_file(at: Path = path, **settings: Any) -> SQLiteStore:
        opened.append(SQLiteStore(at, Settings(**settings)))
        await opened[-1].open()
        return opened[-1]

    yield open_file
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_file: OpenFile) -> SQLiteStore:
    return await open_file()


async def in_transaction(store: SQLiteStore, what: Callable[[Transaction], Any]) -> Any:
    assert store._writer is not None
    return await store._writer.do(what)


OTHERS: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def others() -> None:
    """Stores that pages of the documentation have opened in this process may still be open."""
    OTHERS.clear()
    OTHERS.update(threading.enumerate())


def threads() -> list[str]:
    found = set(threading.enumerate()) - OTHERS
    return [thread.name for thread in found if thread.name.startswith("pipemount-jobs")]


# --------------------------------------------------------------------------------------------- reopened


async def test_all_is_there_after_a_restart(open_file: OpenFile) -> None:
    store = await open_file()
    runs = await leased(store, inputs=LARGE, priority=3)
    await store.append(runs, [event(1, "run_started"), event(2, text="y" * 300_000)])
    await store.save_step(runs, "one", LARGE)
    done = await ended(store, Outcome(status="succeeded", result=LARGE), principal=ADA)
    first = (await store.submit(keyed())).job.id
    before = [await found(store, job_id) for job_id in (runs.job.id, done, first)]
    events = await store.read_events(runs.job.id, 0, 10)
    await store.close()
    store = await open_file()
    assert [await found(store, job_id) for job_id in (runs.job.id, done, first)] == before
    assert await store.read_events(runs.job.id, 0, 10) == events
    assert await store.read_steps(runs) == {"one": LARGE}
    assert (await store.submit(keyed())).job.id == first
    assert await store.counts() == {"queued": 1, "running": 1, "succeeded": 1}
    assert await store.heartbeat([runs]) == ["held"], "its worker never said that it had one"
    assert await store.rescue() == 1


async def test_a_store_that_closes_gives_back_what_its_workers_have(open_file: OpenFile) -> None:
    store = await open_file()
    await store.join("w")
    lease = await leased(store)
    await store.close()
    store = await open_file()
    job = await found(store, lease.job.id)
    assert (job.status, job.crashes) == ("queued", 0)


async def test_a_store_that_is_not_open_has_no_thread_and_no_file_and_says_so(path: Path) -> None:
    store = SQLiteStore(path, Settings())
    with pytest.raises(StoreError, match="closed"):
        await store.get("x")
    with pytest.raises(StoreError, match="closed"):
        await store.submit(asked())
    with pytest.raises(StoreError, match="closed"):
        await store.check()
    assert (list(path.parent.iterdir()), threads()) == ([], [])
    await store.open()
    assert sorted(threads()) == ["pipemount-jobs-reader", "pipemount-jobs-writer"]
    await store.open()
    await store.close()
    await store.close()
    assert threads() == []


async def test_two_stores_of_a_process_share_a_file_by_whatever_name(open_file: OpenFile, path: Path) -> None:
    first = await open_file()
    other = path.with_name("other")
    other.symlink_to(path)
    second = await open_file(other)
    await first.join("w")
    [lease] = [await leased(second)]
    assert await ids(first) == [lease.job.id]
    waiting = asyncio.create_task(first.wait(lease.job.id, 0, 60))
    await second.append(lease, [event(1)])
    assert await waiting
    assert await second.rescue() == 0
    await second.close()
    async with remote(path) as child:
        assert await child("rescue") == 0, "closing the second has not let go of what the first holds"
    assert not other.with_name("other-files").exists()


async def test_hundreds_of_writes_share_a_commit(store: SQLiteStore) -> None:
    said: list[str] = []
    await in_transaction(store, lambda transaction: transaction.connection.set_trace_callback(said.append))
    with store._place.mutex:  # as another process that writes
        waiting = [asyncio.create_task(store.submit(asked())) for _ in range(200)]
        await asyncio.sleep(0)
    assert len({(await each).job.id for each in waiting}) == 200
    assert 1 <= said.count("COMMIT") <= 2


async def test_of_writes_that_share_a_commit_one_that_fails_fails_alone(open_file: OpenFile) -> None:
    store = await open_file(max_job_bytes=10_000)
    with store._place.mutex:
        waiting = [asyncio.create_task(store.submit(asked(inputs=b"1" * size))) for size in (9, 9_000, 8)]
        await asyncio.sleep(0)
    first, second, third = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(second, OverloadedError)
    assert not isinstance(first, BaseException) and not isinstance(third, BaseException)
    assert await ids(store) == [third.job.id, first.job.id]


async def test_who_gives_a_write_up_before_its_turn_has_not_written(store: SQLiteStore) -> None:
    with store._place.mutex:
        blocking = asyncio.create_task(store.submit(asked()))
        given_up = asyncio.create_task(store.submit(request := asked()))
        await asyncio.sleep(0.05)
        given_up.cancel()
        await asyncio.wait([given_up])
    kept = (await blocking).job.id
    assert given_up.cancelled()
    assert await ids(store) == [kept]
    assert await store.get(request.job_id) is None


async def test_the_log_of_writes_does_not_grow_for_ever(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT", 20)
    monkeypatch.setattr(writer, "LONG_LOG", 50)

    async def longest(count: int) -> int:
        sizes = []
        for _ in range(count):
            await submitted(store, inputs=b"1" * 900)
            sizes.append(path.with_name("jobs.db-wal").stat().st_size)
        return max(sizes)

    usual = await longest(40)
    assert usual < 150 * 4096
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM jobs").fetchone()
    held = await longest(100)
    assert held > 2 * usual, "who reads for long holds the log"
    reader.close()
    await longest(20)
    assert await longest(20) < held / 1.5, "its file is cut when he has done"


async def test_large_values_are_files_that_go_with_their_job(store: SQLiteStore) -> None:
    folder = store._payloads
    lease = await leased(store, inputs=LARGE)
    await store.save_step(lease, "one", LARGE)
    await store.save_step(lease, "one", LARGE)
    assert len(list(folder.iterdir())) == 2
    await store.finish(lease, DONE, [event(1, "run_completed", outputs="y" * 300_000)])
    assert len(list(folder.iterdir())) == 2, "the inputs and the event; what the step gave is not needed any more"
    await store.delete(lease.job.id)
    assert list(folder.iterdir()) == []
    [[rows]] = await in_transaction(store, lambda transaction: transaction.all("SELECT count(*) FROM payloads"))
    assert rows == 0


async def test_a_file_that_cannot_be_removed_fails_no_write(
    store: SQLiteStore, caplog: pytest.LogCaptureFixture
) -> None:
    lease = await leased(store, inputs=LARGE)
    [inputs] = store._payloads.iterdir()
    await store.finish(lease, DONE)
    inputs.unlink()
    inputs.mkdir()
    assert await store.delete(lease.job.id)
    assert await store.get(lease.job.id) is None
    assert "removed when their file is opened next" in caplog.text
    inputs.rmdir()


def remove_values(store: SQLiteStore) -> None:
    """As a restore without the folder does."""
    for each in store._payloads.iterdir():
        each.unlink()


async def test_a_job_whose_inputs_are_gone_fails_and_holds_up_no_other(store: SQLiteStore) -> None:
    lost = [(await submitted(store, inputs=LARGE)).id for _ in range(2)]
    fine = (await submitted(store)).id
    remove_values(store)
    assert [job.request.inputs for job in (await store.list(JobQuery())).jobs][1:] == [b"null", b"null"]
    assert await claimed(store) == [fine]
    assert await store.claim_job(lost[0], "w") is None
    for job_id in lost:
        job = await found(store, job_id)
        assert (job.status, job.error and job.error["code"]) == ("failed", "value-lost")
        assert [each.kind for each in await store.read_events(job_id, 0, 10)] == ["run_failed"]


async def test_outputs_and_events_that_are_gone_are_told(store: SQLiteStore) -> None:
    lease = await leased(store)
    outcome = replace(DONE, result=LARGE)
    assert await store.finish(lease, outcome, [event(1, "run_completed", outputs="y" * 300_000)])
    remove_values(store)
    with pytest.raises(ValueLostError, match="restore the folder"):
        await store.get(lease.job.id)
    with pytest.raises(ValueLostError):
        await store.read_events(lease.job.id, 0, 10)
    assert [job.result for job in (await store.list(JobQuery())).jobs] == [b"null"]


async def test_a_step_whose_output_is_gone_runs_again(store: SQLiteStore) -> None:
    lease = await leased(store)
    await store.save_step(lease, "kept", b"1")
    await store.save_step(lease, "lost", LARGE)
    remove_values(store)
    assert await store.read_steps(lease) == {"kept": b"1"}


# ---------------------------------------------------------------------------------------- versions, place


async def test_a_record_is_read_without_what_its_steps_have_kept(store: SQLiteStore, path: Path) -> None:
    lease = await leased(store, inputs=LARGE)
    files = path.with_name("jobs.db-files") / "payloads"
    [inputs] = files.iterdir()
    await store.save_step(lease, "one", LARGE)
    [step] = set(files.iterdir()) - {inputs}
    step.unlink()
    step.mkdir()  # whoever reads it fails
    assert (await found(store, lease.job.id)).request.inputs == LARGE
    assert [job.id for job in (await store.list(JobQuery())).jobs] == [lease.job.id]
    assert await store.requeue(lease)
    assert (await store.claim(Claim("w", ["sum"], 1)))[0].job.request.inputs == LARGE
    with pytest.raises(StoreError, match="read"):
        await store.read_steps(lease._replace(fence=2))
    step.rmdir()


async def test_the_files_are_found_without_a_look_at_what_is_in_none(store: SQLiteStore, path: Path) -> None:
    plan = await in_transaction(store, lambda transaction: transaction.all(f"EXPLAIN QUERY PLAN {payloads.FILES}"))
    assert ["INDEX payload_files" in row["detail"] for row in plan] == [True]


async def test_what_killed_processes_have_left_beside_the_file_is_removed(open_file: OpenFile, path: Path) -> None:
    store = await open_file()
    await store.join("here")
    folder = path.with_name("jobs.db-files")
    (folder / "workers" / "gone.lock").touch()
    old, young = folder / "held-old", folder / "held-young"
    for held in (old, young):
        held.mkdir()
        (held / "value").touch()
    os.utime(old, (0, 0))
    await (await open_file()).close()
    assert [path.name for path in (folder / "workers").iterdir()] == ["here.lock"]
    assert not old.exists()
    assert young.exists(), "of a copy that is perhaps being made"


async def test_a_database_of_a_later_version_is_refused_and_left_alone(path: Path, open_file: OpenFile) -> None:
    store = await open_file()
    await submitted(store)
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="later version"):
        await open_file()
    assert path.read_bytes() == before
    assert threads() == []


def test_a_database_of_an_older_version_is_brought_forward(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection)
    connection.execute("INSERT INTO events (job, sequence, kind, size) VALUES (1, 1, 'delta', 2)")
    migrate(connection, (*MIGRATIONS, ("ALTER TABLE events ADD COLUMN more TEXT DEFAULT 'x'",)))
    assert connection.execute("SELECT sequence, more FROM events").fetchall() == [(1, "x")]
    with pytest.raises(StoreError, match="later version"):
        migrate(connection)
    connection.close()


async def test_a_job_of_the_version_before_is_begun_by_this_one(path: Path, open_file: OpenFile) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, MIGRATIONS[: MIGRATIONS.index(BEGIN_BY)])
    row = {**new_row(asked(), 1.0), "request": new_row(asked(), 1.0)["request"].replace(',"expires":null', "")}
    del row["begin_by"]
    marks = ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({marks})", row)
    connection.close()
    store = await open_file()
    job = await found(store, row["id"])
    assert (job.expires_at, job.request.expires) == (None, None)
    assert await store.expire() is None
    assert await claimed(store) == [job.id]


def test_a_step_forward_that_fails_leaves_the_version_before(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, (*MIGRATIONS, ("CREATE TABLE more (x)", "CREATE TABLE more (x)")))
    migrate(connection)
    [[tables]] = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'")
    assert tables == 0
    connection.close()


async def test_a_database_of_another_program_is_refused_and_left_alone(path: Path, open_file: OpenFile) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        await open_file()
    assert path.read_bytes() == before


@pytest.mark.parametrize("garbage", [b"not a database" * 1000, b"SQLite format 3\0" + b"\xff" * 8192])
async def test_what_is_no_database_is_refused(path: Path, open_file: OpenFile, garbage: bytes) -> None:
    path.write_bytes(garbage)
    with pytest.raises(StoreError, match="broken"):
        await open_file()
    assert path.read_bytes() == garbage
    assert threads() == []


async def test_a_database_with_a_broken_page_is_refused(path: Path, open_file: OpenFile) -> None:
    store = await open_file()
    for _ in range(100):
        await submitted(store, inputs=b"1" * 900)
    await store.close()
    pages = bytearray(path.read_bytes())
    for page in range(4096 * 20, len(pages), 4096):
        pages[page : page + 64] = b"\xff" * 64
    path.write_bytes(pages)
    with pytest.raises(StoreError, match="broken"):
        await open_file()


async def test_where_the_file_cannot_be_made_the_store_says_so(tmp_path: Path, open_file: OpenFile) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot be opened \(jobs.db\)"):
        await open_file(tmp_path / "file" / "jobs.db")
    assert threads() == []


MOUNTS = """\
/dev/vda / ext4 rw 0 0
tmpfs /srv tmpfs rw 0 0
server:/home /srv/shared nfs4 rw 0 0
/dev/vdb /srv/shared/local\\040disk xfs rw 0 0
//server/x /media/x cifs rw 0 0
"""


@pytest.mark.parametrize("folder", ["/srv/shared", "/srv/shared/deep/er", "/media/x/y"])
def test_file_systems_of_several_hosts_are_refused(folder: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be on"):
        check_place(Path(folder), MOUNTS)


@pytest.mark.parametrize("folder", ["/", "/srv", "/srv/sharedness", "/srv/shared/local disk/x", "/media"])
def test_local_file_systems_are_not(folder: str) -> None:
    check_place(Path(folder), MOUNTS)
    check_place(Path(folder), "")


async def test_a_store_on_a_file_system_of_several_hosts_does_not_open(
    path: Path, open_file: OpenFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/ {tmp_path.resolve()} nfs rw 0 0\n")
    monkeypatch.setattr(connecting, "MOUNTS", mounts)
    with pytest.raises(ConfigurationError, match="PostgreSQL"):
        await open_file()
    assert not path.exists()


# ------------------------------------------------------------------------------------------------ faults


async def test_while_the_disk_is_full_nothing_is_accepted_and_nothing_is_half_there(store: SQLiteStore) -> None:
    def limit(transaction: Transaction, pages: int) -> None:
        transaction.connection.execute(f"PRAGMA max_page_count = {pages}")

    await in_transaction(store, lambda transaction: limit(transaction, 60))
    accepted: list[str] = []
    with pytest.raises(StoreError, match="full") as raised:
        for _ in range(10_000):
            accepted.append((await submitted(store, inputs=b"1" * 900)).id)
    assert raised.value.retry_after > 0
    assert accepted
    with pytest.raises(StoreError):
        await store.check()
    assert await ids(store, limit=1000) == accepted[::-1], "reads go on"
    assert sum((await store.counts()).values()) == len(accepted)
    await in_transaction(store, lambda transaction: limit(transaction, 100_000))
    await store.check()
    accepted.append((await submitted(store)).id)
    assert await ids(store, limit=1000) == accepted[::-1]


async def test_a_small_write_that_is_done_says_nothing_of_a_large_one(store: SQLiteStore) -> None:
    lease = await leased(store)
    await in_transaction(store, lambda transaction: transaction.run("PRAGMA max_page_count = 1"))
    with pytest.raises(StoreError):
        await store.submit(asked(inputs=LARGE[:200_000]))
    assert await store.hand_over(lease, "w")
    for _ in range(2):
        with pytest.raises(StoreError):
            await store.check()
    await in_transaction(store, lambda transaction: transaction.run("PRAGMA max_page_count = 1000000"))
    await store.check()


async def test_a_file_that_cannot_be_written_leaves_nothing_behind(store: SQLiteStore) -> None:
    folder = store._payloads
    folder.rename(folder.with_name("gone"))
    with pytest.raises(StoreError):
        await submitted(store, inputs=LARGE)
    folder.with_name("gone").rename(folder)
    assert await ids(store) == []
    await store.check()
    lease = await leased(store, inputs=LARGE)
    assert lease.job.request.inputs == LARGE


@pytest.mark.parametrize("replaced", [False, True])
async def test_nothing_is_accepted_into_a_file_that_was_removed_or_replaced(
    store: SQLiteStore, path: Path, replaced: bool
) -> None:
    await submitted(store)
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink()
    if replaced:
        path.touch()
    with pytest.raises(StoreError, match="removed or replaced"):
        await store.check()
    with pytest.raises(StoreError, match="removed or replaced"):
        await submitted(store)


async def test_a_file_that_breaks_while_somebody_waits_is_told_to_all_and_hangs_nobody(
    store: SQLiteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = await submitted(store)
    waiting = asyncio.create_task(store.wait(job.id, 5, 60))
    await store.get(job.id)
    path.write_bytes(b"garbage!" * 4096)
    Path(f"{path}-wal").write_bytes(b"")
    Path(f"{path}-shm").write_bytes(b"\xff" * 32768)
    async with asyncio.timeout(30):
        while not re.search("cannot be seen|could not be told", caplog.text):  # by a look, or by what it had found
            await asyncio.sleep(0.01)
        with pytest.raises(StoreError, match="broken"):
            await store.get(job.id)
    waiting.cancel()


async def test_while_another_program_writes_writes_wait_and_reads_go_on(
    path: Path, open_file: OpenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "BUSY", 0.2)
    store = await open_file()
    before = (await submitted(store)).id
    foreign = sqlite3.connect(path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked") as raised:
        await submitted(store)
    assert raised.value.retry_after > 0
    assert await ids(store) == [before]
    with pytest.raises(StoreError):
        await store.check()
    waiting = asyncio.create_task(submitted(store))
    await asyncio.sleep(0)
    foreign.execute("ROLLBACK")
    foreign.close()
    after = (await waiting).id
    assert await ids(store) == [after, before]
    await store.check()


# ----------------------------------------------------------------------------------------------- back-up


async def test_a_back_up_is_the_store_as_it_was(store: SQLiteStore, open_file: OpenFile, tmp_path: Path) -> None:
    done = await ended(store, Outcome(status="succeeded", result=LARGE))
    lease = await leased(store, inputs=LARGE)
    await store.append(lease, [event(1, "run_started")])
    target = tmp_path / "elsewhere" / "copy.db"
    target.parent.mkdir()
    await store.back_up(target)
    await store.delete(done)
    await store.finish(lease, DONE, [])
    copy = await open_file(target)
    assert await ids(copy) == [lease.job.id, done]
    assert (await found(copy, done)).result == LARGE
    assert await read(copy, lease.job.id) == [1]
    assert await copy.rescue() == 1, "who had it is not there"
    assert [each.name for each in store._payloads.parent.iterdir() if each.name.startswith("held")] == []


async def test_what_is_forgotten_meanwhile_is_in_the_copy(
    store: SQLiteStore, open_file: OpenFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await ended(store, Outcome(status="succeeded", result=LARGE))
    loop, copy_really = asyncio.get_running_loop(), backup._copy

    def late(*arguments: Any) -> None:
        assert asyncio.run_coroutine_threadsafe(store.delete(job_id), loop).result(60)
        copy_really(*arguments)

    monkeypatch.setattr(backup, "_copy", late)
    await store.back_up(tmp_path / "copy.db")
    assert await ids(store) == []
    copy = await open_file(tmp_path / "copy.db")
    assert (await found(copy, job_id)).result == LARGE


async def test_a_back_up_overwrites_nothing(store: SQLiteStore, tmp_path: Path) -> None:
    target = tmp_path / "there"
    target.write_text("mine")
    with pytest.raises(StoreError, match="already"):
        await store.back_up(target)
    with pytest.raises(StoreError):
        await store.back_up(tmp_path / "no" / "such")
    assert target.read_text() == "mine"


async def test_jobs_go_on_while_they_are_copied(store: SQLiteStore, open_file: OpenFile, tmp_path: Path) -> None:
    old = [(await submitted(store)).id for _ in range(20)]
    copying = asyncio.create_task(store.back_up(tmp_path / "copy.db"))
    new = [(await submitted(store)).id for _ in range(20)]
    await copying
    copy = await open_file(tmp_path / "copy.db")
    kept = (await ids(copy, limit=100))[::-1]
    assert kept == (old + new)[: len(kept)], "a moment between two"
    assert len(kept) >= len(old)
