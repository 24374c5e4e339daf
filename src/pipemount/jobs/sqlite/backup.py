"""A copy of the database as it is at one moment, while jobs go on."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from time import time
from uuid import uuid4

from ...errors import StoreError
from .connecting import as_store_error, connect, look_over
from .locks import Mutex, enter, leave
from .payloads import FILES
from .schema import version_of

__all__ = ["back_up", "clear_held", "copy_file"]

ABANDONED = 86400.0
"""Seconds after which what is held for a copy is taken for that of a process that was killed."""


def back_up(source: Path, payloads: Path, mutex: Mutex, target: Path) -> None:
    """As ``SQLiteStore.back_up``; blocks.

    Writers wait only until the moment is held fast: by a transaction that reads, and by second names for the files.
    """
    target = target.resolve()
    if target.exists():
        raise StoreError(f"there is something at {target.name} already; name a file that is not there")
    held = payloads.with_name(f"held-{uuid4().hex}")
    held.mkdir()
    try:
        with mutex:
            connection = connect(source)
            connection.execute("BEGIN")
            files = [row["file"] for row in connection.execute(FILES)]
            for name in files:
                os.link(payloads / name, held / name)
        try:
            _copy(connection, held, files, target)
        finally:
            with mutex:
                connection.close()
    except (sqlite3.Error, OSError) as error:
        target.unlink(missing_ok=True)
        raise as_store_error(error, "copied") from error
    finally:
        shutil.rmtree(held, ignore_errors=True)


def copy_file(source: Path, target: Path) -> None:
    """As ``back_up``, of a file that this process has not opened; whatever its version, it stays as it is.

    Raises:
        StoreError: As ``SQLiteStore.back_up``; or no jobs are kept in ``source``.
    """
    path = source.resolve()
    try:
        with closing(connect(path)) as connection:
            if not version_of(connection):
                raise StoreError(f"no jobs are kept in {source.name}; name the file of jobs=Local('sqlite:///FILE')")
            look_over(connection)
    except sqlite3.Error as error:
        raise as_store_error(error, f"read ({source.name})") from error
    folder = path.with_name(f"{path.name}-files")
    place = enter(folder)
    try:
        back_up(path, folder / "payloads", place.mutex, target)
    finally:
        leave(place)


def clear_held(folder: Path) -> None:
    """Remove what is held for copies that nobody makes any more; it takes room on the disk."""
    for held in folder.glob("held-*"):
        if held.stat().st_mtime < time() - ABANDONED:
            shutil.rmtree(held, ignore_errors=True)


def _copy(connection: sqlite3.Connection, held: Path, files: list[str], target: Path) -> None:
    """Nothing is at ``target`` before all of it is there."""
    beside = target.with_name(f"{target.name}-files") / "payloads"
    if files:
        beside.parent.mkdir(exist_ok=True)
        beside.mkdir(exist_ok=True)
    for name in files:
        shutil.copyfile(held / name, beside / name)
    unfinished = target.with_name(f"{target.name}.{uuid4().hex}")
    try:
        with closing(sqlite3.connect(unfinished, isolation_level=None)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, that can be carried elsewhere
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)
