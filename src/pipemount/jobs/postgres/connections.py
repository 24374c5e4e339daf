"""Connections to the database: opened when they are needed, kept for the next, made anew when they broke."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeAlias

import psycopg
from psycopg.errors import DeadlockDetected, SerializationFailure
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row
from psycopg.types.numeric import Int8

from ...errors import StoreError
from .address import Address
from .statements import in_schema

__all__ = ["Connection", "Connections", "RefusedError", "Rows", "UnansweredError"]

logger = logging.getLogger("pipemount")

Connection: TypeAlias = psycopg.AsyncConnection[DictRow]
Rows: TypeAlias = Sequence[DictRow]

PATIENCE = 30.0
"""Seconds that a statement may take."""

IN_LINE = 10.0
"""Seconds for which one waits for a connection that others use."""

PAUSE = 0.2
"""Seconds between two attempts to reach a database that is away."""

AWAY = "the database of the jobs cannot be reached"
"""What callers are told; who it is, and why, is in the log."""


class Connections:
    """At most so many as the address says. All methods belong to the app's home loop.

    Each statement is a transaction of its own. One that a broken connection cut short is told to the server again:
    every statement here may be, as it then changes nothing more than it has.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._parents: list[list[Connection]] = []
        self._free: list[Connection] = []
        self._statements: dict[str, bytes] = {}
        self._open, self._away = False, False

    def forget(self) -> None:
        """Begin from nothing, as in a forked child. The parent's are kept: to let go of one would warn of it."""
        self._parents.append(self._free)
        self._free, self._open = [], False

    def open(self) -> None:
        """Connections may be asked for from now on."""
        self._places = asyncio.Semaphore(self.address.connections)
        self._open = True

    async def close(self) -> None:
        """None is kept any more."""
        self._open = False
        await self._drop()

    async def connect(self) -> Connection:
        """One that is nobody else's. Raises ``StoreError``, its sentence for those who run the app."""
        try:
            return await psycopg.AsyncConnection.connect(
                **self.address.parameters, autocommit=True, row_factory=dict_row
            )
        except (psycopg.Error, OSError) as error:
            raise StoreError(explained(self.address, error)) from error

    async def fetch(
        self, statement: str, values: Mapping[str, Any], patience: float = 0.0, *, once: bool = False
    ) -> Rows:
        """What a statement gives.

        Args:
            statement: With ``%(name)s`` for values and ``{schema}`` for the schema.
            values: By name.
            patience: Seconds for which a database that is away is waited for: of what must not be lost.
            once: It is not to be told again.

        Raises:
            StoreError: It cannot be reached, or refuses.
            UnansweredError: The connection broke; only of what is told ``once``.
        """
        end, told = monotonic() + patience, self._told(statement)
        plain = {name: _plain(value) for name, value in values.items()}
        while True:
            try:
                async with self._connection() as connection, asyncio.timeout(PATIENCE):
                    cursor = await connection.execute(told, plain, binary=True)
                    rows = await cursor.fetchall() if cursor.description is not None else ()
                self._tell(None)
                return rows
            except _BrokenError as broken:
                if once and broken.was_told:
                    raise UnansweredError(AWAY) from broken
                if broken.was_kept:  # perhaps it broke long ago, and a new one is as good as any
                    continue
                self._tell(broken)
                if not self._open or monotonic() >= end:
                    raise StoreError(AWAY) from broken
                await asyncio.sleep(PAUSE)
            except (SerializationFailure, DeadlockDetected):
                await asyncio.sleep(0)
            except TimeoutError as error:
                raise StoreError(f"the database of the jobs did not answer in {PATIENCE:g} s") from error
            except psycopg.Error as error:
                logger.error("the database of the jobs refused a statement: %s", error)
                raise RefusedError("the database of the jobs refused what it was told; see the log") from error

    def _told(self, statement: str) -> bytes:
        if (told := self._statements.get(statement)) is None:
            told = self._statements[statement] = in_schema(statement, self.address.schema)
        return told

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        if not self._open:
            raise StoreError("the store of jobs is closed")
        async with self._place():
            kept = bool(self._free)
            try:
                connection = self._free.pop() if kept else await self.connect()
            except StoreError as error:
                raise _BrokenError(error, was_kept=False, was_told=False) from error
            try:
                yield connection
            except psycopg.OperationalError as error:
                if not connection.broken:
                    raise
                await self._drop()
                raise _BrokenError(error, was_kept=kept, was_told=True) from error
            finally:
                await self._give_back(connection)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(IN_LINE):
                await self._places.acquire()
        except TimeoutError:
            number = self.address.connections
            raise StoreError(f"all {number} connections to the database of the jobs are in use") from None
        places = self._places
        try:
            yield
        finally:
            places.release()

    async def _give_back(self, connection: Connection) -> None:
        idle = not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE
        if idle and self._open:
            self._free.append(connection)
        else:
            await connection.close()

    async def _drop(self) -> None:
        free, self._free = self._free, []
        for connection in free:
            await connection.close()

    def _tell(self, broken: BaseException | None) -> None:
        """Once that it went away, with the cause, and once that it is back."""
        if broken is not None and not self._away:
            logger.warning("%s: %s", AWAY, broken)
        elif broken is None and self._away:
            logger.warning("the database of the jobs is back")
        self._away = broken is not None


class RefusedError(StoreError):
    """It is not for the database's being away."""


class UnansweredError(StoreError):
    """What was told may have been carried out, or not."""


class _BrokenError(Exception):
    """A connection broke, or could not be made."""

    def __init__(self, cause: BaseException, *, was_kept: bool, was_told: bool) -> None:
        super().__init__(str(cause).strip())
        self.was_kept, self.was_told = was_kept, was_told


def explained(address: Address, error: BaseException) -> str:
    """Why there is no connection, and the way out."""
    cause = " ".join(str(error).split())
    if "password" in cause or "no pg_hba.conf entry" in cause:
        way_out = "see to the user and the password in its URL, or to who may come in: pg_hba.conf"
    elif "does not exist" in cause:
        way_out = "create it (createdb, createuser), or see to its URL"
    else:
        way_out = "see whether it runs, and to the host and the port in its URL"
    return f"the jobs' database {address} cannot be reached: {way_out}. It said: {cause}"


def _plain(value: Any) -> Any:
    """A value as the database can have it: a text without NUL and in UTF-8, a number of one type whatever its size.

    Were small numbers of a type of their own, each mixture of them would be a statement to be prepared anew.
    """
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode(errors="replace").decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return Int8(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
