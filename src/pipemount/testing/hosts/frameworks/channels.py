"""Channels: the pipelines in its routers, beside Django."""

from __future__ import annotations

from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import re_path

from ..host import form
from ..product import Product
from .django import DjangoHost, route

__all__ = ["ChannelsHost"]


class ChannelsHost(DjangoHost):
    """Channels' ``URLRouter``, with and without the lifespan in a ``ProtocolTypeRouter``."""

    name, kind, requires = "Channels", "asgi", ("django", "channels")

    @form(name="ProtocolTypeRouter", lifespan=True)
    def with_lifespan(self, product: Product) -> Any:
        both = router(product)
        return ProtocolTypeRouter({"http": both, "websocket": both, "lifespan": product.pipelines})

    @form(name="URLRouter")
    def router_only(self, product: Product) -> Any:
        both = router(product)
        return ProtocolTypeRouter({"http": both, "websocket": both})


def router(product: Product) -> Any:
    """Both, by path."""
    route(product)
    pipelines: Any = product.pipelines
    rest: Any = get_asgi_application()
    return URLRouter([re_path(f"^{product.mount.lstrip('/')}(?:/|$)", pipelines), re_path("", rest)])
