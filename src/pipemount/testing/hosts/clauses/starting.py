"""``on_init`` once and ``on_cleanup`` once per process, however it starts and ends."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

from ..clause import clause, expect, same
from ..pairs import Pair, Running
from ..process import wait_until

__all__: list[str] = []


def unheard(pair: Pair) -> str:
    """Why the pipelines' start cannot keep the server from serving."""
    if not pair.form.lifespan:
        return "the host tells what it mounts nothing of start and stop"
    return "" if pair.server.lifespan else f"{pair.server.name} tells nobody that it starts"


def once_each(running: Running) -> None:
    """Every process that has started the pipelines has done so once, and has cleaned up once."""
    started = running.noted("init")
    same("starts of each process", set(started.values()), {1}, running)
    same("cleanups by process", running.noted("cleanup"), started, running)


@clause(
    "20 first requests at once, then SIGTERM: `on_init` once and `on_cleanup` once per process",
    group="start and stop",
    alone=True,
)
def first_requests(pair: Pair, folder: Path) -> None:
    with pair.start(folder) as running:
        replies = running.server.at_once(20, lambda: running.invoke("process"))
        same("statuses", {reply.status for reply in replies}, {200}, running)
        answered = {reply.json()["outputs"]["pid"] for reply in replies}
        running.server.terminate()
        expect(answered <= set(running.noted("init")), f"{answered} answered without a start", running)
        once_each(running)


@clause(
    "an open stream of a run, then SIGTERM: its reader is told to come back, and it ends; `on_cleanup` once",
    group="start and stop",
    alone=True,
)
def open_stream(pair: Pair, folder: Path) -> str:
    age = 3.0 if pair.server.unheard else 900.0
    with pair.start(folder, stream_age=age) as running:
        same("status", running.invoke("process").status, 200, running)
        with running.recite(parts=2, gate="never") as stream:
            same("first event", stream.told().kind, "run_started", running)
            running.server.process.send_signal(signal.SIGTERM)
            last = stream.rest()[-1:]
        running.open_gate("never-1")
        running.server.wait_for_end(15.0)
        if not pair.server.cuts_streams:
            same("last event", [event.splitlines()[0] for event in last], ["event: reconnect"], running)
            expect("\nretry: " in last[0] and "\nid: " not in last[0], f"the last words are {last}", running)
        once_each(running)
    if pair.server.cuts_streams:
        return "cut off, with no last event"
    return "at its greatest age" if pair.server.unheard else ""


@clause(
    "`on_init` raises in a lifespan: the server does not serve, the cause is in its log, no `on_cleanup`",
    group="start and stop",
    alone=True,
    unless=unheard,
)
def raising_lifespan(pair: Pair, folder: Path) -> None:
    with pair.start(folder, wait=False, on_init="raises") as running:
        wait_until(lambda: "the model is not there" in running.log)
        if pair.server.gives_up:
            running.server.wait_for_end()
        else:
            expect(not _serves(running), "it serves all the same", running)
        same("cleanups", running.noted("cleanup"), Counter(), running)
        if not pair.form.nested:
            same("starts of the host, which is inside", running.noted("host start"), Counter(), running)


def _serves(running: Running) -> bool:
    try:
        return running.page().status == 200
    except OSError:
        return False


@clause(
    "`on_init` raises at the first request: 503 without the cause, tried again later; the host's pages go on",
    group="start and stop",
    alone=True,
    unless=lambda pair: "a lifespan starts it before any request" if pair.told else "",
)
def raising_lazily(pair: Pair, folder: Path) -> None:
    with pair.start(folder, on_init="raises-once") as running:
        first = running.invoke("process")
        same("status", (first.status, first.json()["code"]), (503, "start-failed"), running)
        expect(int(first.headers.get("retry-after", "0")) >= 1, f"no Retry-After in {first.headers}")
        expect(b"model" not in first.body, f"tells the cause: {first.body!r}")
        expect("OSError: the model is not there" in running.log, "the cause is not in the log", running)
        same("the host's page", running.page().status, 200, running)
        wait_until(lambda: running.invoke("process").status == 200)
        running.server.terminate()
        same("starts", running.noted("init").total(), running.noted("cleanup").total() + 1, running)
        same("cleanups of each process", set(running.noted("cleanup").values()), {1}, running)


@clause(
    "a slow `on_init`: 503 `starting` with `Retry-After` until it is done, then 200; once per process",
    group="start and stop",
    alone=True,
)
def slow_init(pair: Pair, folder: Path) -> None:
    with pair.start(folder, on_init="slow", patience=0.1) as running:
        replies = running.server.at_once(3, lambda: running.invoke("process"))
        told = {(reply.status, reply.json()["code"], "retry-after" in reply.headers) for reply in replies}
        same("answers", told, {(503, "starting", True)}, running)
        same("the host's page", running.page().status, 200, running)
        same("liveness", running.get("/health/live").status, 200, running)
        running.open_gate("init")
        wait_until(lambda: running.get("/health/ready").status == 200)
        wait_until(lambda: running.invoke("process").status == 200)
        running.server.terminate()
        once_each(running)


@clause(
    "order: `on_init`, the host's start, the host's stop, `on_cleanup`",
    group="start and stop",
    alone=True,
    unless=lambda pair: unheard(pair) or ("" if pair.form.host_lifespan else "the host has no start and stop here"),
)
def order(pair: Pair, folder: Path) -> None:
    with pair.start(folder) as running:
        same("status", running.invoke("process").status, 200, running)
        running.server.terminate()
        expected = ["init", "host start", "host stop", "cleanup"]
        if pair.form.nested:
            expected = ["host start", "init", "cleanup", "host stop"]
        for process, notes in running.notes().items():
            same(f"what process {process} did", [note for note in notes if note in expected], expected, running)


def _not_around(pair: Pair) -> str:
    """Why there is nothing to clean up when the host does not start."""
    if not pair.form.host_lifespan:
        return "the host has no start and stop here"
    return "the host starts before the pipelines" if pair.form.nested else ""


@clause(
    "the host's own start fails: the server does not serve, and what was started is cleaned up",
    group="start and stop",
    alone=True,
    unless=lambda pair: unheard(pair) or _not_around(pair),
)
def host_fails(pair: Pair, folder: Path) -> None:
    with pair.start(folder, wait=False, host_start="raises") as running:
        wait_until(lambda: running.noted("cleanup").total() > 0)
        if pair.server.gives_up:
            running.server.wait_for_end()
            once_each(running)
        else:
            expect(not _serves(running), "it serves all the same", running)


@clause(
    "SIGHUP replaces the workers: `on_cleanup` in the old ones, `on_init` in the new ones",
    group="start and stop",
    alone=True,
    unless=lambda pair: "" if pair.server.reloads else f"{pair.server.name} has no reload by SIGHUP",
)
def reload(pair: Pair, folder: Path) -> None:
    with pair.start(folder) as running:
        same("status", running.invoke("process").status, 200, running)
        os.kill(running.server.process.pid, signal.SIGHUP)
        wait_until(lambda: running.noted("cleanup").total() > 0)
        wait_until(lambda: _answers(running))
        running.server.terminate()
        expect(len(running.noted("init")) > 1, "no worker was replaced", running)
        once_each(running)


@clause(
    "workers that end after five requests (`max_requests`): each has `on_init` once and `on_cleanup` once",
    group="start and stop",
    alone=True,
    unless=lambda pair: "" if pair.server.recycling else f"{pair.server.name} does not count requests",
)
def recycling(pair: Pair, folder: Path) -> None:
    with pair.start(folder, *pair.server.recycling) as running:
        wait_until(lambda: _answers(running) and len(running.noted("init")) > pair.server.workers)
        running.server.terminate()
        once_each(running)


def _answers(running: Running) -> bool:
    """Whether a pipeline is run; a worker that is going may close a connection that it has not answered yet."""
    try:
        return running.invoke("process").status == 200
    except OSError:
        return False
