"""What is said of jobs that Celery carries, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.doubling import doubled

from pipemount import PipelineApp
from pipemount.errors import ConfigurationError
from pipemount.jobs.carried import UNTIL_STARTED
from pipemount.jobs.sending import Letter

celery = pytest.importorskip("celery", reason="not installed: celery")

from pipemount.celery import Celery, install  # noqa: E402
from pipemount.celery.carrier import CeleryCarrier  # noqa: E402

STORE = "sqlite:///jobs.db"


@pytest.fixture
def app() -> Any:
    return celery.Celery("shop", broker="memory://", set_as_current=False)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda app: Celery("shop", store=STORE), "give your Celery application"),
        (lambda app: Celery(app, store=STORE, grace=0), "grace=0"),
        (lambda app: Celery(app, store=STORE, grace=app), "grace=.*must be above 0"),
        (lambda app: Celery(app, store=STORE, resend_after=app), "resend_after=.*must be above 0"),
    ],
    ids=["app", "grace", "no number of grace", "no number of resend_after"],
)
def test_what_cannot_be_is_refused_when_it_is_said(app: Any, made: Callable[[Any], object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        made(app)


def test_a_second_app_is_refused_rather_than_never_performed(app: Any) -> None:
    pipelines, second = (PipelineApp(doubled, jobs=Celery(app, store=STORE)) for _ in range(2))
    install(app, pipelines)
    install(app, pipelines)  # as a module does that is imported twice
    with pytest.raises(ConfigurationError, match="has the jobs of another app already"):
        install(app, second)


def test_what_celery_could_do_a_second_time_is_off_whatever_its_settings_say(app: Any) -> None:
    app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, task_ignore_result=False)
    install(app, PipelineApp(doubled, jobs=Celery(app, store=STORE)))
    task = app.tasks["pipemount.run_job"]
    found = (task.acks_late, task.reject_on_worker_lost, task.ignore_result, task.max_retries)
    assert found == (False, False, True, 0)


def test_the_time_that_a_process_may_take_to_begin_is_not_the_jobs(app: Any) -> None:
    sent: list[Any] = []
    app.send_task = lambda name, **options: sent.append(options)
    CeleryCarrier(app, grace=3.0).send(Letter("id", "doubled", None, 2.0))
    CeleryCarrier(app, grace=None).send(Letter("id", "doubled", None, 2.0))
    assert [options["time_limit"] for options in sent] == [UNTIL_STARTED + 5.0, None]
