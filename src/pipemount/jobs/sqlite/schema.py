"""The tables, and how a database of an older version becomes one of this one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ...errors import StoreError

__all__ = ["APPLICATION", "BEGIN_BY", "MIGRATIONS", "migrate", "version_of"]

APPLICATION = 0x70697065
"""Of databases that are ours (``PRAGMA application_id``)."""

FIRST = (
    """
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        pipeline TEXT NOT NULL,
        queue TEXT NOT NULL,
        priority INTEGER NOT NULL,
        owner TEXT NOT NULL,
        keyed INTEGER NOT NULL,
        request TEXT NOT NULL,
        inputs BLOB,
        parameters BLOB,
        overrides BLOB,
        large TEXT NOT NULL DEFAULT '',
        status TEXT NOT NULL,
        created REAL NOT NULL,
        started REAL,
        finished REAL,
        expires REAL,
        run_at REAL,
        due REAL,
        attempt INTEGER NOT NULL DEFAULT 0,
        crashes INTEGER NOT NULL DEFAULT 0,
        worker TEXT,
        fence INTEGER NOT NULL DEFAULT 0,
        run_index INTEGER NOT NULL DEFAULT 0,
        run_name TEXT,
        question TEXT,
        cancel_requested INTEGER NOT NULL DEFAULT 0,
        reason TEXT,
        result BLOB,
        execution_time REAL,
        error TEXT,
        last_event INTEGER NOT NULL DEFAULT 0,
        first_event INTEGER NOT NULL DEFAULT 1,
        passing INTEGER NOT NULL DEFAULT 0,
        passing_bytes INTEGER NOT NULL DEFAULT 0,
        kept INTEGER NOT NULL DEFAULT 0,
        kept_bytes INTEGER NOT NULL DEFAULT 0,
        steps_bytes INTEGER NOT NULL DEFAULT 0,
        size INTEGER NOT NULL
    )
    """,
    "CREATE INDEX ready ON jobs (pipeline, queue, priority DESC, number) WHERE status = 'queued' AND due IS NULL",
    "CREATE INDEX delayed ON jobs (due) WHERE due IS NOT NULL",
    "CREATE INDEX held ON jobs (worker) WHERE worker IS NOT NULL",
    "CREATE INDEX expiring ON jobs (keyed, expires, number) WHERE expires IS NOT NULL",
    "CREATE INDEX of_owner ON jobs (owner, status, number)",
    "CREATE INDEX of_status ON jobs (status, number)",
    "CREATE INDEX of_pipeline ON jobs (pipeline, number)",
    """
    CREATE TABLE events (
        job INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        kind TEXT NOT NULL,
        size INTEGER NOT NULL,
        body BLOB,
        PRIMARY KEY (job, sequence)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE payloads (
        job INTEGER NOT NULL,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        body BLOB,
        file TEXT,
        PRIMARY KEY (job, name)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE keys (
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        digest TEXT NOT NULL,
        job INTEGER NOT NULL,
        PRIMARY KEY (scope, key)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX keys_of_job ON keys (job)",
    # How many jobs have which status, and their bytes; the jobs of '' are how often one has come that can be claimed.
    "CREATE TABLE tally (status TEXT PRIMARY KEY, jobs INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID",
    """
    INSERT INTO tally SELECT value, 0, 0
    FROM json_each('["queued", "running", "suspended", "cancelling", "succeeded", "failed", "cancelled", ""]')
    """,
    """
    CREATE TRIGGER job_came AFTER INSERT ON jobs BEGIN
        UPDATE tally SET jobs = jobs + 1, bytes = bytes + new.size WHERE status = new.status;
        UPDATE tally SET jobs = jobs + 1 WHERE status = '';
    END
    """,
    """
    CREATE TRIGGER job_changed AFTER UPDATE OF status ON jobs WHEN old.status <> new.status BEGIN
        UPDATE tally SET jobs = jobs - 1, bytes = bytes - old.size WHERE status = old.status;
        UPDATE tally SET jobs = jobs + 1, bytes = bytes + new.size WHERE status = new.status;
        UPDATE tally SET jobs = jobs + 1 WHERE status = '' AND new.status = 'queued';
    END
    """,
    """
    CREATE TRIGGER job_grew AFTER UPDATE OF size ON jobs WHEN old.status = new.status AND old.size <> new.size BEGIN
        UPDATE tally SET bytes = bytes + new.size - old.size WHERE status = new.status;
    END
    """,
    """
    CREATE TRIGGER job_went AFTER DELETE ON jobs BEGIN
        UPDATE tally SET jobs = jobs - 1, bytes = bytes - old.size WHERE status = old.status;
    END
    """,
)

HANDED = (
    "ALTER TABLE jobs ADD COLUMN handed_fence INTEGER NOT NULL DEFAULT -1",
    "ALTER TABLE jobs ADD COLUMN handed_again REAL NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN handed_pause REAL NOT NULL DEFAULT 0",
)
"""That a job was given to what carries it to a worker (``Handed``)."""

BEGUN = ("ALTER TABLE jobs ADD COLUMN begun INTEGER NOT NULL DEFAULT 1",)
"""Whether the worker that has a job has begun it: of one that crashed before only when it was handed over."""

OUTLIVED = ("ALTER TABLE jobs ADD COLUMN outlived INTEGER NOT NULL DEFAULT 0",)
"""How many of its crashes a job had when it last kept something new."""

BEGIN_BY = (
    "ALTER TABLE jobs ADD COLUMN begin_by REAL",
    "CREATE INDEX in_time ON jobs (begin_by) WHERE begin_by IS NOT NULL",
)
"""When a job that nobody has claimed is not begun any more."""

FILES = ("CREATE INDEX payload_files ON payloads (file) WHERE file IS NOT NULL",)
"""Whoever opens the database looks for files that no row names, and all others wait meanwhile."""

MIGRATIONS: tuple[Sequence[str], ...] = (FIRST, HANDED, BEGUN, OUTLIVED, BEGIN_BY, FILES)
"""What makes each version (``PRAGMA user_version``) of the one before; version 0 is an empty file."""


def version_of(connection: sqlite3.Connection, newest: int = len(MIGRATIONS)) -> int:
    """Of the database; 0 is an empty one.

    Raises:
        StoreError: It was made by a later version than ``newest``, or is another program's.
    """
    version = _read(connection, "PRAGMA user_version")
    tables = _read(connection, "SELECT count(*) FROM sqlite_master")
    if tables and _read(connection, "PRAGMA application_id") != APPLICATION:
        raise StoreError("the database of jobs is another program's; give jobs a file of their own")
    if version > newest:
        raise StoreError(
            f"the database of jobs was made by a later version of pipemount (schema {version}, this one knows "
            f"{newest}); install that version, or restore a back-up that was made before"
        )
    return version


def migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring the database to this version, each step in a transaction of its own. Nobody else writes meanwhile."""
    for number in range(version_of(connection, len(migrations)), len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in migrations[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _read(connection: sqlite3.Connection, statement: str) -> int:
    [found] = connection.execute(statement).fetchone()
    return int(found)
