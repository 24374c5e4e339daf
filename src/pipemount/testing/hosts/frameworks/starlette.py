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
from ..product import Page, Product

__all__ = ["StarletteHost"]


class StarletteHost(Host):
    """Starlette."""

    name, kind, requires = "Starlette", "asgi", ("starlette",)
    everywhere = True

    @form(name="mount, own lifespan", lifespan=True, host_lifespan=True, at_root=True)
    def lifespan(self, product: Product) -> Any:
        routes = [*pages(product), Mount(product.mount, product.pipelines)]
        return Starlette(routes=routes, lifespan=product.pipelines.lifespan.around(product.lifespan))

    @form(host_lifespan=True, at_root=True)
    def mount(self, product: Product) -> Any:
        return Starlette(routes=[*pages(product), Mount(product.mount, product.pipelines)], lifespan=product.lifespan)

    @form(name="PipelineMiddleware", lifespan=True, host_lifespan=True)
    def middleware(self, product: Product) -> Any:
        ours = Middleware(PipelineMiddleware, pipelines=product.pipelines, path=product.mount)
        return Starlette(routes=pages(product), lifespan=product.lifespan, middleware=[ours])

    @form(lifespan=True, host_lifespan=True)
    def wrap(self, product: Product) -> Any:
        return product.pipelines.wrap(Starlette(routes=pages(product), lifespan=product.lifespan), product.mount)


def pages(product: Product) -> list[BaseRoute]:
    """The host's own."""
    return [_route(page) for page in product.pages]


def _route(page: Page) -> Route:
    def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(page.answer())

    return Route(page.path, answer)
