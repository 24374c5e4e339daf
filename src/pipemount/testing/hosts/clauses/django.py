"""What Django promises its projects, in steps too: connections, transactions, test clients."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ..clause import clause, expect, same
from ..pairs import Pair, Running
from ..process import environment, wait_until
from ..setup import Setup
from .requests import is_problem

__all__: list[str] = []


def no_django(pair: Pair) -> str:
    """Why it has no Django that takes pipelines into its URLs."""
    if not pair.host.name.startswith("Django"):
        return "only Django promises it"
    return "" if pair.form.users else "beside Django's views there is no request of Django's"


@clause(
    "200 runs of a step that queries leave no connection open",
    group="Django",
    unless=lambda pair: "" if "django" in pair.host.requires else "only Django promises it",
)
def connections(running: Running) -> None:
    for _ in range(25):
        replies = running.server.at_once(8, lambda: running.invoke("users"))
        same("statuses", {reply.status for reply in replies}, {200}, running)
        same("users", {next(iter(reply.json()["outputs"].values())) > 0 for reply in replies}, {True}, running)
    for _ in range(2 * running.pair.server.workers):
        wait_until(lambda: running.server.get(f"{running.asked}/connections").json() == {"open": 0}, 5)


@clause(
    'steps with `affinity="request"` are in one transaction (`ATOMIC_REQUESTS`), rolled back if the run fails',
    group="Django",
    unless=no_django,
)
def atomic(running: Running) -> None:
    is_problem(running, running.invoke("join", name="grace", fail=True), 409, "pipeline-error")
    same("after a failure", found(running, "grace"), 0, running)
    joined = running.invoke("join", name="grace")
    same("within the run", (joined.status, next(iter(joined.json()["outputs"].values()))), (200, 1), running)
    same("after a success", found(running, "grace"), 1, running)


def found(running: Running, name: str) -> object:
    """How many of that name there are."""
    return next(iter(running.invoke("find", name=name).json()["outputs"].values()))


@clause("`run_sync` in a view: a step sees the rows of the view's open transaction", group="Django", unless=no_django)
def open_transaction(running: Running) -> None:
    reply = running.page("/open-transaction")
    same("answer", (reply.status, reply.body), (200, b"1"), running)


@clause(
    "Django's own test clients, sync and async: answers, streams and users",
    group="Django",
    alone=True,
    unless=lambda pair: (
        no_django(pair)
        or ("" if pair.server.name in ("uvicorn", "gunicorn sync") else "no server takes part: see the first one")
    ),
)
def test_clients(pair: Pair, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    setup = Setup(host=pair.host.reference(), form=pair.form.name, folder=str(folder))
    pair.host().prepare(folder)
    command = [sys.executable, "-m", "pipemount.testing.hosts.frameworks.django_clients"]
    done = subprocess.run(  # noqa: S603  our own code
        command, env=environment() | setup.env, capture_output=True, text=True, timeout=60, check=False
    )
    expect(done.returncode == 0, done.stdout + done.stderr)
    same("printed", done.stdout.split(), ["sync", "async"])
    del pair
