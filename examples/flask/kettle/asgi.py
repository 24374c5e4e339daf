"""The shop under ASGI servers: ``uvicorn kettle.asgi:application``.

The shop stays the WSGI application that it is, pipelines and all. What is gained is the lifespan: the pipelines start
before the first request, and stop with the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from a2wsgi import WSGIMiddleware

from . import create_app

__all__ = ["application"]

app = create_app()
shop: Any = WSGIMiddleware(app.__call__, workers=16)  # requests that are handled at the same time

Message = MutableMapping[str, Any]


async def application(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """The server's start and stop go to the pipelines, all requests to the shop."""
    if scope["type"] == "lifespan" and app.config["PIPELINES"]:
        from .pipelines import pipelines

        await pipelines(scope, receive, send)
    else:
        await shop(scope, receive, send)
