"""FastAPI: included with the host's login, mounted, as middleware, and wrapped."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import PlainTextResponse

from ....http.middleware import PipelineMiddleware
from ..host import Host, form
from ..product import Page, Product

__all__ = ["FastAPIHost"]


class FastAPIHost(Host):
    """FastAPI."""

    name, kind, requires = "FastAPI", "asgi", ("fastapi",)
    everywhere = True

    @form(name="include_router", lifespan=True, host_lifespan=True, login=True, nested=True)
    def include(self, product: Product) -> Any:
        app = make(product)
        app.include_router(product.pipelines.router(), prefix=product.mount, dependencies=[Depends(login)])
        return app

    @form(host_lifespan=True, at_root=True)
    def mount(self, product: Product) -> Any:
        app = make(product)
        app.mount(product.mount, product.pipelines)
        return app

    @form(name="PipelineMiddleware", lifespan=True, host_lifespan=True)
    def middleware(self, product: Product) -> Any:
        app = make(product)
        app.add_middleware(PipelineMiddleware, pipelines=product.pipelines, path=product.mount)
        return app

    @form(lifespan=True, host_lifespan=True)
    def wrap(self, product: Product) -> Any:
        return product.pipelines.wrap(make(product), product.mount)


async def login(x_user: Annotated[str | None, Header()] = "ada") -> None:
    """Whoever does not say otherwise is Ada; a stranger is sent away.

    Async, because a thread that such a dependency had for an open WebSocket keeps daphne from ending, pipelines or not.
    """
    if x_user != "ada":
        raise HTTPException(401, "log in")


def make(product: Product) -> FastAPI:
    """The host."""
    app = FastAPI(lifespan=product.lifespan, openapi_url=None)
    for page in product.pages:
        _add_page(app, page)
    return app


def _add_page(app: FastAPI, page: Page) -> None:
    @app.get(page.path, response_class=PlainTextResponse)
    def answer() -> str:
        return page.answer()
