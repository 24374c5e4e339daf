"""A raw ASGI driver: sends just the messages that a test wants, and sees just those that come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipemount.types import ASGIApp, Message

__all__ = ["Answer", "Connection", "get", "post", "request"]


@dataclass(slots=True)
class Answer:
    """What came back: exactly one start, and the body put together."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw_headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One request in flight; the test decides when body parts and the disconnect arrive."""

    def __init__(
        self,
        app: ASGIApp,
        method: str,
        path: str,
        *,
        headers: Iterable[tuple[bytes, bytes]] = (),
        query: bytes = b"",
        root_path: str = "",
        **scope: Any,
    ) -> None:
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "query_string": query,
            "root_path": root_path,
            "headers": list(headers),
            **scope,
        }
        self.received = 0
        self.sent: list[Message] = []
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._app = app

    def feed(self, *chunks: bytes, more: bool = False) -> None:
        """Body parts; the last one ends the body unless ``more``."""
        for index, chunk in enumerate(chunks):
            last = index == len(chunks) - 1
            self._incoming.put_nowait({"type": "http.request", "body": chunk, "more_body": more or not last})

    def say(self, message: Message) -> None:
        """One message, as it is."""
        self._incoming.put_nowait(message)

    def disconnect(self) -> None:
        self._incoming.put_nowait({"type": "http.disconnect"})

    async def run(self) -> None:
        await self._app(self.scope, self._receive, self._send)

    async def _receive(self) -> Message:
        message = await self._incoming.get()
        self.received += len(message.get("body", b""))
        return message

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def answer(self) -> Answer:
        starts = [m for m in self.sent if m["type"] == "http.response.start"]
        assert len(starts) == 1, self.sent
        assert self.sent[0] is starts[0], "the start comes first"
        raw = [(bytes(name), bytes(value)) for name, value in starts[0]["headers"]]
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in raw}
        body = b"".join(m.get("body", b"") for m in self.sent[1:])
        return Answer(starts[0]["status"], headers, body, raw)


async def request(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    body: bytes | list[bytes] = b"",
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> Answer:
    """One whole request."""
    raw = [(name.lower().encode(), value.encode("utf-8")) for name, value in (headers or {}).items()]
    path, _, query = path.partition("?")
    connection = Connection(app, method, path, headers=raw, query=query.encode(), **options)
    connection.feed(*(body if isinstance(body, list) else [body]))
    await connection.run()
    return connection.answer


async def get(app: ASGIApp, path: str, **options: Any) -> Answer:
    return await request(app, "GET", path, **options)


async def post(
    app: ASGIApp, path: str, value: Any, *, headers: Mapping[str, str] | None = None, **options: Any
) -> Answer:
    body = value if isinstance(value, bytes | list) else json.dumps(value).encode()
    return await request(
        app, "POST", path, body=body, headers={"content-type": "application/json", **(headers or {})}, **options
    )
