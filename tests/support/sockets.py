"""A raw ASGI driver for WebSockets: sends just the messages that a test wants, and sees just those that come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from pipemount.types import ASGIApp, Message

__all__ = ["Socket"]

DENIAL: dict[str, Any] = {"websocket.http.response": {}}


class Socket:
    """A client's end of one WebSocket.

    ::

        async with Socket(app, "/stream") as socket:
            assert await socket.ask(type="ping") == {"type": "pong"}

    Attributes:
        scope: The handshake's.
        left: Whether the client has gone.
        breaks: Makes what sending raises from now on; ``failed`` counts how often it did.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str = "/stream",
        *,
        headers: Mapping[str, str] | None = None,
        query: str = "",
        denial: bool = True,
        **scope: Any,
    ) -> None:
        raw = {"host": "testserver", **(headers or {})}
        self.scope: dict[str, Any] = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "scheme": "ws",
            "path": path,
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in raw.items()],
            "subprotocols": [],
            "extensions": dict(DENIAL) if denial else {},
            **scope,
        }
        self._app = app
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self._reads = asyncio.Event()
        self._reads.set()
        self.left = False
        self.breaks: Callable[[], Exception] | None = None
        self.failed = 0
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.open()
        accepted = await self.sent()
        assert accepted["type"] == "websocket.accept", accepted
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        self.read_again()
        assert self.task is not None
        await asyncio.wait_for(self.task, 20)

    def open(self) -> None:
        """Begins the handshake."""
        self._incoming.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(self._run())

    async def refusal(self) -> Message:
        """How the handshake was refused: its status, headers and problem; or the message that closed it."""
        self.open()
        assert self.task is not None
        first = await self.sent()
        if first["type"] == "websocket.http.response.start":
            body = await self.sent()
            first = {"status": first["status"], "headers": dict(first["headers"]), **json.loads(body["body"])}
        await self.task
        assert self._outgoing.empty()
        return first

    def say(self, text: str | bytes | None = None, **message: Any) -> None:
        """Sends text or bytes as they are, or a message."""
        told = json.dumps(message) if text is None else text
        kind = "text" if isinstance(told, str) else "bytes"
        self._incoming.put_nowait({"type": "websocket.receive", kind: told})

    async def ask(self, **message: Any) -> Any:
        """Sends a message; the next that comes back."""
        self.say(**message)
        return await self.hear()

    async def hear(self) -> Any:
        """The next message, read as JSON."""
        message = await self.sent()
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def hear_until(self, kind: str) -> list[Any]:
        """All messages up to one of this type."""
        found = [await self.hear()]
        while found[-1]["type"] != kind:
            found.append(await self.hear())
        return found

    async def closed(self) -> tuple[int, str]:
        """The code and reason with which the server closes next."""
        message = await self.sent()
        assert message["type"] == "websocket.close", message
        assert self.task is not None
        await self.task
        return message["code"], message.get("reason", "")

    async def sent(self) -> Message:
        """The next ASGI message."""
        getting = asyncio.ensure_future(self._outgoing.get())
        assert self.task is not None
        await asyncio.wait({getting, self.task}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done():
            getting.cancel()
            self.task.result() if self.task.done() else None
            raise AssertionError("nothing is sent")
        return getting.result()

    @property
    def unread(self) -> int:
        """Messages that wait here."""
        return self._outgoing.qsize()

    @property
    def waiting(self) -> int:
        """Messages that the app has not taken yet."""
        return self._incoming.qsize()

    def stop_reading(self) -> None:
        """What is sent from now on is not taken."""
        self._reads.clear()

    def read_again(self) -> None:
        self._reads.set()

    def leave(self) -> None:
        """Goes away."""
        if not self.left:
            self.left = True
            self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def _run(self) -> None:
        await self._app(self.scope, self._incoming.get, self._send)

    async def _send(self, message: Message) -> None:
        await self._reads.wait()
        if self.breaks is not None:
            self.failed += 1
            raise self.breaks()
        self._outgoing.put_nowait(message)
