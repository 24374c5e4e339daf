"""What is said of jobs that an engine carries, and what is refused, whichever engine it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.testclient import TestClient
from tests.support.doubling import doubled
from tests.support.servers import free_port, wait_until

from pipemount import Local, PipelineApp
from pipemount.errors import ConfigurationError
from pipemount.jobs.carried import Carried, CarriedRunner

STORE = "sqlite:///jobs.db"


class Engine(NamedTuple):
    """An engine whose broker cannot be reached.

    Attributes:
        jobs: Has it carry them.
        others: Has another one of its kind do so.
        install: Has its workers perform the jobs of an app.
        carries: What ``take`` says.
        broker: What it is called in the log.
    """

    jobs: Callable[..., Carried]
    others: Callable[..., Carried]
    install: Callable[[PipelineApp], None]
    carries: str
    broker: str


def celery() -> Engine:
    celery = pytest.importorskip("celery", reason="not installed: celery")
    from pipemount.celery import Celery, install

    app, other = (
        celery.Celery("away", broker=f"redis://127.0.0.1:{port}/0", set_as_current=False) for port in (free_port(), 1)
    )
    told = "start a worker of Celery, celery -A"
    return Engine(partial(Celery, app), partial(Celery, other), partial(install, app), told, "Celery's broker")


def taskiq() -> Engine:
    taskiq_redis = pytest.importorskip("taskiq_redis", reason="not installed: taskiq-redis")
    from pipemount.taskiq import Taskiq, install

    broker, other = (taskiq_redis.ListQueueBroker(f"redis://127.0.0.1:{port}/0") for port in (free_port(), 1))
    told = "start a worker of Taskiq, taskiq worker"
    return Engine(partial(Taskiq, broker), partial(Taskiq, other), partial(install, broker), told, "Taskiq's broker")


def django_tasks() -> Engine:
    from pipemount.django_tasks import DjangoTasks

    def install(app: PipelineApp) -> None:
        raise NotImplementedError("nothing is said in the worker")

    told = r"start a worker of theirs, manage.py db_worker"
    return Engine(DjangoTasks, DjangoTasks, install, told, "the task backend 'default'")


@pytest.fixture(params=[celery, taskiq, django_tasks], ids=lambda engine: engine.__name__)
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.param()
    return found


with_a_broker = pytest.mark.parametrize("engine", [celery, taskiq], indirect=True, ids=lambda made: made.__name__)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"store": "redis://localhost"}, r"\(store='redis:…'\): sqlite:/// or postgresql://"),
        ({"store": "mysql://jobs:secret@db/jobs"}, r"\(store='mysql:…'\)"),
        ({"store": STORE, "resend_after": 0}, r"\(resend_after=0\): must be above 0"),
        ({"store": STORE, "target": "shop"}, r"\(target='shop'\): write module:name"),
        ({"store": STORE, "values": "shop"}, r"\(values='shop'\): write an address"),
    ],
    ids=["store", "password", "resend_after", "target", "values"],
)
def test_what_cannot_be_is_refused_when_it_is_said(engine: Engine, options: Any, message: str) -> None:
    name = type(engine.jobs(store=STORE)).__name__
    with pytest.raises(ConfigurationError, match=f"^{name}{message}"):
        engine.jobs(**options)


def test_a_password_is_not_told(engine: Engine) -> None:
    assert "secret" not in repr(engine.jobs(store="postgresql://jobs:secret@db/jobs", values="s3://key:secret@values"))


def test_only_workers_of_the_engine_perform_what_it_carries(engine: Engine) -> None:
    pipelines = PipelineApp(doubled, jobs=engine.jobs(store=STORE))
    with pytest.raises(ConfigurationError, match=engine.carries):
        pipelines.runner.take(concurrency=2)


@with_a_broker
def test_a_worker_is_installed_only_for_jobs_that_its_broker_carries(engine: Engine) -> None:
    for jobs in (None, Local(STORE), engine.others(store=STORE)):
        with pytest.raises(ConfigurationError, match=r"of the same (celery_app|broker)"):
            engine.install(PipelineApp(doubled, jobs=jobs))
    engine.install(PipelineApp(doubled, jobs=engine.jobs(store=STORE)))


@with_a_broker
def test_jobs_are_accepted_while_the_broker_cannot_be_reached(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipelines = PipelineApp(doubled, jobs=engine.jobs(store=f"sqlite:///{tmp_path}/jobs.db"))
    with TestClient(pipelines) as client:
        jobs = [client.post("/submit", json={"parameters": {"number": number}}) for number in range(3)]
        assert [reply.status_code for reply in jobs] == [202] * 3
        wait_until(lambda: f"{engine.broker} cannot be reached; jobs wait in the database" in caplog.text)
        assert client.get("/health/ready").status_code == 200
        assert {client.get(reply.json()["poll_url"]).json()["status"] for reply in jobs} == {"queued"}
    assert caplog.text.count("cannot be reached") == 1, "not at each attempt"


@with_a_broker
def test_a_worker_without_the_pipeline_says_so_and_leaves_the_job_to_another(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = engine.jobs(store=f"sqlite:///{tmp_path}/jobs.db")
    submitting, other = PipelineApp({"doubled": doubled}, jobs=jobs), PipelineApp({"another": doubled}, jobs=jobs)
    with TestClient(submitting) as client, TestClient(other):
        job_id = client.post("/pipelines/doubled/submit", json={"parameters": {"number": 1}}).json()["job_id"]
        assert isinstance(other.runner, CarriedRunner)
        other.runner.perform_from_thread(other.lifecycle, job_id, "doubled")
        told = "a job of the pipeline 'doubled' came to a worker that does not have it (it has: another)"
        assert told in caplog.text
        assert client.get(f"/jobs/{job_id}").json()["status"] == "queued"
