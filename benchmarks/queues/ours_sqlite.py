"""Our jobs in an SQLite file."""

from __future__ import annotations

from queues import ours
from queues.body import FOLDER

pipelines = ours.app(f"sqlite:///{FOLDER}/jobs.db")
WORKERS = ours.workers("ours_sqlite")


def Client() -> ours.Client:  # noqa: N802 - as in the other modules
    return ours.Client(pipelines)
