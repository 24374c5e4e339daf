"""Starlette: mounted, with and without our lifespan, as middleware, and wrapped."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route

from ....http.middleware import PipelineMiddleware
from ..host import Host, form
from ..product import TRACE_ID, Page, Product

__all__ = ["StarletteHost"]


class StarletteHost(Host):
    """Starlette."""

    name, kind, requires = "Starlette", "asgi", ("starlette",)

    @form(name="mount, lifespan=pipelines.lifespan.around(own)", lifespan=True, host_lifespan=True)
    def lifespan(self, product: Product) -> Any:
        routes = [*pages(product), Mount(product.mount, product.pipelines)]
        return make(product, routes, product.pipelines.lifespan.around(product.lifespan))

    @form(host_lifespan=True)
    def mount(self, product: Product) -> Any:
        return make(product, [*pages(product), Mount(product.mount, product.pipelines)], product.lifespan)

    @form(name="PipelineMiddleware", lifespan=True, host_lifespan=True)
    def middleware(self, product: Product) -> Any:
        ours = Middleware(PipelineMiddleware, pipelines=product.pipelines, path=product.mount)
        return make(product, pages(product), product.lifespan, ours)

    @form(lifespan=True, host_lifespan=True)
    def wrap(self, product: Product) -> Any:
        return product.pipelines.wrap(make(product, pages(product), product.lifespan), product.mount)


def make(product: Product, routes: list[BaseRoute], lifespan: Any, *middleware: Middleware) -> Starlette:
    """The host."""
    return Starlette(routes=routes, lifespan=lifespan, middleware=[Middleware(Tracing), *middleware])


def pages(product: Product) -> list[BaseRoute]:
    """The host's own."""
    return [_route(page) for page in product.pages]


def _route(page: Page) -> Route:
    def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(page.answer())

    return Route(page.path, answer)


class Tracing:
    """Sets the context variable of a request, as tracing libraries do. Middleware for any ASGI host."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Passes everything on."""
        token = TRACE_ID.set(dict(scope.get("headers", [])).get(b"x-trace", b"").decode())
        try:
            await self.app(scope, receive, send)
        finally:
            TRACE_ID.reset(token)
