"""The thread that writes: what came while it wrote shares the next commit, and with it one sync of the disk."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from ...errors import StoreError
from .connecting import BUSY, as_store_error
from .locks import leave
from .transaction import Changes, Transaction

__all__ = ["PATIENCE", "Write", "Writer"]

logger = logging.getLogger("pipemount")

PATIENCE = 10.0
"""Seconds after which a write that could not begin is given up: another process has the mutex and does not go on."""

AT_ONCE = 256
"""Writes that share a commit at most."""

CHECKPOINT = 4000
"""Rows that this process changes before it moves the log into the database."""

LONG_LOG = 16_384
"""Pages in the log beyond which its file is cut: 64 MiB."""

Result = TypeVar("Result")

Write: TypeAlias = Callable[[Transaction], Result]
"""Reads and writes within a transaction. It may be called again if another that shares the transaction fails."""


class Asked(Generic[Result]):
    """A write that waits for its turn.

    Attributes:
        write: What is to be done.
        answer: Of it, on the home loop.
    """

    __slots__ = ("_once", "answer", "write")

    def __init__(self, write: Write[Result], answer: asyncio.Future[Result]) -> None:
        self.write, self.answer = write, answer
        self._once = threading.Lock()

    def take(self) -> bool:
        """Whether nobody has begun it, nor given it up: then it is the caller's now."""
        return self._once.acquire(blocking=False)


class Answer(NamedTuple):
    """What came of a write."""

    asked: Asked[Any]
    result: Any = None
    error: Exception | None = None


class Writer:
    """Owns the connection that writes. ``do`` belongs to the home loop; all else to the thread.

    Every commit and every checkpoint holds the mutex, so that none overlaps another's, whatever the process.

    Args:
        begin: Opens a connection; called in the thread, inside of the mutex.
        told: Called on the home loop with what a commit has changed.

    Attributes:
        failed: Whether a write has failed since this was last set; a small one may well be done after a large one.
    """

    def __init__(self, begin: Callable[[], Transaction], told: Callable[[Changes], None]) -> None:
        self._begin, self._told = begin, told
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Asked[Any] | None] = SimpleQueue()
        self._checked = 0
        self.failed = False
        self._thread = threading.Thread(target=self._run, name="pipemount-jobs-writer", daemon=True)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()

    async def open(self) -> None:
        """Start the thread. Raises what ``begin`` raises."""
        self._thread.start()
        try:
            await asyncio.shield(self._opened)
        except Exception:
            self._thread.join()
            raise

    async def close(self) -> None:
        """What was asked for is done, then the thread ends."""
        self._queue.put(None)
        await asyncio.shield(self._closed)
        self._thread.join()  # it has nothing left to do

    async def do(self, write: Write[Result]) -> Result:
        """Have ``write`` done; it is on the disk when this returns. Raises ``StoreError``, or what it raises."""
        answer: asyncio.Future[Result] = self._loop.create_future()
        asked = Asked(write, answer)
        self._queue.put(asked)
        timer = self._loop.call_later(PATIENCE, _give_up, asked)
        try:
            return await answer
        except asyncio.CancelledError:
            asked.take()
            raise
        finally:
            timer.cancel()

    # ---------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        try:
            transaction = self._begin()
        except Exception as error:
            self._tell(self._settle, self._opened, error)
            return
        self._tell(self._settle, self._opened, None)
        try:
            while (first := self._queue.get()) is not None:
                try:
                    self._turn(transaction, first)
                except Exception as error:  # the mutex cannot be had; whoever has no answer yet gives up by himself
                    self._tell(self._settle, first.answer, self._explained(error))
        finally:
            with transaction.place.mutex:  # the last connection that is closed moves the log into the database
                transaction.connection.close()
            leave(transaction.place)
            self._tell(self._settle, self._closed, None)

    def _turn(self, transaction: Transaction, first: Asked[Any]) -> None:
        with transaction.place.mutex:
            batch = [asked for asked in (first, *self._waiting()) if asked.take()]
            if not batch:
                return
            answers = self._commit(transaction, batch)
        self._tell(self._deliver, answers, transaction.taken())
        self._checkpoint(transaction)

    def _waiting(self) -> Sequence[Asked[Any]]:
        found: list[Asked[Any]] = []
        while len(found) < AT_ONCE:
            try:
                asked = self._queue.get_nowait()
            except Empty:
                break
            if asked is None:
                self._queue.put(None)
                break
            found.append(asked)
        return found

    def _commit(self, transaction: Transaction, batch: Sequence[Asked[Any]]) -> list[Answer]:
        """Do all in one transaction; if one of several fails, each in its own."""
        try:
            transaction.begin()
            answers = []
            for asked in batch:
                try:
                    answers.append(Answer(asked, asked.write(transaction)))
                except Exception as error:
                    transaction.rollback()
                    if len(batch) > 1:
                        return [answer for one in batch for answer in self._commit(transaction, [one])]
                    return [Answer(asked, error=self._explained(error))]
            transaction.commit()
        except Exception as error:  # another program writes, or the disk is full: so it is for all of them
            transaction.rollback()
            return [Answer(asked, error=self._explained(error)) for asked in batch]
        return answers

    def _explained(self, error: Exception) -> Exception:
        if isinstance(error, sqlite3.Error | OSError):
            self.failed = True
            logger.warning("jobs cannot be written down: %s", error)
            told = as_store_error(error, "written to")
            told.__cause__ = error
            return told
        return error

    def _checkpoint(self, transaction: Transaction) -> None:
        connection = transaction.connection
        if connection.total_changes - self._checked < CHECKPOINT:
            return
        self._checked = connection.total_changes
        try:
            with transaction.place.mutex:
                checkpoint(connection)
        except sqlite3.Error as error:  # what was committed is in the log; the next one may do
            logger.warning("the log of the database of jobs could not be moved into it: %s", error)

    # ---------------------------------------------------------------------------------------- the loop

    def _tell(self, what: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:  # the loop is closed: nobody waits any more
            logger.debug("nobody is left to be told what became of a write")

    def _deliver(self, answers: Sequence[Answer], changed: Changes) -> None:
        for asked, result, error in answers:
            self._settle(asked.answer, error, result)
        self._told(changed)

    @staticmethod
    def _settle(future: asyncio.Future[Any], error: Exception | None, result: Any = None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def checkpoint(connection: sqlite3.Connection) -> None:
    """Move the log into the database, and cut its file when it has become long. Inside of the mutex."""
    _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if pages > LONG_LOG:
        connection.execute("PRAGMA busy_timeout = 0")  # whoever still reads is not waited for: the next one may do
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        connection.execute(f"PRAGMA busy_timeout = {BUSY * 1000:.0f}")


def _give_up(asked: Asked[Any]) -> None:
    if asked.take() and not asked.answer.done():
        asked.answer.set_exception(StoreError("the database of jobs cannot be written to: another process has it"))
