"""WebSockets: runs asked for and told, the events of SSE, foreign pages, and the end of the server."""

from __future__ import annotations

import importlib.util
import json
import signal
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..clause import clause, expect, same
from ..pairs import Pair, Running
from .starting import once_each
from .streams import several_processes

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

__all__: list[str] = []

EVIL = "https://evil.example"


def no_sockets(pair: Pair) -> str:
    """Why no WebSocket reaches the pipelines."""
    if pair.server.kind == "wsgi":
        return "WSGI has no WebSockets"
    if pair.server.no_sockets or pair.form.no_sockets:
        return pair.server.no_sockets or pair.form.no_sockets
    return "" if importlib.util.find_spec("websockets") else "asking takes the package websockets"


def connect(running: Running, path: str = "/stream", **options: Any) -> AbstractContextManager[ClientConnection]:
    """A WebSocket of the pipelines, with a key."""
    from websockets.sync import client

    headers = options.pop("additional_headers", running.server.headers)
    url = f"ws://127.0.0.1:{running.server.port}{running.ai}{path}"
    opened: AbstractContextManager[ClientConnection] = client.connect(
        url, additional_headers=headers, open_timeout=20, close_timeout=5, proxy=None, **options
    )
    return opened


def ask(socket: ClientConnection, **message: Any) -> Any:
    """Says something; what is told next."""
    socket.send(json.dumps(message))
    return hear(socket)


def hear(socket: ClientConnection) -> Any:
    """What is told next."""
    return json.loads(socket.recv(timeout=20))


def hear_to_the_end(socket: ClientConnection) -> list[Any]:
    """The events of a job."""
    told = []
    while (message := hear(socket))["type"] != "ended":
        told.append(message["event"])
    return told


@clause(
    "a WebSocket: a run is asked for and told, faults are problems, a run is cancelled",
    group="WebSockets",
    unless=no_sockets,
)
def talk(running: Running) -> None:
    with connect(running) as socket:
        same("pong", ask(socket, type="ping", id=1), {"type": "pong", "id": 1}, running)
        accepted = ask(socket, type="invoke", id=2, pipeline="greet", parameters={"name": "Ada"})
        same("accepted", (accepted["type"], accepted["id"]), ("accepted", 2), running)
        told = hear_to_the_end(socket)
        same("numbers", [event["sequence"] for event in told], list(range(1, len(told) + 1)), running)
        same("outputs", told[-1]["data"]["outputs"], {"greeting": "Hello, Ada!"}, running)
        error = ask(socket, type="invoke", id=3, pipeline="greet", parameters={"nobody": 1})
        same("problem", (error["type"], error["id"], error["problem"]["status"]), ("error", 3, 422), running)
    with connect(running, "/recite/stream") as socket:
        job_id = ask(socket, type="invoke", parameters={"parts": 100_000})["job_id"]
        while hear(socket)["event"]["kind"] != "delta":
            pass
        socket.send(json.dumps({"type": "cancel", "job_id": job_id}))
        told = [hear(socket)]
        while told[-1]["type"] != "ended":
            told.append(hear(socket))
        expect({"type": "accepted", "job_id": job_id, "run_id": job_id} in told, "the cancel is not answered", running)
        same("the last event", told[-2]["event"]["kind"], "run_cancelled", running)


@clause(
    "over a WebSocket and as server-sent events a run's events are the same, with the same numbers",
    group="WebSockets",
    unless=lambda pair: no_sockets(pair) or several_processes(pair),
)
def alike(running: Running) -> None:
    with connect(running, "/recite/stream") as socket:
        job_id = ask(socket, type="invoke", parameters={"parts": 3})["job_id"]
        told = hear_to_the_end(socket)
        with running.follow(job_id) as stream:
            as_events = [(one.number, one.kind, json.loads(one.body)) for one in stream.all_told()]
        same("events", [(event["sequence"], event["kind"], event) for event in told], as_events, running)
        ask(socket, type="subscribe", job_id=job_id, after=told[2]["sequence"])
        same("behind the third", hear_to_the_end(socket), told[3:], running)


@clause(
    "a page of another origin opens no WebSocket, with the host's cookies or without; a key lets a program in",
    group="WebSockets",
    unless=no_sockets,
)
def foreign_page(running: Running) -> None:
    same("evil", refusal(running, origin=EVIL, additional_headers={}), 403, running)
    same("evil, with a cookie", refusal(running, origin=EVIL, additional_headers={"Cookie": "session=1"}), 403, running)
    expect(refusal(running, additional_headers={}) in (401, 403), "it lets strangers in", running)
    expect(refusal(running, additional_headers={"X-API-Key": "wrong"}) in (401, 403), "a wrong key is good", running)
    with connect(running, origin=running.server.url) as socket:
        same("pong", ask(socket, type="ping")["type"], "pong", running)


def refusal(running: Running, **options: Any) -> int:
    """The status with which a handshake is refused."""
    from websockets.exceptions import InvalidStatus

    try:
        with connect(running, **options):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


@clause(
    "open WebSockets, then SIGTERM: told to come back (1012), `on_cleanup` once",
    group="WebSockets",
    alone=True,
    unless=no_sockets,
)
def open_socket(pair: Pair, folder: Path) -> str:
    from websockets.exceptions import ConnectionClosed

    with pair.start(folder) as running:
        same("status", running.invoke("process").status, 200, running)
        with connect(running) as idle, connect(running) as busy:
            ask(busy, type="invoke", pipeline="recite", parameters={"parts": 2, "gate": "never"})
            while hear(busy)["event"]["kind"] != "delta":
                pass
            ask(idle, type="ping")
            running.server.process.send_signal(signal.SIGTERM)
            ends = []
            for socket in (idle, busy):
                told: list[Any] = []
                try:
                    while True:
                        told.append(hear(socket))
                except ConnectionClosed as closed:
                    ends.append((told[-1:], closed.rcvd.code if closed.rcvd else None))
        running.open_gate("never-1")
        running.server.wait_for_end(15.0)
        once_each(running)
    if pair.server.cuts_sockets:
        return "cut off, with no reason"
    for told, code in ends:  # uvicorn may be the first to say so
        same("close code", code, 1012)
        expect(told in ([], [{"type": "reconnect", "reason": "draining"}]), f"the last words are {told}")
    return ""
