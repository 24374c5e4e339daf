"""An ASGI application without a framework: wrapped, and dispatching by itself."""

from __future__ import annotations

import asyncio
from typing import Any

from ....types import Receive, Scope, Send
from ..host import Host, form
from ..product import Product

__all__ = ["BareHost"]


class BareHost(Host):
    """A function ``(scope, receive, send)``."""

    name, kind, everywhere = "Bare ASGI", "asgi", True

    @form(lifespan=True)
    def wrap(self, product: Product) -> Any:
        return product.pipelines.wrap(make(product), product.mount)

    @form(lifespan=True)
    def dispatch(self, product: Product) -> Any:
        own = make(product)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await product.pipelines(scope, receive, send)
            elif f"{product.mount}/" in scope["path"]:
                root = scope.get("root_path", "")
                await product.pipelines({**scope, "root_path": root + product.mount}, receive, send)
            else:
                await own(scope, receive, send)

        return app


def make(product: Product) -> Any:
    """The host; it has no lifespan."""
    pages = {page.path: page.answer for page in product.pages}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"this application knows no {scope['type']}")
        answer = pages.get(scope["path"].removeprefix(scope.get("root_path", "")))
        body = (await asyncio.to_thread(answer)).encode() if answer else b"nothing here"
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200 if answer else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app
