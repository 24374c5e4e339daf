"""The side of the worker: a task that performs jobs, and pipelines that start and stop with its processes."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from celery import signals
from celery.exceptions import WorkerShutdown

from ..errors import ConfigurationError, UnavailableError
from ..http.application import Application
from ..jobs.carried import is_first
from ..jobs.sending import RUN_JOB
from .runner import CeleryRunner

__all__ = ["install"]

logger = logging.getLogger("pipemount")

UNKNOWN_POOLS = ("gevent", "eventlet")
"""Pools whose threads are none: the pipelines' own loop has none to run in."""


def install(celery_app: Any, pipelines: Application) -> None:
    """Have Celery's workers perform the jobs of ``pipelines``. Where it is called nothing starts.

    ::

        celery_app = celery.Celery("shop", broker="redis://broker.example/0")
        pipelines = PipelineApp(train, jobs=Celery(celery_app, store="postgresql://jobs@db.example/jobs"))
        install(celery_app, pipelines)

    A worker that imports this (``celery -A shop worker``) starts the pipelines in each of its processes, and stops them
    when those end.

    Raises:
        ConfigurationError: The jobs of ``pipelines`` are not carried by this Celery application, or those of another
            app are.
    """
    runner = pipelines.runner
    if not isinstance(runner, CeleryRunner) or runner.carrier.app is not celery_app:
        raise ConfigurationError(
            "install(celery_app, pipelines): make the app with jobs=Celery(celery_app, store=…), of the same celery_app"
        )
    if not is_first(celery_app, pipelines):
        return
    worker = _Worker(pipelines, runner)
    # What Celery could do a second time, we do: its own retries, late acknowledgements and results are off.
    options = {"acks_late": False, "ignore_result": True, "max_retries": 0, "reject_on_worker_lost": False}
    celery_app.task(name=RUN_JOB, shared=False, **options)(worker.run_job)
    signals.celeryd_after_setup.connect(worker.look_at_pool, weak=False)
    signals.worker_process_init.connect(worker.begin, weak=False)
    signals.worker_process_shutdown.connect(worker.end, weak=False)
    signals.worker_ready.connect(worker.begin_here, weak=False)
    signals.worker_shutdown.connect(worker.end, weak=False)


class _Worker:
    """Pipelines in the processes of a worker. Everything here is called by Celery, in threads that may wait."""

    def __init__(self, pipelines: Application, runner: CeleryRunner) -> None:
        self._pipelines, self._runner = pipelines, runner
        self._forks = False

    def run_job(self, job_id: str, pipeline: str) -> None:
        """The task: perform this job to its end, if nobody has it."""
        self._runner.perform_from_thread(self._pipelines.lifecycle, job_id, pipeline)

    def look_at_pool(self, instance: Any, **_: Any) -> None:
        """The worker knows how it will work."""
        pool = str(getattr(instance.pool_cls, "__module__", instance.pool_cls))
        self._forks = pool.endswith("prefork")
        if any(name in pool for name in UNKNOWN_POOLS):
            logger.critical("pipelines need real threads: start the worker with --pool prefork, threads or solo")
            raise WorkerShutdown(1)

    def begin(self, **_: Any) -> None:
        """A process that performs tasks begins: the pipelines are started, and nobody waits for that here."""
        self._runner.takes, self._runner.may_end = True, self._forks
        with suppress(UnavailableError):  # it starts, or has failed: the log says so, and the next job tries again
            self._pipelines.lifecycle.home_for_thread(0.0)

    def begin_here(self, **_: Any) -> None:
        """The worker is up, and performs tasks itself if it does not fork."""
        if not self._forks:
            self.begin()

    def end(self, **_: Any) -> None:
        """The process ends."""
        self._pipelines.lifecycle.close()
