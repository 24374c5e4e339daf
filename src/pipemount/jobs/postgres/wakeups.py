"""Who waits for events or for work is woken: by other processes through ``NOTIFY``, and by a look every second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from secrets import token_hex
from time import monotonic

import psycopg

from ...errors import StoreError
from .connections import Connection, Connections
from .statements import ARE_DUE, STATES, TELL

__all__ = ["Wakeups"]

logger = logging.getLogger("pipemount")

LOOK = 1.0
"""Seconds after which whoever waits is looked after even if no message came: one may be lost."""

AT_ONCE = 150
"""Jobs in a message: it must be shorter than 8,000 bytes."""

WORK = "work"
"""In a message beside the ids of jobs: there is one that can be claimed."""

ALL = "all"
"""In a message instead of the ids of too many jobs."""


class Wakeups:
    """All belongs to the app's home loop.

    What a statement changed is told once it is committed, not by it: several changes share a message, no commit waits
    for another's, and a message that is lost with its process costs a second.

    Args:
        connections: For all but listening, which has a connection of its own.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._channel = f"pipemount_{connections.address.schema}"[:63]
        self.forget()

    def forget(self) -> None:
        """Nobody waits, and nothing is to be told."""
        self._me = token_hex(4)
        self._waiting: dict[str, dict[asyncio.Future[bool], int]] = {}
        self._changed: set[str] = set()
        self._untold: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Begin to listen."""
        self._look_now, self._tell_now, self._work = asyncio.Event(), asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(work()) for work in (self._listen, self._look, self._tell)]

    async def close(self) -> None:
        """What waits returns; what is to be told is told."""
        for waiting in self._waiting.values():
            for future in waiting:
                _settle(future, False)
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._untold:
            await self._tell_others()

    def changed(self, *job_ids: str, work: bool = False) -> None:
        """These jobs have new events, or have ended, or are forgotten; or there is work for other processes."""
        self._untold.update(job_ids, (WORK,) if work else ())
        self._tell_now.set()
        self._look_at(job_ids)

    def work_came(self) -> None:
        """There is work that no process has taken on: this one is told, too."""
        self._work.set()
        self.changed(work=True)

    async def wait(self, job_id: str, after: int, timeout: float) -> bool:
        """See ``Store.wait``."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        waiting = self._waiting.setdefault(job_id, {})
        waiting[future] = after
        self._look_at([job_id])
        timer = loop.call_later(timeout, _settle, future, False)
        try:
            return await future
        finally:
            timer.cancel()
            del waiting[future]
            if not waiting and self._waiting.get(job_id) is waiting:
                del self._waiting[job_id]

    async def wait_for_work(self, timeout: float) -> bool:
        """See ``Store.wait_for_work``."""
        end = monotonic() + timeout
        while (left := end - monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOOK)):
                    await self._work.wait()
            if self._work.is_set() or await self._is_due():
                self._work.clear()
                return True
        return False

    async def _is_due(self) -> bool:
        try:
            [row] = await self._connections.fetch(ARE_DUE, {})
        except StoreError:  # what was said of it stands in the log
            return False
        return bool(row["due"])

    # ------------------------------------------------------------------------------------ listening

    async def _listen(self) -> None:
        self._deaf = False
        while True:
            with suppress(StoreError, psycopg.Error):  # it is told elsewhere that the database is away
                connection = await self._connections.connect()
                try:
                    await self._hear(connection)
                finally:
                    await connection.close()
            self._deaf = True
            await asyncio.sleep(LOOK)

    async def _hear(self, connection: Connection) -> None:
        await connection.execute(f'LISTEN "{self._channel}"'.encode())
        if self._deaf:  # what was said meanwhile nobody heard
            self._look_at(self._waiting)
            self._work.set()
        async for message in connection.notifies():
            sender, *told = message.payload.split()
            if sender == self._me:
                continue
            if WORK in told or ALL in told:
                self._work.set()
            self._look_at(self._waiting if ALL in told else told)

    # -------------------------------------------------------------------------------------- looking

    def _look_at(self, job_ids: Iterable[str]) -> None:
        found = [job_id for job_id in job_ids if job_id in self._waiting]
        if found:
            self._changed.update(found)
            self._look_now.set()

    async def _look(self) -> None:
        """See after those who wait: where something changed at once, else every second."""
        while True:
            try:
                async with asyncio.timeout(LOOK if self._waiting else None):
                    await self._look_now.wait()
            except TimeoutError:
                self._changed.update(self._waiting)
            self._look_now.clear()
            job_ids, self._changed = [each for each in self._changed if each in self._waiting], set()
            if job_ids:
                with suppress(StoreError):
                    await self._wake(job_ids)

    async def _wake(self, job_ids: list[str]) -> None:
        rows = await self._connections.fetch(STATES, {"ids": job_ids})
        found = {row["id"]: row for row in rows}
        for job_id in job_ids:
            row = found.get(job_id)
            for future, after in self._waiting.get(job_id, {}).items():
                if row is None or row["ended"] or row["last_event"] > after:
                    _settle(future, True)

    # -------------------------------------------------------------------------------------- telling

    async def _tell(self) -> None:
        while True:
            await self._tell_now.wait()
            self._tell_now.clear()
            await self._tell_others()

    async def _tell_others(self) -> None:
        untold, self._untold = self._untold, set()
        told = [ALL] if len(untold) > AT_ONCE else sorted(untold)
        message = {"channel": self._channel, "message": " ".join([self._me, *told])}
        with suppress(StoreError):  # they look for themselves
            await self._connections.fetch(TELL, message)


def _settle(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)
