"""Jobs in an SQLite database: one file on a local disk, for all processes of a host."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from time import time
from typing import Any, Literal

from ...errors import StoreError
from ...settings import Settings
from ..models import Claim, Job, JobEvent, JobQuery, JobRequest, JobStatus, Lease, LeaseState, Outcome, Page, Submitted
from ..outcomes import outcome_of_lost
from . import claims, handing, reading, retention, writes
from .backup import back_up, clear_held
from .connecting import OpenFile, as_store_error, check_place, connect, look_over, prepare
from .locks import Place, enter, leave
from .losses import check_events, lost_input, whole, without_lost
from .payloads import Payloads, clear
from .reader import Read, Reader, Result
from .schema import migrate, version_of
from .transaction import Changes, Transaction
from .waiting import ForJobs, ForWork
from .writer import Write, Writer, checkpoint

__all__ = ["SQLiteStore"]

logger = logging.getLogger("pipemount")

CLOSED = "the store of jobs is closed"


class SQLiteStore:
    """Keeps jobs in a file; see ``Store`` for the verbs.

    What a verb has written is on the disk when it returns. Several processes of a host may have the file open, and
    several stores in each: all write one after the other. The file belongs to this package alone; beside it is a folder
    of the same name with ``-files`` behind it, for locks and large values.

    ``open`` starts two threads, one that writes and one that reads; ``close`` ends them. Nothing is opened before.

    Args:
        path: Of the file. It is made if it is not there; so is its folder.
        settings: Of the app.
    """

    durable = True
    rescue_every = 0.25

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self._settings = path.absolute(), settings
        self.forget()

    def forget(self) -> None:
        """Begin from nothing, as in a forked child: the threads and the locks are the parent's."""
        self._writer: Writer | None = None
        self._reader: Reader | None = None
        self._place: Place
        self._payloads: Path
        self._file: OpenFile
        self._joined: list[str] = []
        self._jobs, self._work = ForJobs(), ForWork()
        self._telling: asyncio.Task[None] | None = None
        self._again = False

    # ------------------------------------------------------------------------------- start and stop

    async def open(self) -> None:
        if self._writer is not None:
            return
        try:
            writer = Writer(self._begin_writing, self._told)
            await writer.open()
            self._writer = writer
            reader = Reader(self._begin_reading, self._place.mutex, self._changed)
            await reader.open()
            self._reader = reader
        except (sqlite3.Error, OSError, StoreError) as error:
            await self._abandon()
            raise as_store_error(error, f"opened ({self.path.name})") from error
        except BaseException:
            await self._abandon()
            raise

    async def _abandon(self) -> None:
        """It could not be opened."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()

    async def close(self) -> None:
        writer, reader = self._writer, self._reader
        if writer is None or reader is None:
            return
        for worker in list(self._joined):
            try:
                await self.leave(worker)
            except StoreError as error:  # its jobs are rescued by whoever opens the file next
                logger.warning("the jobs of %s could not be given back: %s", worker, error)
        self._writer = self._reader = None
        self._jobs.release()
        self._work.release(False)
        if self._telling is not None:
            self._telling.cancel()
        await reader.close()
        await writer.close()

    def _begin_writing(self) -> Transaction:
        path = self.path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        check_place(path.parent)
        folder = path.with_name(f"{path.name}-files")
        self._payloads = folder / "payloads"
        self._place = enter(folder)
        try:
            self._payloads.mkdir(exist_ok=True)
            connection = self._opened(path)
            self._file = OpenFile(path)
            payloads = Payloads(self._payloads)
            return Transaction(connection, self._settings, payloads, self._place, self._file, self._jobs)
        except BaseException:
            leave(self._place)
            raise

    def _opened(self, path: Path) -> sqlite3.Connection:
        with self._place.mutex:
            connection = connect(path)
            try:
                version_of(connection)
                prepare(connection)
                migrate(connection)
                clear(self._payloads, connection)
                clear_held(self._payloads.parent)
                self._place.tidy()
                checkpoint(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _begin_reading(self) -> sqlite3.Connection:
        connection = connect(self.path.resolve())
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            look_over(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _write(self, write: Write[Result]) -> Result:
        if self._writer is None:
            raise StoreError(CLOSED)
        return await self._writer.do(write)

    async def _read(self, read: Read[Result]) -> Result:
        if self._reader is None:
            raise StoreError(CLOSED)
        return await self._reader.do(read)

    # ------------------------------------------------------------------------------------- the store

    async def check(self) -> None:
        await self._read(reading.counts)
        await self._read(lambda _: self._file.check())
        if self._writer is not None and self._writer.failed:
            self._writer.failed = False  # the probe says so again
            await self._write(writes.probe)

    async def sweep(self) -> None:
        while await self._write(retention.forget_old):
            pass
        await self._write(retention.make_room)
        await self._write(retention.vacuum)

    async def back_up(self, path: Path) -> None:
        """Write all as it is at this moment to ``path``, a database of its own; jobs go on meanwhile.

        Raises:
            StoreError: There is something at ``path`` already, or it cannot be written.
        """
        if self._writer is None:
            raise StoreError(CLOSED)
        await asyncio.to_thread(back_up, self.path, self._payloads, self._place.mutex, path)

    # ----------------------------------------------------------------------------------------- coming

    async def submit(self, request: JobRequest) -> Submitted:
        submitted = await self._write(partial(writes.submit, request=request))
        return submitted._replace(job=whole(submitted.job)) if submitted.reused else submitted

    async def get(self, job_id: str) -> Job | None:
        job = await self._read(lambda connection: reading.find(connection, self._payloads, job_id))
        return None if job is None else whole(job)

    async def list(self, query: JobQuery) -> Page:
        page = await self._read(lambda connection: reading.jobs(connection, self._payloads, query))
        return page._replace(jobs=[whole(job, strict=False) for job in page.jobs])

    async def counts(self) -> Mapping[JobStatus, int]:
        return await self._read(reading.counts)

    async def request_cancel(self, job_id: str, reason: str) -> Literal["cancelled", "requested", "ended", "unknown"]:
        return await self._write(partial(writes.request_cancel, job_id=job_id, reason=reason))

    async def delete(self, job_id: str) -> bool:
        return await self._write(partial(writes.delete, job_id=job_id))

    # ----------------------------------------------------------------------------------------- leases

    async def join(self, worker: str) -> None:
        first = await self._read(lambda _: self._place.hold(worker))
        self._joined.append(worker)
        if first:  # what an earlier process of this name has left behind
            await self._write(partial(writes.give_back, worker=worker, crashed=True))

    async def leave(self, worker: str) -> None:
        try:
            await self._write(partial(writes.give_back, worker=worker, crashed=False))
        finally:
            if worker in self._joined:
                self._joined.remove(worker)
                self._place.let_go(worker)

    async def claim(self, claim: Claim) -> Sequence[Lease]:
        leases = await self._write(partial(claims.claim, claim=claim))
        return [lease for lease in leases if await self._has_inputs(lease)]

    async def claim_job(self, job_id: str, worker: str) -> Lease | None:
        lease = await self._write(partial(claims.claim_job, job_id=job_id, worker=worker))
        return lease if lease is not None and await self._has_inputs(lease) else None

    async def _has_inputs(self, lease: Lease) -> bool:
        """Whether a job can be begun; one whose inputs are lost has failed then."""
        error = lost_input(lease.job)
        if error is not None:
            await self.finish(lease, *outcome_of_lost(lease.job, error))
        return error is None

    async def unclaimed(self, patience: float, limit: int) -> Sequence[Job]:
        if not await self._read(partial(handing.any_unclaimed, patience=patience)):
            return ()
        return await self._write(partial(handing.unclaimed, patience=patience, limit=limit))

    async def expire(self) -> float | None:
        while (at := await self._read(reading.next_to_expire)) is not None:
            if (left := at - time()) > 0:
                return left
            while await self._write(writes.expire):
                pass
        return None

    async def hand_over(self, lease: Lease, worker: str) -> bool:
        return await self._write(partial(writes.hand_over, lease=lease, worker=worker))

    async def heartbeat(self, leases: Sequence[Lease]) -> Sequence[LeaseState]:
        return await self._read(partial(reading.lease_states, leases=leases))

    async def requeue(
        self,
        lease: Lease,
        run_at: float | None = None,
        events: Sequence[JobEvent] = (),
        *,
        crashed: bool = False,
        cut_short: bool = False,
    ) -> bool:
        told = {"lease": lease, "run_at": run_at, "events": events, "crashed": crashed, "cut_short": cut_short}
        return await self._write(partial(writes.requeue, **told))  # type: ignore[arg-type]  # by name

    async def rescue(self) -> int:
        gone = await self._read(lambda connection: _gone(connection, self._place))
        return sum([await self._write(partial(_rescue, worker=worker)) for worker in gone])

    # ------------------------------------------------------------------------------------- performing

    async def save_step(self, lease: Lease, key: str, output: bytes) -> bool:
        return await self._write(partial(writes.save_step, lease=lease, key=key, output=output))

    async def read_steps(self, lease: Lease) -> Mapping[str, bytes]:
        return without_lost(await self._read(lambda connection: reading.steps(connection, self._payloads, lease)))

    async def suspend(self, lease: Lease, question: Mapping[str, Any], events: Sequence[JobEvent] = ()) -> bool:
        return await self._write(partial(writes.suspend, lease=lease, question=question, events=events))

    async def resume(self, job_id: str, answer: bytes) -> Literal["resumed", "not-suspended", "unknown"]:
        return await self._write(partial(writes.resume, job_id=job_id, answer=answer))

    async def append(self, lease: Lease, events: Sequence[JobEvent]) -> bool:
        return await self._write(partial(writes.append, lease=lease, events=events))

    async def finish(self, lease: Lease, outcome: Outcome, events: Sequence[JobEvent] = ()) -> bool:
        return await self._write(partial(writes.finish, lease=lease, outcome=outcome, events=events))

    async def read_events(self, job_id: str, after: int, limit: int) -> Sequence[JobEvent]:
        found = await self._read(lambda connection: reading.events(connection, self._payloads, job_id, after, limit))
        return check_events(found)

    # ---------------------------------------------------------------------------------------- waiting

    async def wait(self, job_id: str, after: int, timeout: float) -> bool:
        future = self._jobs.add(job_id, after)
        try:
            self._watch()
            self._jobs.tell(await self._read(partial(reading.changes_of, job_ids=[job_id])))
            return await _within(future, timeout)
        finally:
            self._jobs.remove(job_id, future)
            self._watch()

    async def wait_for_work(self, timeout: float) -> bool:
        future = self._work.add()
        try:
            self._watch()
            self._work.tell(await self._read(partial(reading.ready, told=self._work.told)))
            return await _within(future, timeout)
        finally:
            self._work.remove(future)
            self._watch()

    def _watch(self) -> None:
        if self._reader is not None:
            self._reader.watch(bool(self._jobs) or bool(self._work))

    def _told(self, changes: Changes) -> None:
        """This process has written."""
        self._jobs.tell(changes.jobs)
        if changes.came and self._work:
            self._changed()

    def _changed(self) -> None:
        """Somebody has written: one look at a time, and another one if it came too late for that."""
        self._again = True
        if self._telling is None and self._reader is not None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        try:
            while self._again and self._reader is not None:
                self._again = False
                if self._jobs:
                    self._jobs.tell(await self._read(partial(reading.changes_of, job_ids=self._jobs.ids)))
                if self._work:
                    self._work.tell(await self._read(partial(reading.ready, told=self._work.told)))
        except StoreError as error:  # those who wait have a time of their own
            logger.warning("what became of jobs could not be told: %s", error)
        finally:
            self._telling = None


def _gone(connection: sqlite3.Connection, place: Place) -> Sequence[str]:
    found = []
    for worker in reading.workers(connection):
        with place.gone(worker) as gone:
            if gone:
                found.append(worker)
    return found


def _rescue(transaction: Transaction, worker: str) -> int:
    with transaction.place.gone(worker) as gone:
        return writes.give_back(transaction, worker, crashed=True) if gone else 0


async def _within(future: asyncio.Future[bool], timeout: float) -> bool:
    loop = asyncio.get_running_loop()
    timer = loop.call_later(timeout, _in_vain, future)
    try:
        return await future
    finally:
        timer.cancel()


def _in_vain(future: asyncio.Future[bool]) -> None:
    if not future.done():
        future.set_result(False)
