"""``jobs resume``, of an app without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.stores import Database, Kept

import pipemount.client
from pipemount import PipelineApp, Settings, StepContext, pipeline, step
from pipemount.client import Client

from .conftest import Pipemount

URL = "http://shop"


@step
async def ask(topic: str, context: StepContext) -> str:
    return f"{topic}: {context.suspend('which colour?', str)}"


@pipeline
def painting(topic: str) -> Any:
    return ask(topic)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[PipelineApp]:
    """An app at ``URL`` for every client that a command makes."""
    app = PipelineApp(painting, jobs=Kept(Database(Settings())), settings=Settings(cleanup_timeout=0.2))
    with app.client_sync() as http:

        def made(url: str, *args: Any, **options: Any) -> Client[..., Any]:
            return Client(url, *args, http=http, **options)

        monkeypatch.setattr(pipemount.client, "Client", made)
        yield app
    app.lifecycle.close()


def has(pipemount: Pipemount, job_id: str, status: str) -> Any:
    while (found := json.loads(pipemount("jobs", "show", URL, job_id, "--json").stdout))["status"] != status:
        pass
    return found


def suspended(pipemount: Pipemount) -> str:
    job_id: str = pipemount("submit", URL, "--params", '{"topic": "door"}').stdout.strip()
    has(pipemount, job_id, "suspended")
    return job_id


@pytest.mark.parametrize("source", ["inline", "file"])
def test_a_job_is_answered(app: PipelineApp, pipemount: Pipemount, tmp_path: Path, source: str) -> None:
    job_id, answer = suspended(pipemount), '"red"'
    if source == "file":
        (tmp_path / "answer.json").write_text(answer)
        answer = f"@{tmp_path / 'answer.json'}"
    assert [job["job_id"] for job in json.loads(listed(pipemount))] == [job_id]
    done = pipemount("jobs", "resume", URL, job_id, answer)
    assert (done.exit_code, done.stdout.strip() in ("queued", "running", "succeeded")) == (0, True)
    assert has(pipemount, job_id, "succeeded")["outputs"] == {"output": "door: red"}
    late = pipemount("jobs", "resume", URL, job_id, answer)
    assert (late.exit_code, "asks nothing" in late.stderr) == (1, True)


def listed(pipemount: Pipemount) -> str:
    out: str = pipemount("jobs", "list", URL, "--status", "suspended", "--json").stdout
    return out


def test_an_answer_that_is_no_json_says_how_to_write_it(app: PipelineApp, pipemount: Pipemount, tmp_path: Path) -> None:
    job_id = suspended(pipemount)
    done = pipemount("jobs", "resume", URL, job_id, "red")
    assert done.exit_code == 3
    assert """a text is in quotation marks: '"red"'""" in done.stderr
    (tmp_path / "answer.txt").write_text("blue\n")
    done = pipemount("jobs", "resume", URL, job_id, f"@{tmp_path / 'answer.txt'}")
    assert """a text is in quotation marks: '"blue"'""" in done.stderr
    done = pipemount("jobs", "resume", URL, job_id, f"@{tmp_path / 'away'}")
    assert (done.exit_code, f"ANSWER @{tmp_path / 'away'}: " in done.stderr) == (2, True)
    quiet = pipemount("jobs", "resume", URL, job_id, '"red"', "--json")
    assert json.loads(quiet.stdout)["job_id"] == job_id
