"""How a database file is opened, and what of it is refused."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from time import monotonic

from ...errors import ConfigurationError, StoreError

__all__ = ["BUSY", "OpenFile", "as_store_error", "check_place", "connect", "look_over", "prepare"]

BUSY = 5.0
"""Seconds that a write waits for a program that is none of ours."""

LOOK = 1.0
"""Seconds that looking a database over may take when it is opened."""

OLDEST = (3, 35)
"""The first SQLite that tells what a statement has changed (``RETURNING``)."""

OVER_A_NETWORK = frozenset(
    {
        *(
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "smbfs",
            "ncpfs",
            "afs",
            "coda",
            "ceph",
            "9p",
            "lustre",
            "gpfs",
            "beegfs",
            "orangefs",
        ),
        *("glusterfs", "fuse.glusterfs", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.juicefs", "fuse.gcsfuse"),
    }
)
"""File systems on which neither locks nor shared memory hold between hosts."""

MOUNTS = Path("/proc/self/mounts")


class OpenFile:
    """A database that is open. SQLite goes on with a file that has no name any more: what it commits is lost.

    Args:
        path: Of the file, which is there.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._opened = path, _identity(path)

    def check(self) -> None:
        """Raise ``OSError`` where the file was removed, or another one is in its place. It takes a microsecond."""
        if self._opened is None or _identity(self._path) != self._opened:
            raise FileNotFoundError(errno.ENOENT, "its file was removed or replaced while it was open; start anew")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def connect(path: Path) -> sqlite3.Connection:
    """A connection that may be handed to the thread that owns it; transactions are begun by hand."""
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """What holds for a connection that writes. Nobody else writes meanwhile."""
    if sqlite3.sqlite_version_info < OLDEST:
        raise ConfigurationError(f"jobs need SQLite 3.35 or later; this Python has {sqlite3.sqlite_version}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before there are tables
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # only under the mutex: see ``Writer``
    connection.execute("PRAGMA cache_size = -16000")


def look_over(connection: sqlite3.Connection, seconds: float = LOOK) -> None:
    """Raise ``StoreError`` where the file is broken, as far as that shows in this time."""
    deadline = monotonic() + seconds
    connection.set_progress_handler(lambda: monotonic() > deadline, 10_000)
    try:
        found = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        return
    finally:
        connection.set_progress_handler(None, 0)
    if found != ["ok"]:
        raise StoreError(f"the database of jobs is broken ({found[0]}); restore a back-up")


def check_place(folder: Path, mounts: str | None = None) -> None:
    """Raise ``ConfigurationError`` where a folder is on a file system that is shared between hosts.

    Args:
        folder: An absolute path without symbolic links.
        mounts: As the system tells them; read where it tells.
    """
    if mounts is None:
        mounts = MOUNTS.read_text() if MOUNTS.exists() else ""
    found = ("", "")
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        point = point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        if folder.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, kind)
    if found[1] in OVER_A_NETWORK:
        raise ConfigurationError(
            f"a database of jobs cannot be on {found[1]} ({found[0]}): its locks do not hold between hosts. "
            "Use a local disk, or a PostgreSQL database"
        )


def as_store_error(error: Exception, doing: str) -> StoreError:
    """What callers are told of ``error``."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, sqlite3.DatabaseError) and ("not a database" in str(error) or "malformed" in str(error)):
        return StoreError(f"the database of jobs is broken ({error}); restore a back-up")
    told = error.strerror if isinstance(error, OSError) else str(error)
    return StoreError(f"the database of jobs cannot be {doing}: {told}")
