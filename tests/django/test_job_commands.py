"""``manage.py pipemount_jobs``: jobs of a project from a process that does not serve it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.urls import include, path
from tests.django.site.pipelines import waiting, weather
from tests.support.endings import until_ended

from pipemount import Local, PipelineApp, PipelineError, Settings, StepContext, acting_as, pipeline, step
from pipemount.jobs.models import Job

STARTED: list[str] = []


@step
def refuse() -> str:
    raise PipelineError("not today", status=418)


@pipeline(on_init=lambda: STARTED.append("refusing"))
def refusing() -> Any:
    return refuse()


@step
def ask(context: StepContext) -> str:
    return context.suspend("which colour?", str)


@pipeline
def asking() -> Any:
    return ask()


ALL = {"weather": weather, "waiting": waiting, "refusing": refusing, "asking": asking}


def manage(*words: str) -> str:
    out = StringIO()
    call_command("pipemount_jobs", *words, stdout=out)
    return out.getvalue()


def mount(monkeypatch: pytest.MonkeyPatch, settings: Any, **apps: PipelineApp) -> None:
    patterns = [path(f"{name}/", include(app.django_urls(name=name))) for name, app in apps.items()]
    monkeypatch.setitem(sys.modules, "urls_of_a_test", SimpleNamespace(urlpatterns=patterns))
    settings.ROOT_URLCONF = "urls_of_a_test"


@pytest.fixture
def kept(tmp_path: Path) -> Local:
    return Local(f"sqlite:///{tmp_path / 'jobs.db'}")


@pytest.fixture
def server(kept: Local) -> Iterator[PipelineApp]:
    """The app as another process has it: what it does is seen in the database only."""
    app = PipelineApp(ALL, jobs=kept, settings=Settings(cleanup_timeout=0.1))
    yield app
    app.lifecycle.close()


@pytest.fixture
def here(kept: Local, settings: Any, monkeypatch: pytest.MonkeyPatch) -> PipelineApp:
    """The app as the project has it that the command is of: never started."""
    app = PipelineApp(ALL, jobs=kept, settings=Settings(cleanup_timeout=0.1))
    mount(monkeypatch, settings, ai=app)
    return app


def begun(app: PipelineApp, job: Job) -> None:
    for event in app.events_sync(job):
        if event.kind == "step_started":
            return


def test_jobs_are_listed_and_shown(server: PipelineApp, here: PipelineApp) -> None:
    with acting_as("eve", source="django"):
        done = until_ended(server, server.submit_sync("weather", city="Oslo"))
    failed = until_ended(server, server.submit_sync("refusing"))
    STARTED.clear()
    head, *rows = manage("list").splitlines()
    assert head.split() == ["job", "status", "pipeline", "created", "seconds", "owner"]
    assert [row.split()[:3] for row in rows] == [[failed.id, "failed", "refusing"], [done.id, "succeeded", "weather"]]
    assert rows[1].endswith("django:eve")
    assert [each["job_id"] for each in json.loads(manage("list", "--status", "failed", "--json"))] == [failed.id]
    assert len(manage("list", "--pipeline", "weather").splitlines()) == 2
    assert manage("list", "--limit", "1", "--app", "ai").splitlines()[1].startswith(failed.id)
    told = manage("show", done.id)
    assert "Oslo is 3.0 degrees" in told
    assert json.loads(manage("show", failed.id, "--json"))["error"]["detail"] == "not today"
    assert (STARTED, here.lifecycle.ready) == ([], False)


def test_a_job_of_another_process_is_cancelled_and_retried(server: PipelineApp, here: PipelineApp) -> None:
    job = server.submit_sync("waiting", seconds=600)
    begun(server, job)
    assert manage("cancel", job.id) in ("cancelling\n", "cancelled\n")
    assert until_ended(server, job).reason == "cancelled on request"
    again = server.get_sync(manage("retry", job.id).strip())
    begun(server, again)  # by who serves; nothing is performed where the command runs
    assert (again.parameters, here.lifecycle.ready) == ({"seconds": 600.0}, False)
    with pytest.raises(CommandError, match="cancel it, and retry it when it has ended"):
        manage("retry", again.id)
    server.cancel_sync(again)


def test_a_job_that_asks_is_answered(server: PipelineApp, here: PipelineApp) -> None:
    job = server.submit_sync("asking")
    while server.get_sync(job).status != "suspended":
        pass
    assert json.loads(manage("show", job.id, "--json"))["question"]["reason"] == "which colour?"
    with pytest.raises(CommandError, match="the answer is not JSON"):
        manage("resume", job.id, "red")
    assert manage("resume", job.id, '"red"').strip() in ("queued", "running", "succeeded")
    assert until_ended(server, job).outputs == {"output": "red"}
    with pytest.raises(CommandError, match="asks nothing"):
        manage("resume", job.id, "1")


def test_logs(server: PipelineApp, here: PipelineApp) -> None:
    done = until_ended(server, server.submit_sync("weather", city="Oslo"))
    lines = manage("logs", done.id).splitlines()
    assert [line.split()[2:4] for line in lines[:2]] == [["1", "run_started"], ["2", "step_started"]]
    assert manage("logs", "-f", done.id).splitlines() == lines
    events = [json.loads(line) for line in manage("logs", "--json", "--after", "2", done.id).splitlines()]
    assert [event["sequence"] for event in events] == list(range(3, len(lines) + 1))
    assert manage("logs", "--after", str(2**64), done.id) == manage("logs", "-f", "--after", str(2**64), done.id) == ""
    job = server.submit_sync("waiting", seconds=600)
    begun(server, job)
    assert manage("logs", job.id).splitlines()[-1].endswith("step_started   wait")
    server.cancel_sync(job)
    assert "run_cancelled" in manage("logs", "-f", job.id).splitlines()[-1]


@pytest.mark.usefixtures("here")
def test_nobody_reads_on() -> None:
    """As behind ``| head``: the command ends without a traceback, also when the interpreter flushes at its end."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as out:  # noqa: PTH123 - a descriptor, which has no path
        with pytest.raises(SystemExit, match="1"):
            call_command("pipemount_jobs", "list", stdout=out)
        out.write("what was still to be written")


def test_what_is_not_there(here: PipelineApp, settings: Any) -> None:
    for words in (("show", "nothing"), ("cancel", "nothing"), ("retry", "nothing"), ("logs", "nothing")):
        with pytest.raises(CommandError, match="no such job"):
            manage(*words)
    for limit in ("0", "-1", str(2**64)):
        with pytest.raises(CommandError, match="limit: Input should be a number from 1 on"):
            manage("list", "--limit", limit)
    with pytest.raises(CommandError, match="--app other: mounted here: ai"):
        manage("list", "--app", "other")
    settings.ROOT_URLCONF = None
    with pytest.raises(CommandError, match="no pipelines are mounted"):
        manage("list")


def test_an_app_whose_store_is_away_hides_no_job_of_another(
    server: PipelineApp, kept: Local, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = until_ended(server, server.submit_sync("refusing"))
    (tmp_path / "broken.db").write_text("no database, " * 100)
    broken = PipelineApp({"weather": weather}, jobs=Local(f"sqlite:///{tmp_path / 'broken.db'}"))
    mount(monkeypatch, settings, broken=broken, kept=PipelineApp(ALL, jobs=kept))
    assert job.id in manage("show", job.id)
    assert "run_failed" in manage("logs", job.id)
    again = manage("retry", job.id).strip()
    with pytest.raises(CommandError, match="has failed"):
        manage("cancel", until_ended(server, server.get_sync(again)).id)
    for words in (("show", "nothing"), ("list",)):
        with pytest.raises(CommandError, match="the database of jobs is broken"):
            manage(*words)
    assert job.id in manage("list", "--app", "kept")


def test_jobs_in_memory_are_out_of_reach_unless_they_are_here(
    server: PipelineApp, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetful = PipelineApp(weather, settings=Settings(cleanup_timeout=0.1))
    mount(monkeypatch, settings, ai=forgetful)
    with pytest.raises(CommandError, match="in the memory of the processes that serve them"):
        manage("list")
    job = until_ended(forgetful, forgetful.submit_sync())
    assert job.id in manage("list")
    assert "run_completed" in manage("logs", "-f", job.id)
    forgetful.lifecycle.close()
    other = until_ended(server, server.submit_sync("weather"))
    mount(monkeypatch, settings, ai=forgetful, kept=server)
    assert [line.split()[0] for line in manage("list").splitlines()[1:]] == [other.id]
    assert other.id in manage("show", other.id)


def test_ctrl_c_ends_the_command_and_not_the_job(
    server: PipelineApp, here: PipelineApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = server.submit_sync("waiting", seconds=600)

    def interrupted(*args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipemount.django.management.commands.pipemount_jobs.reached", interrupted)
    with pytest.raises(CommandError, match="the job goes on") as ended:
        manage("logs", "-f", job.id)
    assert ended.value.returncode == 130
    assert server.cancel_sync(job).cancel_requested
