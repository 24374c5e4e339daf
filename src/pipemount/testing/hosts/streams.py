"""Beside the pipelines: a stream of the host's own, which hears of the end; bodies read as they come."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ...errors import HomeLoopError
from ...types import Receive, Scope, Send
from .setup import Setup

__all__ = ["BEAT", "FAREWELL", "Streams"]

EVENT_STREAM = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
BEAT = 0.05
"""Seconds between two events."""
FAREWELL = "event: end\nretry: 1000\ndata: draining\n\n"
"""The last event of a stream that ends because the server stops."""


class Streams:
    """An ASGI application of event streams, at paths that end in ``/-/<name>``."""

    def __init__(self, setup: Setup, pipelines: Any) -> None:
        self._setup, self._pipelines = setup, pipelines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        name = scope["path"].rstrip("/").rpartition("/-/")[2]
        if name == "digest":
            await self._digest(receive, send)
        elif name == "home-loop":
            await _answer(send, 200, await self._pipelines.lifecycle.call(self._run_sync_at_home))
        elif name == "until-draining":
            await self._stream(self._until_draining(), receive, send)
        else:
            await _answer(send, 404, {"no stream": name})

    async def _stream(self, events: AsyncGenerator[str, None], receive: Receive, send: Send) -> None:
        """Sends events until they end or the client has gone; what made them is closed then."""
        await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        sending = asyncio.ensure_future(_send_all(events, send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _until_draining(self) -> AsyncGenerator[str, None]:
        async for _ in self._pipelines.ticks(BEAT):
            yield ": beat\n\n"
        yield FAREWELL

    async def _run_sync_at_home(self) -> str:
        """What a blocking call on the loop that the pipelines live on comes to."""
        try:
            self._pipelines.run_sync("greet", name="Ada")
        except HomeLoopError as refused:
            return f"refused: {refused}"
        return "answered"

    async def _digest(self, receive: Receive, send: Send) -> None:
        """The length and digest of a body, read part by part."""
        length, sha256, more = 0, hashlib.sha256(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body = message.get("body", b"")
            length += len(body)
            sha256.update(body)
            more = message.get("more_body", False)
        await _answer(send, 200, {"length": length, "sha256": sha256.hexdigest()})


async def _send_all(events: AsyncGenerator[str, None], send: Send) -> None:
    async with aclosing(events):
        async for event in events:
            await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, status: int, value: Any) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})
