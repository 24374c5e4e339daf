"""Commands against real servers: in a pipe and on a terminal, to their end and to Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from tests.servers.counting_flask import KEY
from tests.support.servers import free_port, serve, wait_until

from pipemount.client import Client

from .conftest import COMMAND, Pipemount

pytestmark = pytest.mark.server

SERVERS = {
    "uvicorn": (["uvicorn", "tests.servers.counting:app", "--log-level", "warning", "--port", "{port}"], ""),
    "gunicorn with Flask": (
        [
            *("gunicorn", "tests.servers.counting_flask:app", "--worker-class", "gthread", "--threads", "8"),
            *("--bind", "127.0.0.1:{port}", "--log-level", "warning"),
        ],
        "/shop/ai",
    ),
}
LONG = ("--params", '{"number": 100000, "pause": 0.01}')


class Served(NamedTuple):
    """Where the app is, and its pipeline that counts; and one who looks."""

    app: str
    pipeline: str
    client: Client[..., Any]

    def status(self, job_id: str) -> str:
        return self.client.job(job_id).status

    def youngest(self) -> str:
        return next((job.id for job in self.client.jobs()), "")


@pytest.fixture(params=SERVERS, scope="module")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    command, mount = SERVERS[request.param]
    with serve(command, folder=tmp_path_factory.mktemp("server")) as server:
        pipeline = f"{server.url}{mount}/pipelines/counting"
        with Client(pipeline, key=KEY) as client:
            yield Served(f"{server.url}{mount}", pipeline, client)


CTRL_C = ["uvicorn", pytest.param("gunicorn with Flask", marks=pytest.mark.full)]
on_uvicorn = pytest.mark.parametrize("served", ["uvicorn"], indirect=True, scope="module")


@pytest.fixture(autouse=True)
def key(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPEMOUNT_KEY", KEY)


def test_a_job_from_its_submission_to_its_end(served: Served, pipemount: Pipemount) -> None:
    done = pipemount("submit", served.pipeline, "--param", "number:=3", "--quiet")
    assert (done.exit_code, done.stderr) == (0, "")
    job_id = done.stdout.strip()
    told = pipemount("jobs", "logs", "-f", served.app, job_id)
    assert told.exit_code == 0
    kinds = ["run_started", "step_started", "delta", "delta", "delta", "step_completed", "run_completed"]
    assert [line.split()[3] for line in told.stdout.splitlines()] == kinds
    record = json.loads(pipemount("jobs", "show", served.app, job_id, "--json").stdout)
    assert (record["status"], record["outputs"]) == ("succeeded", {"output": [0, 1, 2]})
    assert record["poll_url"] == urlsplit(served.app).path + f"/jobs/{job_id}"
    listed = pipemount("jobs", "list", served.app, "--status", "succeeded", "--limit", "1")
    assert job_id in listed.stdout


def test_an_invocation_tells_its_steps_in_plain_lines_where_nobody_sits(served: Served, pipemount: Pipemount) -> None:
    done = pipemount("invoke", served.pipeline, "--param", "number:=2", "--stream", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["outputs"] == {"output": [0, 1]}
    assert done.stderr.startswith("count: completed in ") and "\x1b" not in done.stderr


def test_exit_codes(served: Served, pipemount: Pipemount) -> None:
    running = pipemount("submit", served.pipeline, *LONG, "--quiet").stdout.strip()
    assert pipemount("jobs", "cancel", served.app, running).stdout.strip() in ("cancelling", "cancelled")
    wrong = {
        3: [("invoke", served.pipeline, "--param", "number=many"), ("submit", served.pipeline)],
        5: [
            ("jobs", "show", served.app, "nothing"),
            ("jobs", "logs", served.app, "nothing"),
            ("jobs", "list", f"http://127.0.0.1:{free_port()}"),
        ],
        6: [("invoke", served.pipeline, *LONG, "--timeout", "0.1", *way) for way in ((), ("--stream",))],
    }
    for code, commands in wrong.items():
        for command in commands:
            done = pipemount(*command)
            assert (done.exit_code, done.stdout) == (code, ""), (command, done.stderr)
            assert "Traceback" not in done.stderr
    if served.app.endswith("/ai"):
        assert pipemount("jobs", "list", served.app, "--key", "another").exit_code == 4


@pytest.fixture
def command() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def begun(stack: contextlib.ExitStack, *words: str) -> subprocess.Popen[str]:
    """A command in a process of its own, whose output is a pipe."""
    pipe = subprocess.PIPE
    return stack.enter_context(subprocess.Popen([*COMMAND, *words], stdout=pipe, stderr=pipe, text=True))


@pytest.mark.parametrize("served", CTRL_C, indirect=True, scope="module")
def test_ctrl_c_cancels_a_run_whose_steps_are_shown(served: Served, command: contextlib.ExitStack) -> None:
    before = served.youngest()
    process = begun(command, "invoke", served.pipeline, *LONG, "--stream")
    wait_until(lambda: served.youngest() != before)
    job_id = served.youngest()
    wait_until(lambda: served.client.job(job_id).document["last_event"] > 60)  # by now it has been told of some
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=30)
    assert (process.returncode, told[0]) == (130, "")
    assert (
        told[1]
        == f"the server was asked to cancel the run: pipemount jobs show {served.pipeline} {job_id}\ninterrupted\n"
    )
    wait_until(lambda: served.status(job_id) == "cancelled")


@on_uvicorn
def test_ctrl_c_ends_the_printing_and_says_how_to_end_the_job(served: Served, command: contextlib.ExitStack) -> None:
    job_id = served.client.submit(number=100_000, pause=0.01).id
    process = begun(command, "jobs", "logs", "-f", served.app, job_id)
    assert process.stdout is not None
    assert "run_started" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told[1] == f"the job goes on; to end it: pipemount jobs cancel {served.app} {job_id}\ninterrupted\n"
    assert served.status(job_id) == "running"
    served.client.cancel(job_id)


@on_uvicorn
def test_progress_is_live_on_a_terminal(served: Served) -> None:
    ours, theirs = pty.openpty()
    words = ("invoke", served.pipeline, "--params", '{"number": 40, "pause": 0.01}', "--stream")
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # Linux tells the end of a terminal so
            while part := os.read(ours, 65536):
                shown += part
        assert process.stdout is not None
        results = process.stdout.read().decode()
    os.close(ours)
    assert process.returncode == 0
    assert shown.count(b"count") > 3, "the line of a step is drawn again and again"
    assert b"\x1b[" in shown and "✓".encode() in shown
    assert "\x1b" not in results and "[0, 1, 2" in results, "what is piped has no colours"
