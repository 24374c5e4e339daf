"""What hostile clients are let loose on: an app that notes how its runs end, and middleware that notes what it read.

``app`` is for ASGI servers, ``wsgi`` is the same for others.

``NOTES`` is a folder. Events are files in it; ``GET /-/ledger`` answers what the middleware saw, and its memory.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic_core import to_json

from pipemount import AuthKeys, PipelineApp, Settings, pipeline, step
from pipemount.bridge import WSGIBridge
from pipemount.types import ASGIApp, Message, Receive, Scope, Send

NOTES = Path(os.environ["NOTES"])
KEY = "open-sesame-open-sesame"


@step
async def echo(text: str, number: float, anything: Any, numbers: list[int]) -> Annotated[str, "text"]:
    return text


@pipeline
def echoing(
    text: str = "",
    number: float = 0.0,
    anything: Any = None,
    numbers: Annotated[list[int], Field()] = [],  # noqa: B006
) -> Any:
    return echo(text, number, anything, numbers)


@step
async def wait(name: str) -> str:
    (NOTES / f"{name}.entered").touch()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        (NOTES / f"{name}.cancelled").touch()
        raise
    return name


@pipeline
def waiting(name: str) -> Any:
    return wait(name)


def memory() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """Bytes that were in memory at most since this was asked last."""
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return int(found.split()[1]) * 1024


class Ledger:
    """Counts what passes between the server and the app."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.read: Counter[str] = Counter()  # bytes by the request's X-Request-ID
        self.starts: Counter[str] = Counter()
        self.escaped: list[str] = []
        self.sockets: list[str] = []  # what they were sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._listen(scope, receive, send)
        elif scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] == "/-/ledger":
            await self._tell(send)
        else:
            await self._watch(scope, receive, send)

    async def _watch(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")

        async def counted_receive() -> Message:
            message = await receive()
            self.read[name] += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            self.starts[name] += message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, counted_receive, counted_send)
        except BaseException as error:
            self.escaped.append(repr(error))
            raise

    async def _listen(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def heard_send(message: Message) -> None:
            self.sockets.append(message["type"])
            await send(message)

        await self.app(scope, receive, heard_send)

    async def _tell(self, send: Send) -> None:
        told: dict[str, Any] = {"read": self.read, "starts": self.starts, "escaped": self.escaped}
        told |= {"memory": memory(), "peak": peak(), "sockets": self.sockets}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": to_json(told)})


app = Ledger(
    PipelineApp({"echoing": echoing, "waiting": waiting}, auth=AuthKeys([KEY]), settings=Settings(request_timeout=60.0))
)
wsgi = WSGIBridge(app)
