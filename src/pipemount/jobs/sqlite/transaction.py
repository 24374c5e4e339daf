"""What a write is given: the connection inside of a transaction, and where it notes what others are to be told."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Mapping
from typing import Any, NamedTuple

from ...settings import Settings
from .connecting import OpenFile
from .locks import Place
from .payloads import Payloads

__all__ = ["Change", "Changes", "Transaction"]


class Change(NamedTuple):
    """What became of a job, for those who wait for it.

    Attributes:
        last_event: The number of its last event.
        over: Whether it has ended, or is forgotten.
    """

    last_event: int
    over: bool


class Changes(NamedTuple):
    """What commits have changed.

    Attributes:
        jobs: By id, what became of them.
        came: Whether there may be a job that can be claimed.
    """

    jobs: Mapping[str, Change]
    came: bool


class Transaction:
    """One write, or several that share a commit. Belongs to the writer's thread.

    Attributes:
        connection: Inside of a transaction.
        settings: Of the app.
        payloads: The large values.
        place: Who lives.
        awaited: Ids of jobs that somebody in this process waits for.
        changes: By id, what becomes of jobs.
        came: Whether there may be a job that can be claimed.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        settings: Settings,
        payloads: Payloads,
        place: Place,
        file: OpenFile,
        awaited: Container[str],
    ) -> None:
        self.connection, self.settings, self.payloads, self.place = connection, settings, payloads, place
        self._file, self.awaited = file, awaited
        self.changes: dict[str, Change] = {}
        self.came = False
        self._committed = Changes({}, False)

    def begin(self) -> None:
        """Wait until no other program writes. Raises ``OSError`` where the file is not what its path names any more."""
        self._file.check()
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """All is on the disk when this returns."""
        self.payloads.before_commit()
        self.connection.execute("COMMIT")
        self.payloads.after_commit()
        before = self._committed
        self._committed = Changes({**before.jobs, **self.changes}, before.came or self.came)
        self.changes, self.came = {}, False

    def rollback(self) -> None:
        """Nothing was done."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        self.payloads.after_rollback()
        self.changes, self.came = {}, False

    def taken(self) -> Changes:
        """What was changed since this was asked last."""
        taken, self._committed = self._committed, Changes({}, False)
        return taken

    def one(self, statement: str, parameters: tuple[Any, ...] | Mapping[str, Any] = ()) -> sqlite3.Row | None:
        """The first row, if there is one."""
        found: sqlite3.Row | None = self.connection.execute(statement, parameters).fetchone()
        return found

    def all(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """The rows."""
        return self.connection.execute(statement, parameters).fetchall()

    def run(self, statement: str, parameters: tuple[Any, ...] = ()) -> int:
        """How many rows were changed."""
        return self.connection.execute(statement, parameters).rowcount

    def insert(self, table: str, columns: Mapping[str, Any]) -> int:
        """A new row; its number."""
        names, places = ", ".join(columns), ", ".join("?" * len(columns))
        made = self.connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({places})",  # noqa: S608 - names of our own
            tuple(columns.values()),
        )
        return made.lastrowid or 0

    def update(self, job: int, columns: Mapping[str, Any]) -> None:
        """Columns of a job."""
        names = ", ".join(f"{name} = ?" for name in columns)
        self.connection.execute(
            f"UPDATE jobs SET {names} WHERE number = ?",  # noqa: S608 - names of our own
            (*columns.values(), job),
        )
