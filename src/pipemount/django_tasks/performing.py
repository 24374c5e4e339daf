"""The side of the worker: a task that performs jobs. Imported by Django's workers, and by the app when it starts."""

from __future__ import annotations

import logging
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ..http.application import Application
from ..jobs.inside import load
from .runner import DjangoTasksRunner

tasks: Any = import_module("django.tasks" if find_spec("django.tasks") is not None else "django_tasks")

__all__ = ["run_job"]

logger = logging.getLogger("pipemount")


def _anywhere() -> dict[str, Any]:
    """A backend and a queue that there are: a task has some when it is made, and others when it is sent."""
    aliases, usual = list(tasks.task_backends.settings), tasks.DEFAULT_TASK_BACKEND_ALIAS
    backend = usual if usual in aliases else aliases[0]
    queues, queue = tasks.task_backends[backend].queues, tasks.DEFAULT_TASK_QUEUE_NAME
    return {"backend": backend, "queue_name": queue if queue in queues or not queues else min(queues)}


@tasks.task(**_anywhere())  # type: ignore[untyped-decorator]  # it is either package's
def run_job(job_id: str, pipeline: str, target: str) -> None:
    """Perform this job of the app at ``target`` to its end, if nobody has it.

    The first one starts the pipelines in the worker's process; they stop when that ends.
    """
    app = load(target)
    runner = app.runner if isinstance(app, Application) else None
    if not isinstance(runner, DjangoTasksRunner):
        logger.error(
            "job %s: %s is no app whose jobs Django's tasks carry; it waits for another worker", job_id, target
        )
        return
    runner.perform_from_thread(app.lifecycle, job_id, pipeline)
