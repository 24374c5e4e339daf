"""What is said of jobs that Taskiq carries, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.doubling import doubled

from pipemount import PipelineApp
from pipemount.errors import ConfigurationError

taskiq = pytest.importorskip("taskiq", reason="not installed: taskiq")

from pipemount.taskiq import Taskiq, install  # noqa: E402

STORE = "sqlite:///jobs.db"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Taskiq("redis://", store=STORE), "give your broker"),  # type: ignore[arg-type]  # refused
        (lambda: Taskiq(taskiq.InMemoryBroker(), store=STORE), "it has no workers"),
    ],
    ids=["broker", "memory"],
)
def test_what_cannot_be_is_refused_when_it_is_said(made: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        made()


class Noted(taskiq.AsyncBroker):  # type: ignore[misc, name-defined]  # it is imported where it is installed
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Any] = []
        self.both = asyncio.Event()

    async def kick(self, message: Any) -> None:
        self.sent.append(message)
        if len(self.sent) == 2:
            self.both.set()

    async def listen(self) -> Any:
        raise NotImplementedError
        yield


def test_a_second_app_is_refused_rather_than_performed_instead() -> None:
    broker = Noted()
    pipelines, second = (PipelineApp(doubled, jobs=Taskiq(broker, store=STORE)) for _ in range(2))
    install(broker, pipelines)
    install(broker, pipelines)
    with pytest.raises(ConfigurationError, match="has the jobs of another app already"):
        install(broker, second)


@pytest.mark.parametrize("startup", [True, False])
async def test_the_broker_starts_and_stops_with_the_app_unless_the_host_sees_to_it(
    tmp_path: Path, startup: bool
) -> None:
    told = []
    broker = Noted()
    broker.add_event_handler(taskiq.TaskiqEvents.CLIENT_STARTUP, lambda _: told.append("startup"))
    broker.add_event_handler(taskiq.TaskiqEvents.CLIENT_SHUTDOWN, lambda _: told.append("shutdown"))
    jobs = Taskiq(broker, store=f"sqlite:///{tmp_path}/jobs.db", startup=startup)
    pipelines = PipelineApp(doubled, jobs=jobs)
    async with pipelines.lifespan(pipelines):
        usual = await pipelines.submit(number=1)
        night = await pipelines.calling(queue="night").submit(number=2)
        await broker.both.wait()
    assert told == (["startup", "shutdown"] if startup else [])
    assert [message.task_id for message in broker.sent] == [usual.id, night.id]
    assert [message.labels.get("queue_name") for message in broker.sent] == [None, "night"]


async def test_a_worker_starts_the_pipelines_performs_what_comes_and_stops_them(tmp_path: Path) -> None:
    broker, told = Noted(), []
    jobs = Taskiq(broker, store=f"sqlite:///{tmp_path}/jobs.db")
    pipelines = PipelineApp(doubled, jobs=jobs, on_startup=[lambda: told.append("up")], on_shutdown=[told.clear])
    install(broker, pipelines)
    broker.is_worker_process = True
    await broker.startup()
    assert told == ["up"]
    job = await pipelines.submit(number=4)
    await broker.find_task("pipemount.run_job").original_func(job.id, "doubled")
    assert (await pipelines.get(job)).outputs == {"output": 8}
    await broker.shutdown()
    assert told == []


async def test_a_worker_whose_pipelines_do_not_start_says_so_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("no model")

    broker = Noted()
    pipelines = PipelineApp(doubled, jobs=Taskiq(broker, store=f"sqlite:///{tmp_path}/jobs.db"), on_startup=[fail])
    install(broker, pipelines)
    broker.is_worker_process = True
    await broker.startup()
    assert "the pipelines could not be started; jobs wait for another worker" in caplog.text
    await broker.find_task("pipemount.run_job").original_func("a-job", "doubled")
    assert "job a-job waits for another worker" in caplog.text
    await broker.shutdown()
