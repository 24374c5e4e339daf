"""What browsers visit: an app behind a key or a host's login, and a ledger of what they sent.

``GET /-/seen`` answers what came, ``GET /-/page`` is a page of the app's own origin, ``GET /-/login`` sets the cookie
that the host knows Ada by. ``LOGIN`` says what is asked for: ``key`` or ``cookie``.
"""

from __future__ import annotations

import os
from typing import Any

from pydantic_core import to_json

from pipemount import AuthKeys, PipelineApp, Principal, pipeline, step
from pipemount.auth import Key
from pipemount.http.handover import hand_over
from pipemount.types import Message, Receive, Scope, Send

KEY = "open-sesame-open-sesame"
ADA = Principal("ada", frozenset({"invoke", "read", "cancel"}), "host")
by_cookie = os.environ.get("LOGIN") == "cookie"
ran: list[str] = []
seen: list[dict[str, Any]] = []


@step
def note(text: str) -> str:
    ran.append(text)
    return text


@pipeline
def noting(text: str = "ran") -> Any:
    return note(text)


pipelines = PipelineApp(noting, auth=None if by_cookie else AuthKeys([Key("ada", KEY)]))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        await pipelines(scope, receive, send)
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
    came: dict[str, Any] = {"method": scope["method"], "path": scope["path"], "headers": headers, "status": 0}
    seen.append(came)
    if by_cookie:
        scope = dict(scope)
        hand_over(scope, principal=ADA if "session=ada" in headers.get("cookie", "") else None, guarded=True)

    async def watched(message: Message) -> None:
        came["status"] = message.get("status", came["status"])
        await send(message)

    await pipelines(scope, receive, watched)


async def answer(send: Send, body: bytes, kind: bytes, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind), *headers]})
    await send({"type": "http.response.body", "body": body})
