"""Quart: its ASGI side wrapped."""

from __future__ import annotations

from typing import Any

from quart import Quart

from ..host import Host, form
from ..product import Product

__all__ = ["QuartHost"]


class QuartHost(Host):
    """Quart."""

    name, kind, requires = "Quart", "asgi", ("quart",)

    @form(lifespan=True, host_lifespan=True)
    def wrap(self, product: Product) -> Any:
        app = make(product)
        app.asgi_app = product.pipelines.wrap(app.asgi_app, product.mount)
        return app


def make(product: Product) -> Any:
    """The host."""
    app = Quart("product")

    @app.while_serving
    async def serve() -> Any:
        async with product.lifespan():
            yield

    for page in product.pages:
        app.add_url_rule(page.path, page.path, page.answer)
    return app
