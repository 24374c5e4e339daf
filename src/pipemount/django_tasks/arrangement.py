"""Jobs in a database, carried by Django's tasks, as an app's author says it."""

from __future__ import annotations

from dataclasses import dataclass

from ..jobs.alone import Alone
from ..jobs.carried import Carried
from .carrier import DjangoTasksCarrier
from .runner import DjangoTasksRunner

__all__ = ["DjangoTasks"]


@dataclass(frozen=True, kw_only=True, eq=False)
class DjangoTasks(Carried):
    """Jobs in a database, carried to workers by Django's tasks.

    ::

        PipelineApp(triage, jobs=DjangoTasks(store="postgresql://jobs@db.example/jobs"))

    Attributes:
        store, resend_after, target, values: As of ``Carried``. The store is no database of the project's own tables;
            by ``target`` the workers find the app.
        backend: The alias of the backend in ``TASKS`` that carries them; it must have workers.
        queue_name: Its queue for jobs that were given none. Others go to the queue of their name.
    """

    backend: str = "default"
    queue_name: str = "default"

    runner = DjangoTasksRunner

    def make_carrier(self, alone: Alone) -> DjangoTasksCarrier:
        """The backend; nothing is opened yet."""
        return DjangoTasksCarrier(self.backend, self.queue_name, alone)
