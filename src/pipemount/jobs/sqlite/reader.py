"""The thread that reads, and sees when another process has written: reads go on while a write waits."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, TypeAlias, TypeVar

from ...errors import PipemountError
from .connecting import as_store_error
from .locks import Mutex

__all__ = ["LOOK", "Read", "Reader"]

logger = logging.getLogger("pipemount")

LOOK = 0.01
"""Seconds between two looks for what others have written, while somebody waits for it."""

PAUSE = 1.0
"""Seconds until the next look where one failed."""

Result = TypeVar("Result")

Read: TypeAlias = Callable[[sqlite3.Connection], Result]
"""Reads; all that it sees is of one moment."""


class Reader:
    """Owns the connection that reads. ``do`` and ``watch`` belong to the home loop; all else to the thread.

    Args:
        begin: Opens a connection; called in the thread.
        mutex: Held while the connection is closed.
        changed: Called on the home loop when something was written, by whomever, while ``watch`` says so.
    """

    def __init__(self, begin: Callable[[], sqlite3.Connection], mutex: Mutex, changed: Callable[[], None]) -> None:
        self._begin, self._mutex, self._changed = begin, mutex, changed
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[tuple[Read[Any], asyncio.Future[Any]] | bool | None] = SimpleQueue()
        self._watching = False
        self._version = 0
        self._looked = 0.0
        self._thread = threading.Thread(target=self._run, name="pipemount-jobs-reader", daemon=True)
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
        """What was asked for is answered, then the thread ends."""
        self._queue.put(None)
        await asyncio.shield(self._closed)
        self._thread.join()  # it has nothing left to do

    async def do(self, read: Read[Result]) -> Result:
        """Have ``read`` done. Raises ``StoreError``, or what it raises."""
        answer: asyncio.Future[Result] = self._loop.create_future()
        self._queue.put((read, answer))
        return await answer

    def watch(self, watching: bool) -> None:
        """Look for what others write, or not."""
        if watching != self._watching:
            self._watching = watching
            self._queue.put(watching)

    # ---------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        try:
            connection = self._begin()
        except Exception as error:
            self._tell(_settle, self._opened, error)
            return
        self._tell(_settle, self._opened, None)
        try:
            while self._turn(connection):
                pass
        finally:
            with self._mutex:
                connection.close()
            self._tell(_settle, self._closed, None)

    def _turn(self, connection: sqlite3.Connection) -> bool:
        """Whether there is another one."""
        try:
            asked = self._queue.get(timeout=LOOK if self._watching else None)
        except Empty:
            asked = True
        if asked is None:
            return False
        if not isinstance(asked, bool):
            self._answer(connection, *asked)
        if self._watching and monotonic() >= self._looked + LOOK:
            self._look(connection)
        return True

    def _answer(self, connection: sqlite3.Connection, read: Read[Any], answer: asyncio.Future[Any]) -> None:
        try:
            connection.execute("BEGIN")
            try:
                found = read(connection)
            finally:
                connection.execute("ROLLBACK")
        except PipemountError as error:
            self._tell(_settle, answer, error)
        except Exception as error:
            logger.warning("jobs cannot be read: %s", error)
            self._tell(_settle, answer, as_store_error(error, "read"))
        else:
            self._tell(_settle, answer, None, found)

    def _look(self, connection: sqlite3.Connection) -> None:
        self._looked = monotonic()
        try:
            [version] = connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:  # it may pass; whoever waits has a time of his own
            logger.warning("what is written of jobs cannot be seen: %s", error)
            self._looked += PAUSE
            return
        if version != self._version:
            self._version = version
            self._tell(self._changed)

    def _tell(self, what: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:  # the loop is closed: nobody waits any more
            logger.debug("nobody is left to be told what was read")


def _settle(future: asyncio.Future[Any], error: Exception | None, result: Any = None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
