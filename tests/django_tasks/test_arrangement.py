"""What is said of jobs that Django's tasks carry, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.support.doubling import doubled
from tests.support.servers import wait_until

pytest.importorskip("django_tasks_db", reason="not installed: django-tasks-db")

import tests.django.prepared  # noqa: F401  # before what needs it
from django.db import OperationalError
from django.test import override_settings

from pipemount import PipelineApp
from pipemount.django_tasks import DjangoTasks
from pipemount.django_tasks.performing import run_job, tasks
from pipemount.errors import ConfigurationError

HERE = "shop.web:pipelines"
DUMMY = f"{tasks.__name__}.backends.dummy.DummyBackend"


@pytest.fixture
def sent() -> Iterator[list[Any]]:
    """With two backends; what either is given, in whatever thread: each has backends of its own."""
    found: list[Any] = []

    def note(task_result: Any, **_: Any) -> None:
        found.append(task_result)

    queues = ["default", "pipelines", "night"]
    enqueued = import_module(f"{tasks.__name__}.signals").task_enqueued
    enqueued.connect(note)
    with override_settings(TASKS={"jobs": {"BACKEND": DUMMY, "QUEUES": queues}, "default": {"BACKEND": DUMMY}}):
        yield found
    enqueued.disconnect(note)


def app(folder: Path, **options: Any) -> PipelineApp:
    return PipelineApp(doubled, jobs=DjangoTasks(store=f"sqlite:///{folder}/jobs.db", **options))


async def test_a_backend_without_workers_is_refused_when_the_app_starts(tmp_path: Path) -> None:
    pipelines = app(tmp_path, target=HERE)  # TASKS is not set, which means an ImmediateBackend
    with pytest.raises(ConfigurationError, match="is an ImmediateBackend, which has no workers"):
        async with pipelines.lifespan(pipelines):
            raise AssertionError("it has started")


async def test_an_app_that_workers_cannot_find_is_refused_when_it_starts(tmp_path: Path, sent: list[Any]) -> None:
    pipelines = app(tmp_path, backend="jobs")
    with pytest.raises(ConfigurationError, match=r"write DjangoTasks\(target='module:name'\)"):
        async with pipelines.lifespan(pipelines):
            raise AssertionError("it has started")


async def test_jobs_go_to_the_backend_and_the_queue_that_were_named_or_to_their_own(
    tmp_path: Path, sent: list[Any]
) -> None:
    pipelines = app(tmp_path, backend="jobs", queue_name="pipelines", target=HERE)
    async with pipelines.lifespan(pipelines):
        usual = await pipelines.submit(number=1)
        night = await pipelines.calling(queue="night").submit(number=2)
    found = [(result.backend, result.args, result.task.queue_name) for result in sent]
    assert found == [
        ("jobs", [usual.id, "doubled", HERE], "pipelines"),
        ("jobs", [night.id, "doubled", HERE], "night"),
    ]


async def test_a_queue_that_the_backend_does_not_have_is_told_of_and_holds_up_no_other(
    tmp_path: Path, sent: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    pipelines = app(tmp_path, backend="jobs", queue_name="pipelines", target=HERE)
    async with pipelines.lifespan(pipelines):
        unknown = await pipelines.calling(queue="unknown").submit(number=1)
        known = await pipelines.submit(number=2)
    assert f"job {unknown.id} could not be given to the task backend 'jobs'" in caplog.text
    assert [result.args[0] for result in sent] == [known.id]


async def test_jobs_are_accepted_while_the_tables_of_messages_cannot_be_reached(
    tmp_path: Path, sent: list[Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, away = type(tasks.task_backends["jobs"]), [True]
    enqueue = kind.enqueue

    def enqueue_or_not(*arguments: Any) -> Any:
        if away[0]:
            raise OperationalError("no way there")
        return enqueue(*arguments)

    monkeypatch.setattr(kind, "enqueue", enqueue_or_not)
    pipelines = app(tmp_path, backend="jobs", queue_name="pipelines", target=HERE)
    async with pipelines.lifespan(pipelines):
        job = await pipelines.submit(number=1)
        told = "the task backend 'jobs' cannot be reached; jobs wait in the database: no way there"
        await asyncio.to_thread(wait_until, lambda: told in caplog.text)
        away[0] = False
        await asyncio.to_thread(wait_until, lambda: "can be reached again" in caplog.text)
    assert [result.args[0] for result in sent] == [job.id]


def test_a_message_for_what_is_no_such_app_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    run_job.func("a-job", "doubled", f"{__name__}:doubled")
    assert "is no app whose jobs Django's tasks carry; it waits for another worker" in caplog.text
