"""Sanic, under ASGI: wrapped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, ClassVar

from sanic import Sanic
from sanic.request import Request
from sanic.response import HTTPResponse, text

from ..host import Host, form
from ..product import Page, Product

__all__ = ["SanicHost"]


class SanicHost(Host):
    """Sanic."""

    name, kind, requires = "Sanic", "asgi", ("sanic",)
    needs_lifespan = True
    without: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("at-p-below", "at-a-b-c-below", "at-root-below"), "Sanic's own pages know no root path"
    )

    @form(lifespan=True, host_lifespan=True)
    def wrap(self, product: Product) -> Any:
        return product.pipelines.wrap(make(product), product.mount)


def make(product: Product) -> Any:
    """The host."""
    app: Any = Sanic("product")
    opened = AsyncExitStack()

    async def start(app: Any) -> None:
        await opened.enter_async_context(product.lifespan())

    async def stop(app: Any) -> None:
        await opened.aclose()

    app.register_listener(start, "before_server_start")
    app.register_listener(stop, "after_server_stop")

    for page in product.pages:
        app.add_route(_handler(page), page.path, name=page.path.strip("/").replace("-", "_"))
    return app


def _handler(page: Page) -> Any:
    async def answer(request: Request) -> HTTPResponse:
        return text(await asyncio.to_thread(page.answer))

    return answer
