"""Our jobs in a PostgreSQL database."""

from __future__ import annotations

from queues import ours
from queues.body import POSTGRES

pipelines = ours.app(POSTGRES)
WORKERS = ours.workers("ours_postgres")


def Client() -> ours.Client:  # noqa: N802 - as in the other modules
    return ours.Client(pipelines)
