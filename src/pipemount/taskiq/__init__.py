"""Taskiq carries jobs to its workers; what is true of them stands in the app's own database.

::

    pipelines = PipelineApp(train, jobs=Taskiq(broker, store="postgresql://jobs@db.example/jobs"))
    install(broker, pipelines)  # where the worker finds it

A message says which job there is to do, and no more, as with Celery.
"""

from .arrangement import Taskiq
from .worker import install

__all__ = ["Taskiq", "install"]
