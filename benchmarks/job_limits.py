"""What no queue on this disk can be faster than: commits that are on it when they return."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["measure_limits"]

PAGE = b"\0" * 4096
RECORD = b"{}" * 512


def measure_limits(folder: Path, seconds: float = 1.0) -> dict[str, float]:
    """How often a second, by what.

    Args:
        folder: On the disk in question.
        seconds: For each.
    """
    with (folder / "limit").open("wb", buffering=0) as file:

        def sync() -> None:
            file.write(PAGE)
            os.fdatasync(file.fileno())

        found = {"4 KiB appended and synced": _times(sync, seconds)}
    for together in (1, 64):
        with _Bare(folder / f"bare-{together}.db") as bare:
            name = "a row inserted, synced, then updated, synced (SQLite, bare)"
            if together > 1:
                name = f"the same, {together} rows to a commit"
            found[name] = together * _times(lambda bare=bare, rows=together: bare.jobs(rows), seconds)  # type: ignore[misc]  # bound at once
    return found


class _Bare:
    """A table with a job's columns that matter, and one event to each."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._number = 0

    def __enter__(self) -> _Bare:
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "CREATE TABLE jobs (number INTEGER PRIMARY KEY, status TEXT NOT NULL, record BLOB NOT NULL)",
        ):
            self._connection.execute(statement)
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def jobs(self, count: int) -> None:
        """So many come, and end."""
        numbers = range(self._number, self._number + count)
        self._number += count
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for number in numbers:
            execute("INSERT INTO jobs VALUES (?, 'queued', ?)", (number, RECORD))
        execute("COMMIT")
        execute("BEGIN IMMEDIATE")
        for number in numbers:
            execute("UPDATE jobs SET status = 'succeeded' WHERE number = ?", (number,))
        execute("COMMIT")


def _times(act: Callable[[], None], seconds: float) -> float:
    count, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        act()
        count += 1
    return count / took
