"""Django's tasks carry jobs to their workers; what is true of them stands in a database of the jobs' own.

::

    pipelines = PipelineApp(triage, jobs=DjangoTasks(store="postgresql://jobs@db.example/jobs"))

Nothing is said in the worker: a message says which job there is to do, and where the app is found. ``django.tasks`` is
used where Django has it (from 6.0 on), else the package ``django-tasks``.
"""

from .arrangement import DjangoTasks

__all__ = ["DjangoTasks"]
