"""Engines that carry jobs, as far as tests know them: how a worker is started, how a message is sent or lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pipemount.testing.hosts.client import Client

__all__ = ["CELERY", "DJANGO_TASKS", "TASKIQ", "Engine"]


class Engine(Protocol):
    """What is different from one engine to the next."""

    app: str
    """What uvicorn serves."""

    ready: str
    """What a worker prints when it takes messages."""

    environment: Mapping[str, str]
    """Of web processes and workers."""

    def worker(self, number: int) -> Sequence[str]:
        """How one is started, behind ``python -m``; with its usual options, which others may follow."""
        ...

    def deliver(self, broker: str, web: Client, job_id: str, pipeline: str, times: int) -> None:
        """Send a message as the app would, again."""
        ...

    def flush(self, broker: str, web: Client) -> None:
        """Whatever nobody has taken is gone."""
        ...


class _Celery:
    app, ready = "tests.celery.app:pipelines", " ready."
    environment: Mapping[str, str] = {}

    def worker(self, number: int) -> Sequence[str]:
        quick = ["--without-mingle", "--without-gossip", "--loglevel", "INFO", f"--hostname=w{number}@localhost"]
        return ["celery", "-A", "tests.celery.app", "worker", *quick, "--concurrency", "2"]

    def deliver(self, broker: str, web: Client, job_id: str, pipeline: str, times: int) -> None:
        import celery

        app = celery.Celery("again", broker=broker, set_as_current=False)
        with app.connection_for_write() as connection:
            for _ in range(times):
                app.send_task("pipemount.run_job", (job_id, pipeline), task_id=job_id, connection=connection)

    def flush(self, broker: str, web: Client) -> None:
        import celery

        app = celery.Celery("flushing", broker=broker, set_as_current=False)
        with app.connection_for_write() as connection:
            app.amqp.queues["celery"](connection.default_channel).purge()


class _Taskiq:
    app, ready = "tests.taskiq.app:pipelines", "Listening started."
    environment: Mapping[str, str] = {}

    def worker(self, number: int) -> Sequence[str]:
        return ["taskiq", "worker", "tests.taskiq.app:broker", "--workers", "1"]

    def deliver(self, broker: str, web: Client, job_id: str, pipeline: str, times: int) -> None:
        asyncio.run(_kicked(broker, job_id, pipeline, times))

    def flush(self, broker: str, web: Client) -> None:
        import redis

        with redis.Redis.from_url(broker) as connection:
            connection.flushall()


async def _kicked(broker: str, job_id: str, pipeline: str, times: int) -> None:
    from taskiq.kicker import AsyncKicker
    from taskiq_redis import ListQueueBroker

    again = ListQueueBroker(broker)
    for _ in range(times):
        kicker: AsyncKicker[Any, Any] = AsyncKicker("pipemount.run_job", again, {})
        await kicker.with_task_id(job_id).kiq(job_id, pipeline)
    await again.shutdown()


class _DjangoTasks:
    app, ready = "tests.django_tasks.site.asgi:application", "Starting worker"
    environment: Mapping[str, str] = {"DJANGO_SETTINGS_MODULE": "tests.django_tasks.site.settings"}

    def worker(self, number: int) -> Sequence[str]:
        quick = ["--no-startup-delay", "--interval", "0.05", "--queue-name", "*"]
        return ["django", "db_worker", "--settings", "tests.django_tasks.site.settings", *quick]

    def deliver(self, broker: str, web: Client, job_id: str, pipeline: str, times: int) -> None:
        for _ in range(times):
            assert web.post(f"/again/{job_id}/{pipeline}", {}).status == 200

    def flush(self, broker: str, web: Client) -> None:
        assert web.post("/flush", {}).status == 200


CELERY, TASKIQ, DJANGO_TASKS = _Celery(), _Taskiq(), _DjangoTasks()
