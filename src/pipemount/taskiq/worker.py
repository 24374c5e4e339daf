"""The side of the worker: a task that performs jobs, and pipelines that start and stop with its processes."""

from __future__ import annotations

import logging

from taskiq import AsyncBroker, TaskiqEvents, TaskiqState

from ..errors import ConfigurationError
from ..http.application import Application
from ..jobs.carried import is_first
from ..jobs.sending import RUN_JOB
from .runner import TaskiqRunner

__all__ = ["install"]

logger = logging.getLogger("pipemount")


def install(broker: AsyncBroker, pipelines: Application) -> None:
    """Have Taskiq's workers perform the jobs of ``pipelines``. Where it is called nothing starts.

    ::

        broker = ListQueueBroker("redis://broker.example/0")
        pipelines = PipelineApp(train, jobs=Taskiq(broker, store="postgresql://jobs@db.example/jobs"))
        install(broker, pipelines)

    A worker that imports this (``taskiq worker shop:broker``) starts the pipelines in each of its processes, on the
    loop on which its tasks run, and stops them when it ends.

    Raises:
        ConfigurationError: The jobs of ``pipelines`` are not carried by this broker, or those of another app are.
    """
    runner = pipelines.runner
    if not isinstance(runner, TaskiqRunner) or runner.carrier.engine is not broker:
        raise ConfigurationError(
            "install(broker, pipelines): make the app with jobs=Taskiq(broker, store=…), of the same broker"
        )
    if not is_first(broker, pipelines):
        return
    worker = _Worker(pipelines, runner)

    async def run_job(job_id: str, pipeline: str) -> None:
        await runner.perform_when_ready(pipelines.lifecycle, job_id, pipeline)

    broker.register_task(run_job, RUN_JOB)
    broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, worker.begin)
    broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, worker.end)


class _Worker:
    """Pipelines in a process of a worker. Everything here is called by Taskiq, on its loop."""

    def __init__(self, pipelines: Application, runner: TaskiqRunner) -> None:
        self._pipelines, self._runner = pipelines, runner

    async def begin(self, _: TaskiqState) -> None:
        """The process begins to take messages."""
        self._runner.takes = True
        try:
            await self._pipelines.lifecycle.startup()
        except Exception:  # a worker that ended would only be started again: the next job tries again
            logger.exception("the pipelines could not be started; jobs wait for another worker")

    async def end(self, _: TaskiqState) -> None:
        """The process ends."""
        await self._pipelines.lifecycle.shutdown()
