"""Who takes part in the benchmark of jobs: one small module each, which exposes ``WORKERS`` and ``Client``.

``WORKERS`` are the commands of two worker processes, without the interpreter; ``Client`` submits, as the library's
documentation shows. A job does what ``body.py`` does and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["QUEUES", "Queue"]


@dataclass(frozen=True, slots=True)
class Queue:
    """One row of the table.

    Attributes:
        name: Its module in this package.
        title: What the table calls it.
        keeps: Where its jobs are, and whether each is on the disk before it counts as accepted.
        distribution: Whose version is told.
        peer: The requirements file of its own virtual environment, without the suffix; empty for this one.
        needs: The service that it needs: ``postgres``, ``valkey`` or none.
    """

    name: str
    title: str
    keeps: str
    distribution: str
    peer: str = ""
    needs: str = ""


QUEUES = (
    Queue("ours_sqlite", "pipemount, SQLite", "SQLite, synced", "pipemount"),
    Queue("ours_postgres", "pipemount, PostgreSQL", "PostgreSQL, synced", "pipemount", needs="postgres"),
    Queue("celery", "Celery", "Valkey, synced each second", "celery", "celery", "valkey"),
    Queue("dramatiq", "Dramatiq", "Valkey, synced each second", "dramatiq", "dramatiq", "valkey"),
    Queue("rq", "RQ", "Valkey, synced each second", "rq", "rq", "valkey"),
    Queue("huey", "Huey", "SQLite, synced", "huey", "huey"),
    Queue("procrastinate", "Procrastinate", "PostgreSQL, synced", "procrastinate", "procrastinate", "postgres"),
    Queue("dbos", "DBOS", "PostgreSQL, synced", "dbos", "dbos", "postgres"),
)
