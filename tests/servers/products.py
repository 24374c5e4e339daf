"""The servers that run ``streaming``, and those who read streams from them."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.events import EventReader, Told
from tests.support.servers import Server, serve

__all__ = ["ASGI", "PLACES", "Product", "Stream", "begin", "follow", "running"]

GUNICORN = ("gunicorn", "--threads", "8", "--bind", "127.0.0.1:{port}", "--no-control-socket")
COMMANDS = {
    "uvicorn": ("uvicorn", "--log-level", "warning", "--port", "{port}", "tests.servers.streaming:many"),
    "hypercorn": ("hypercorn", "--bind", "127.0.0.1:{port}", "tests.servers.streaming:app"),
    "granian": (
        *("granian", "--interface", "asgi", "--no-access-log", "--port", "{port}"),
        "tests.servers.streaming:app",
    ),
    "gunicorn, Flask": (*GUNICORN, "tests.servers.streaming:flask"),
    "gunicorn, Django": (*GUNICORN, "tests.servers.streaming:django"),
}
ASGI = ("uvicorn", "hypercorn", "granian")
PLACES = [
    *(("uvicorn", base) for base in ("", "/starlette", "/fastapi", "/django")),
    *((server, "") for server in COMMANDS if server != "uvicorn"),
]
LIMIT = 30.0


class Product(Server):
    """A server with what the program noted."""

    folder: Path

    def notes(self, event: str) -> list[dict[str, Any]]:
        path = self.folder / "notes"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [each for each in found if each["event"] == event]


@contextlib.contextmanager
def running(folders: pytest.TempPathFactory) -> Iterator[Callable[[str], Product]]:
    """Starts the server of that name when it is asked for; all end with the block."""
    started: dict[str, Product] = {}

    def product(name: str) -> Product:
        if name not in started:
            started[name] = stack.enter_context(started_in(folders.mktemp("server"), name))
        return started[name]

    with contextlib.ExitStack() as stack:
        yield product


@contextlib.contextmanager
def started_in(folder: Path, name: str) -> Iterator[Product]:
    with serve(COMMANDS[name], folder=folder, env={"STREAMING_FOLDER": str(folder)}) as server:
        server.__class__ = Product
        assert isinstance(server, Product)
        server.folder = folder
        yield server


class Stream:
    """A stream that is read from a socket of its own."""

    def __init__(self, port: int, target: str, parameters: Any = None, **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if parameters is None:
            self.connection.request("GET", target, headers=named)
        else:
            body = json.dumps({"parameters": parameters}).encode()
            self.connection.request("POST", target, body, {"content-type": "application/json", **named})
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.read()
        self.job_id = self.response.headers["x-run-id"]
        self.reader = EventReader()
        self._told: list[Told] = []

    def next(self) -> Told | None:
        while not self._told:
            part = self.response.read1()
            if not part:
                return None
            self._told += self.reader.feed(part)
        return self._told.pop(0)

    def until(self, kind: str) -> Told:
        for told in iter(self.next, None):
            if told.type == kind:
                return told
        raise AssertionError(f"the stream ended without {kind}")

    def close(self) -> None:
        self.response.close()
        self.connection.close()


def begin(server: Server, pipeline: str, **parameters: Any) -> Stream:
    return Stream(server.port, f"/pipelines/{pipeline}/invoke?mode=stream", parameters)


def follow(server: Server, job_id: str, **headers: str) -> Stream:
    return Stream(server.port, f"/jobs/{job_id}/events", **headers)
