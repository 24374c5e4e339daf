"""Values that are too large for a row: in a table of their own, and the largest in files beside the database.

A file is written and synced before the transaction that names it commits, and removed after the one that forgets it.
What a crash leaves between the two is removed when the database is opened.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from .losses import mark

__all__ = ["FILES", "IN_ROW", "IN_TABLE", "Payloads", "clear", "read", "read_named"]

logger = logging.getLogger("pipemount")

IN_ROW = 1024
"""Bytes that a job's row may carry of each value: it is written anew whenever the job changes."""

IN_TABLE = 256 * 1024
"""Bytes that the database carries of one value."""

FILES = "SELECT file FROM payloads WHERE file IS NOT NULL"
"""The names of all files: by an index, however many values there are that have none."""


class Payloads:
    """The large values of jobs; those of one transaction at a time.

    Args:
        folder: Of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: list[str] = []
        self._dropped: list[str] = []

    def put(self, connection: sqlite3.Connection, job: int, name: str, body: bytes) -> None:
        """Keep ``body``; what had the name before is dropped."""
        self.drop(connection, job, [name])
        file = None
        if len(body) > IN_TABLE:
            file = self._write(body)
        connection.execute(
            "INSERT INTO payloads (job, name, size, body, file) VALUES (?, ?, ?, ?, ?)",
            (job, name, len(body), None if file else body, file),
        )

    def drop(self, connection: sqlite3.Connection, job: int, names: Iterable[str]) -> None:
        """Forget those."""
        for name in names:
            self._went(
                connection.execute("DELETE FROM payloads WHERE job = ? AND name = ? RETURNING file", (job, name))
            )

    def drop_all(self, connection: sqlite3.Connection, job: int, kind: str = "") -> int:
        """Forget all of a job, or those whose names begin so; their bytes."""
        found = connection.execute(
            "DELETE FROM payloads WHERE job = ? AND name >= ? AND name < ? || char(1114111) RETURNING file, size",
            (job, kind, kind),
        ).fetchall()
        self._went(found)
        return sum(row["size"] for row in found)

    def _went(self, rows: Iterable[sqlite3.Row]) -> None:
        self._dropped += [row["file"] for row in list(rows) if row["file"]]

    def _write(self, body: bytes) -> str:
        name = uuid4().hex
        self._written.append(name)
        with (self.folder / name).open("xb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        return name

    def before_commit(self) -> None:
        """The names of the files reach the disk before those who name them."""
        if self._written:
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def after_commit(self) -> None:
        """What was forgotten is removed."""
        self._remove(self._dropped)

    def after_rollback(self) -> None:
        """What was written is removed."""
        self._remove(self._written)

    def _remove(self, names: list[str]) -> None:
        for name in names:
            try:
                (self.folder / name).unlink(missing_ok=True)
            except OSError as error:  # what was written stands all the same
                logger.warning("a value of jobs is removed when their file is opened next: %s", error)
        self._written, self._dropped = [], []


def clear(folder: Path, connection: sqlite3.Connection) -> None:
    """Remove the files that no row names. Nobody writes meanwhile."""
    named = {row["file"] for row in connection.execute(FILES)}
    for path in folder.iterdir():
        if path.name not in named:
            path.unlink()


def read(folder: Path, connection: sqlite3.Connection, job: int, kind: str) -> Mapping[str, bytes]:
    """The large values of a job whose names begin so. One whose job was forgotten just now is left out.

    In the place of one whose file is gone is what ``losses.mark`` gives.
    """
    rows = connection.execute(
        "SELECT name, body, file FROM payloads WHERE job = ? AND name >= ? AND name < ? || char(1114111)",
        (job, kind, kind),
    )
    return _bodies(folder, connection, rows)


def read_named(folder: Path, connection: sqlite3.Connection, job: int, names: Sequence[str]) -> Mapping[str, bytes]:
    """Those of these names, and nothing else of what a job has; otherwise the same."""
    marks = ", ".join("?" * len(names))
    rows = connection.execute(
        f"SELECT name, body, file FROM payloads WHERE job = ? AND name IN ({marks})",  # noqa: S608 - question marks
        (job, *names),
    )
    return _bodies(folder, connection, rows)


def _bodies(folder: Path, connection: sqlite3.Connection, rows: sqlite3.Cursor) -> Mapping[str, bytes]:
    found: dict[str, bytes] = {}
    for row in rows.fetchall():
        if row["file"] is None:
            found[row["name"]] = row["body"]
        elif (path := folder / row["file"]).exists():
            found[row["name"]] = path.read_bytes()
        elif connection.execute("SELECT 1 FROM payloads WHERE file = ?", (row["file"],)).fetchone():
            found[row["name"]] = mark(row["file"])
    return found
