"""The way to a backend of Django's tasks. Nothing of Django is imported before the app starts."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigurationError
from ..jobs.alone import Alone
from ..jobs.sending import Letter

__all__ = ["DjangoTasksCarrier"]

AT_ONCE = ("ImmediateBackend",)
"""Backends that perform a task in the thread that asks for it: that would be the one that sends."""


class DjangoTasksCarrier:
    """A backend of Django's tasks, as a ``Carrier``.

    Args:
        backend: Its alias in ``TASKS``.
        queue_name: Its queue for jobs that were given none.
        alone: Knows where the app is found.
    """

    def __init__(self, backend: str, queue_name: str, alone: Alone) -> None:
        self._backend, self._queue_name, self._alone = backend, queue_name, alone
        self.broker = f"the task backend {backend!r}"
        self._target = ""
        self._task: Any = None

    @property
    def passing(self) -> tuple[type[BaseException], ...]:
        from django.db import InterfaceError, OperationalError

        return (OperationalError, InterfaceError, OSError)

    def begin(self) -> None:
        """Raises ``ConfigurationError`` where jobs could not be carried."""
        from .performing import run_job

        target = self._alone.target
        if target is None:
            raise ConfigurationError("the workers cannot find this app: write DjangoTasks(target='module:name')")
        self._target, self._task = target, run_job.using(backend=self._backend, queue_name=self._queue_name)
        found = type(self._task.get_backend()).__name__
        if found in AT_ONCE:
            raise ConfigurationError(
                f"TASKS[{self._backend!r}] is an {found}, which has no workers: name one that has, as "
                "django_tasks_db.DatabaseBackend, or leave jobs to the app itself, jobs=Local(…)"
            )

    def send(self, letter: Letter) -> None:
        task = self._task if letter.queue is None else self._task.using(queue_name=letter.queue)
        task.enqueue(letter.job_id, letter.pipeline, self._target)

    def hang_up(self) -> None:
        from django.db import connections

        connections.close_all()  # those of this thread
