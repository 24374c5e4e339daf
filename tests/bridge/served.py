"""An ASGI application for real WSGI servers, over the bridge or over another one (``SERVED_BY``)."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

from pipemount.types import Message, Receive, Scope, Send

FOLDER = Path(os.environ["SERVED_FOLDER"])
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


class Board:
    """What tests look at while no request is possible: a value in a file each."""

    def __setitem__(self, name: str, value: int) -> None:
        fresh = FOLDER / f"{name}.new"
        fresh.write_text(str(value))
        fresh.replace(FOLDER / name)


board = Board()
open_streams = 0


async def say(send: Send, *parts: bytes) -> None:
    await send(START)
    for part in parts[:-1]:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": parts[-1]})


async def begin(send: Send, part: bytes) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": part, "more_body": True})


async def go_on(send: Send, part: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": more})


async def gate(name: str) -> None:
    while not (FOLDER / name).exists():
        await asyncio.sleep(0.01)


async def ping(receive: Receive, send: Send) -> None:
    await say(send, b"pong")


async def digest(receive: Receive, send: Send) -> None:
    """How much of the body came, and whether it is what was sent."""
    size, digest, more = 0, hashlib.sha256(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        size, more = size + len(message["body"]), message["more_body"]
        digest.update(message["body"])
    await say(send, f"{size} {digest.hexdigest()}".encode())


async def gated(receive: Receive, send: Send) -> None:
    """The second part comes when the test has seen the first."""
    await begin(send, b"first,")
    await gate("gate")
    await go_on(send, b"last", more=False)


async def many(receive: Receive, send: Send) -> None:
    await say(send, *(b"%d," % number for number in range(200)))


async def endless(receive: Receive, send: Send) -> None:
    global open_streams
    open_streams += 1
    board["open"] = open_streams
    try:
        await begin(send, b"tick")
        while True:
            await asyncio.sleep(0.05)
            await go_on(send, b"tick")
    finally:
        open_streams -= 1
        board["open"] = open_streams


async def early(receive: Receive, send: Send) -> None:
    raise LookupError("before the response")


async def late(receive: Receive, send: Send) -> None:
    await begin(send, b"half of it")
    raise LookupError("within the response")


async def short(receive: Receive, send: Send) -> None:
    await send({**START, "headers": [(b"content-type", b"text/plain"), (b"content-length", b"100")]})
    await go_on(send, b"half of it")
    raise LookupError("within the response")


async def flood(receive: Receive, send: Send) -> None:
    """400 MB, and how much of it the app was let to send."""
    await send(START)
    for number in range(6400):
        board["sent"] = number
        await go_on(send, bytes(65_536))
        await asyncio.sleep(0)
    await go_on(send, b"", more=False)


async def after(receive: Receive, send: Send) -> None:
    """Work after the response, until the test has seen the response."""
    await say(send, b"answered")
    await gate("gate")
    board["done"] = 1


async def bare(receive: Receive, send: Send) -> None:
    """A start without headers, as ASGI allows."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"bare"})


PAGES = {page.__name__: page for page in (ping, digest, gated, many, endless, early, late, short, flood, after, bare)}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await PAGES[scope["path"].strip("/")](receive, send)


def bridged() -> Any:
    if os.environ["SERVED_BY"] == "a2wsgi":
        from a2wsgi import ASGIMiddleware

        return ASGIMiddleware(app)  # type: ignore[arg-type]  # its own names for the types of ASGI
    from pipemount.bridge import WSGIBridge

    return WSGIBridge(app)


application = bridged()
