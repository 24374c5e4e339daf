"""Litestar: mounted, and wrapped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Litestar, MediaType, asgi, get

from ..host import Host, form
from ..product import Page, Product

__all__ = ["LitestarHost"]


class LitestarHost(Host):
    """Litestar."""

    name, kind, requires = "Litestar", "asgi", ("litestar",)

    @form(lifespan=True, host_lifespan=True)
    def wrap(self, product: Product) -> Any:
        return product.pipelines.wrap(make(product), product.mount)

    @form(name="asgi(is_mount=True)", host_lifespan=True)
    def mount(self, product: Product) -> Any:
        return make(product, [asgi(product.mount, is_mount=True, copy_scope=True)(product.pipelines)])


def make(product: Product, mounted: Sequence[Any] = ()) -> Any:
    """The host."""
    pages = [_handler(page) for page in product.pages]
    return Litestar([*pages, *mounted], lifespan=[product.lifespan], openapi_config=None)


def _handler(page: Page) -> Any:
    @get(page.path, media_type=MediaType.TEXT, sync_to_thread=True)
    def answer() -> str:
        return page.answer()

    return answer
