"""The shop under ASGI servers: ``uvicorn kettle.asgi:application``.

The shop stays the WSGI application that it is, pipelines and all. What is gained is the lifespan: the fraud check
starts before the first request, and stops with the server. (The shopkeeper has nothing to learn before he is asked.)
"""

from __future__ import annotations

from typing import Any

from a2wsgi import WSGIMiddleware

from . import create_app

__all__ = ["application"]

app = create_app()
wsgi: Any = app  # each library has its own types for WSGI
shop = WSGIMiddleware(wsgi, workers=32)  # requests that are handled at the same time


async def application(scope: Any, receive: Any, send: Any) -> None:
    """The server's start and stop go to the pipelines, all requests to the shop."""
    if scope["type"] == "lifespan" and app.config["PIPELINES"]:
        from .pipelines import pipelines

        await pipelines(scope, receive, send)
    else:
        await shop(scope, receive, send)
