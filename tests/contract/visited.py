"""What browsers visit: an app behind a key or a host's login, and a ledger of what they sent.

``GET /-/seen`` answers what came, ``GET /-/page`` is a page of the app's own origin, ``GET /-/login`` sets the cookie
that the host knows Ada by. ``LOGIN`` says what is asked for: ``key`` or ``cookie``; ``FRIEND`` which origin is trusted.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from pydantic_core import to_json

from pipemount import AuthKeys, PipelineApp, Principal, Settings, pipeline, step
from pipemount.auth import Key
from pipemount.http.handover import hand_over
from pipemount.types import Message, Receive, Scope, Send

KEY = "open-sesame-open-sesame"
ADA = Principal("ada", frozenset({"invoke", "read", "cancel"}), "host")
by_cookie = os.environ.get("LOGIN") == "cookie"
ran: list[str] = []
seen: list[dict[str, Any]] = []


@step
async def note(text: str) -> AsyncIterator[str]:
    """Notes that it ran; of ``wait`` it tells, and goes on for ever."""
    ran.append(text)
    yield text
    if text == "wait":
        await asyncio.Event().wait()


@pipeline
def noting(text: str = "ran") -> Any:
    return note(text)


pipelines = PipelineApp(
    noting,
    auth=None if by_cookie else AuthKeys([Key("ada", KEY)]),
    settings=Settings(trusted_origins=tuple(filter(None, [os.environ.get("FRIEND")])), cleanup_timeout=0.5),
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await pipelines(scope, receive, send)
    elif scope["type"] == "websocket":
        await visit(scope, receive, send)
    elif scope["path"] == "/-/seen":
        await answer(send, to_json({"seen": seen, "ran": ran}), b"application/json")
    elif scope["path"] == "/-/page":
        await answer(send, b"<!doctype html><title>at home</title><body>", b"text/html")
    elif scope["path"] == "/-/login":
        await answer(send, b"welcome", b"text/plain", (b"set-cookie", b"session=ada; Path=/; HttpOnly; SameSite=Lax"))
    else:
        await visit(scope, receive, send)


async def visit(scope: Scope, receive: Receive, send: Send) -> None:
    headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
    method = scope.get("method", "WEBSOCKET")
    came: dict[str, Any] = {"method": method, "path": scope["path"], "headers": headers, "status": 0}
    seen.append(came)
    if by_cookie:
        scope = dict(scope)
        hand_over(scope, principal=ADA if "session=ada" in headers.get("cookie", "") else None, guarded=True)

    async def watched(message: Message) -> None:
        accepted = 101 if message["type"] == "websocket.accept" else came["status"]
        came["status"] = message.get("status", accepted)
        await send(message)

    await pipelines(scope, receive, watched)


async def answer(send: Send, body: bytes, kind: bytes, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind), *headers]})
    await send({"type": "http.response.body", "body": body})
