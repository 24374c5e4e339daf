"""``submit``, ``jobs list|show|cancel|retry|logs`` and ``invoke --stream``, of an app without a network."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

import pipemount.client
from pipemount import PipelineApp, PipelineError, Settings, pipeline, step
from pipemount.cli.jobs import Status, line
from pipemount.cli.watching import watch_jobs
from pipemount.client import Client
from pipemount.jobs.models import STATUSES
from pipemount.runtime.events import Event

from .conftest import Pipemount

URL = "http://shop"
STARTED = "started"


@step
async def count(number: int) -> AsyncIterator[int]:
    if number > 100:
        raise PipelineError("too many", status=409)
    for each in range(number):
        yield each


@step
async def rest(seconds: float) -> None:
    await asyncio.sleep(seconds)


@pipeline
def counting(number: int, seconds: float = 0) -> Any:
    counted = count(number)
    rest(seconds, after=[counted])
    return counted


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[PipelineApp]:
    """An app at ``URL`` for every client that a command makes."""
    app = PipelineApp(counting, settings=settings)
    with app.client_sync() as http:

        def made(url: str, *args: Any, **options: Any) -> Client[..., Any]:
            return Client(url, *args, http=http, **options)

        monkeypatch.setattr(pipemount.client, "Client", made)
        monkeypatch.setenv("TZ", "UTC")
        yield app
    app.lifecycle.close()


@pytest.fixture
def submit(app: PipelineApp, pipemount: Pipemount) -> Callable[..., str]:
    def submitted(**parameters: Any) -> str:
        done = pipemount("submit", URL, "--params", json.dumps(parameters))
        assert done.exit_code == 0, done.output
        id: str = done.stdout.strip()
        assert done.stderr.strip() == f"queued; pipemount jobs logs -f {URL} {id}"
        return id

    return submitted


def test_submit_says_until_when_a_job_may_be_begun(app: PipelineApp, pipemount: Pipemount) -> None:
    done = pipemount("submit", URL, "--param", "number=1", "--expires", "60", "--quiet")
    assert app.get_sync(done.stdout.strip()).request.expires == 60
    refused = pipemount("submit", URL, "--param", "number=1", "--expires", "0")
    assert refused.exit_code != 0 and "--expires 0: must be above 0" in refused.stderr


def ended(pipemount: Pipemount, id: str) -> None:
    """Returns when the job has ended, which following it tells."""
    assert pipemount("jobs", "logs", "-f", URL, id).exit_code == 0


def test_a_job_is_submitted_and_told_of(pipemount: Pipemount, submit: Callable[..., str]) -> None:
    id = submit(number=2)
    ended(pipemount, id)
    told = pipemount("jobs", "show", URL, id)
    assert told.exit_code == 0
    assert id in told.stdout
    assert "succeeded" in told.stdout
    assert "[0, 1]" in told.stdout
    document = json.loads(pipemount("jobs", "show", URL, id, "--json").stdout)
    assert (document["job_id"], document["outputs"]) == (id, {"output": [0, 1]})


def test_a_failed_job_says_why(pipemount: Pipemount, submit: Callable[..., str]) -> None:
    id = submit(number=101)
    ended(pipemount, id)
    told = pipemount("jobs", "show", URL, id)
    assert "failed" in told.stdout
    assert told.stderr == "too many\n"


def test_submit_as_json_and_quiet(app: PipelineApp, pipemount: Pipemount) -> None:
    done = pipemount("submit", URL, "-p", "number=1", "--json", "--idempotency-key", "k")
    id = json.loads(done.stdout)["job_id"]
    again = pipemount("submit", URL, "-p", "number=1", "--quiet", "--idempotency-key", "k")
    assert (again.stdout, again.stderr) == (f"{id}\n", "")


def test_jobs_are_listed(pipemount: Pipemount, submit: Callable[..., str]) -> None:
    ids = [submit(number=1), submit(number=101), submit(number=1)]
    for id in ids:
        ended(pipemount, id)
    listed = pipemount("jobs", "list", URL)
    assert [row.split()[0] for row in listed.stdout.splitlines()[2:]] == ids[::-1]
    failed = pipemount("jobs", "list", URL, "--status", "failed", "--status", "running", "--json")
    assert [each["job_id"] for each in json.loads(failed.stdout)] == [ids[1]]
    assert len(json.loads(pipemount("jobs", "list", URL, "--limit", "2", "--json").stdout)) == 2


def test_the_short_url_of_a_pipeline_has_no_jobs_and_the_full_one_is_named(
    app: PipelineApp, pipemount: Pipemount
) -> None:
    full = f"{URL}/pipelines/counting"
    for short in (f"{URL}/counting", f"{URL}/counting/submit"):
        done = pipemount("submit", short, "-p", "number=1")
        id = done.stdout.strip()
        assert done.stderr == f"queued; pipemount jobs logs -f {full} {id}\n"
    for asked in (("jobs", "show", short, id), ("jobs", "list", f"{URL}/counting/")):
        lost = pipemount(*asked)
        assert (lost.exit_code, lost.stderr) == (2, f"error: {asked[2]} has no jobs below it; write {full}\n")
    assert pipemount("jobs", "logs", "-f", full, id).exit_code == 0
    for url in (URL, full):  # there are jobs, but not this one
        assert "no such job" in pipemount("jobs", "show", url, "nope").stderr


@pytest.mark.parametrize("settings", [Settings(paths={"/invoke": "/count", "/submit": "/later", "/jobs": "/tasks"})])
def test_an_app_with_paths_of_its_own(app: PipelineApp, pipemount: Pipemount, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = pipemount("invoke", URL, "-p", "number=1")
    assert lost.exit_code != 0
    moved = ("--path", "/invoke=/count", "--path", "/submit=/later", "--path", "/jobs=/tasks")
    assert "[0]" in pipemount("invoke", URL, "-p", "number=1", *moved).stdout
    id = pipemount("submit", URL, "-p", "number=1", "--quiet", *moved).stdout.strip()
    monkeypatch.setenv("PIPEMOUNT_PATHS", "/jobs=/tasks /submit=/later")
    ended(pipemount, id)
    assert "succeeded" in pipemount("jobs", "show", URL, id).stdout
    assert id in pipemount("jobs", "list", URL).stdout
    assert pipemount("jobs", "cancel", URL, id).exit_code == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [("/jobs", "--path /jobs: write USUAL=OWN"), ("/jobs=tasks", "each is a path that starts with '/'")],
)
def test_a_path_that_is_none(pipemount: Pipemount, given: str, told: str) -> None:
    refused = pipemount("jobs", "list", URL, "--path", given)
    assert refused.exit_code == 2
    assert told in refused.stderr


def test_every_status_may_be_asked_for() -> None:
    assert tuple(each.value for each in Status) == STATUSES


def test_a_job_is_cancelled(pipemount: Pipemount, submit: Callable[..., str]) -> None:
    id = submit(number=1, seconds=600)
    assert pipemount("jobs", "cancel", URL, id).stdout in ("cancelled\n", "cancelling\n")
    ended(pipemount, id)
    again = pipemount("jobs", "cancel", URL, id, "--json")
    assert json.loads(again.stdout)["status"] == "cancelled"
    waiting = submit(number=1)
    ended(pipemount, waiting)
    late = pipemount("jobs", "cancel", URL, waiting)
    assert late.exit_code == 1
    assert "cannot be cancelled any more" in late.stderr


def test_a_job_is_retried(pipemount: Pipemount, submit: Callable[..., str]) -> None:
    id = submit(number=101)
    ended(pipemount, id)
    done = pipemount("jobs", "retry", URL, id)
    again = done.stdout.strip()
    assert (done.exit_code, done.stderr.strip()) == (0, f"queued; pipemount jobs logs -f {URL} {again}")
    ended(pipemount, again)
    assert [job["status"] for job in json.loads(pipemount("jobs", "list", URL, "--json").stdout)] == ["failed"] * 2
    quiet = pipemount("jobs", "retry", URL, id, "--json")
    assert json.loads(quiet.stdout)["job_id"] not in (id, again)
    assert quiet.stderr == ""


def test_what_succeeded_is_not_retried(pipemount: Pipemount, submit: Callable[..., str]) -> None:
    id = submit(number=1)
    ended(pipemount, id)
    done = pipemount("jobs", "retry", URL, id)
    assert (done.exit_code, "has succeeded and cannot be retried" in done.stderr) == (1, True)


def test_jobs_are_watched_until_ctrl_c(
    app: PipelineApp, pipemount: Pipemount, submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    id = submit(number=1, seconds=600)
    looks: list[float] = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            assert pipemount("jobs", "cancel", URL, id).exit_code == 0
            ended(pipemount, id)
        if len(looks) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("pipemount.cli.jobs.watch_jobs", partial(watch_jobs, pause=pause))
    watched = pipemount("jobs", "list", URL, "--watch")
    assert (watched.exit_code, watched.stderr) == (130, "interrupted\n")
    told = [line.split()[:3] for line in watched.stdout.splitlines()]
    assert all(words[0::2] == [id, "counting"] for words in told)
    statuses = [words[1] for words in told]
    assert statuses in (["queued", "cancelled"], ["running", "cancelled"], ["queued", "running", "cancelled"])
    looks[:] = [0.0, 0.0, 0.0]
    [document] = map(json.loads, pipemount("jobs", "list", URL, "--watch", "--json").stdout.splitlines())
    assert (document["job_id"], document["status"]) == (id, "cancelled")


def test_logs_of_a_job_that_has_ended(pipemount: Pipemount, submit: Callable[..., str]) -> None:
    id = submit(number=2)
    followed = pipemount("jobs", "logs", "-f", URL, id)
    assert pipemount("jobs", "logs", URL, id).stdout == followed.stdout
    lines = followed.stdout.splitlines()
    assert [entry[20:].split()[:2] for entry in lines[:4]] == [
        ["1", "run_started"],
        ["2", "step_started"],
        ["3", "delta"],
        ["4", "delta"],
    ]
    behind = [
        json.loads(entry) for entry in pipemount("jobs", "logs", URL, id, "--after", "2", "--json").stdout.splitlines()
    ]
    assert [event["sequence"] for event in behind] == list(range(3, len(lines) + 1))
    assert behind[0]["data"] == {"value": 0}
    assert behind[-1]["data"]["outputs"] == {"output": [0, 1]}


def test_logs_of_a_job_that_runs_end_with_what_there_is(
    app: PipelineApp, pipemount: Pipemount, submit: Callable[..., str]
) -> None:
    id = submit(number=2, seconds=600)
    with contextlib.closing(pipemount_client().events(id)) as events:
        for event in events:
            if event.kind == "step_started" and event.step == "rest":
                break
    told = pipemount("jobs", "logs", URL, id)
    assert told.exit_code == 0
    assert "rest" in told.stdout.splitlines()[-1]
    assert pipemount("jobs", "logs", URL, id, "--after", "500").stdout == ""
    pipemount("jobs", "cancel", URL, id)


def pipemount_client() -> Client[..., Any]:
    """As commands make theirs."""
    return pipemount.client.Client(URL)


def test_a_job_that_is_not_there(app: PipelineApp, pipemount: Pipemount) -> None:
    done = pipemount("jobs", "logs", URL, "no-such-job")
    assert done.exit_code == 5
    assert done.stderr.startswith("error: Not found (404): ")


def test_invoke_with_its_steps(app: PipelineApp, pipemount: Pipemount) -> None:
    done = pipemount("invoke", URL, "-p", "number=2", "--stream")
    assert done.exit_code == 0, done.output
    assert "[0, 1]" in done.stdout
    *steps, last = done.stderr.splitlines()
    assert [entry.partition(":")[0] for entry in steps] == ["count", "rest"]
    assert last.startswith("run ")
    quiet = pipemount("invoke", URL, "-p", "number=2", "--stream", "--quiet", "--json")
    assert json.loads(quiet.stdout)["outputs"] == {"output": [0, 1]}
    assert quiet.stderr == ""


def test_invoke_with_its_steps_fails_as_it_does_without(app: PipelineApp, pipemount: Pipemount) -> None:
    told = [pipemount("invoke", URL, "-p", "number=101", "--quiet", *more) for more in ([], ["--stream"])]
    assert [done.exit_code for done in told] == [1, 1]
    assert all("(409): too many" in done.stderr for done in told)
    assert all("step: count" in done.stderr for done in told)


def test_ctrl_c_cancels_a_streamed_run(app: PipelineApp, pipemount: Pipemount, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(event: Event) -> None:
        if event.kind == "step_started" and event.step == "rest":
            raise KeyboardInterrupt

    monkeypatch.setattr("pipemount.cli.progress.tell", interrupted)
    done = pipemount("invoke", URL, "--params", '{"number": 1, "seconds": 600}', "--stream")
    [job] = json.loads(pipemount("jobs", "list", URL, "--json").stdout)
    hint = f"the server was asked to cancel the run: pipemount jobs show {URL} {job['job_id']}"
    assert (done.exit_code, done.stderr) == (130, f"{hint}\ninterrupted\n")
    ended(pipemount, job["job_id"])
    assert json.loads(pipemount("jobs", "show", URL, job["job_id"], "--json").stdout)["status"] == "cancelled"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("delta", 7, "r", 0.0, "a", 1, {"value": "x\n"}), 'delta          a: "x\\n"'),
        (Event("data", 7, "r", 0.0, None, None, {"value": 1}), "data           1"),
        (Event("step_started", 7, "r", 0.0, "a", 1), "step_started   a"),
        (Event("run_failed", 7, "r", 0.0, data={"error": "no", "step": None}), "run_failed     error=no"),
        (Event("log", 7, "r", 0.0, "a", 1, {"level": "info", "message": "b\x1b"}), "log            a: info: b\\u001b"),
        (Event("run_cancelled", 7, "r", 0.0), "run_cancelled"),
    ],
)
def test_an_event_on_a_line(event: Event, text: str) -> None:
    assert line(event)[20:] == f"   7 {text}"
