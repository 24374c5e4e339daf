"""Celery carries jobs to its workers; what is true of them stands in the app's own database.

::

    pipelines = PipelineApp(train, jobs=Celery(celery_app, store="postgresql://jobs@db.example/jobs"))
    install(celery_app, pipelines)  # where the worker finds it

A message says which job there is to do, and no more. Whoever gets it claims the job in the database first: what comes
twice is dropped, and what is lost on the way is sent again.
"""

from .arrangement import Celery
from .worker import install

__all__ = ["Celery", "install"]
