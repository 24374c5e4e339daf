"""WSGI applications without a line of their own: Bottle, Pyramid, Falcon, and a plain function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..host import Host, form
from ..product import Page, Product

__all__ = ["BottleHost", "FalconHost", "PlainHost", "PyramidHost"]


class WSGIHost(Host):
    """A WSGI callable, wrapped."""

    kind = "wsgi"

    def make(self, product: Product) -> Any:
        """The host."""
        raise NotImplementedError

    @form()
    def wrap_wsgi(self, product: Product) -> Any:
        return product.pipelines.wrap_wsgi(self.make(product), product.mount)


class PlainHost(WSGIHost):
    """A function ``(environ, start_response)``."""

    name, everywhere = "Plain WSGI", True

    def make(self, product: Product) -> Any:
        pages = {page.path: page.answer for page in product.pages}

        def app(environ: Any, start_response: Any) -> Iterable[bytes]:
            answer = pages.get(environ["PATH_INFO"])
            body = answer().encode() if answer else b"nothing here"
            headers = [("content-type", "text/plain"), ("content-length", str(len(body)))]
            start_response("200 OK" if answer else "404 Not Found", headers)
            return [body]

        return app


class BottleHost(WSGIHost):
    """Bottle: wrapped, and mounted."""

    name, requires = "Bottle", ("bottle",)

    def make(self, product: Product) -> Any:
        import bottle

        app = bottle.Bottle()
        for page in product.pages:
            app.route(page.path, callback=page.answer)
        return app


class FalconHost(WSGIHost):
    """Falcon."""

    name, requires = "Falcon", ("falcon",)

    def make(self, product: Product) -> Any:
        import falcon

        app = falcon.App()
        for page in product.pages:
            app.add_route(page.path, _Resource(page))
        return app


class _Resource:
    def __init__(self, page: Page) -> None:
        self.page = page

    def on_get(self, request: Any, response: Any) -> None:
        response.text = self.page.answer()


class PyramidHost(WSGIHost):
    """Pyramid."""

    name, requires = "Pyramid", ("pkg_resources", "pyramid")  # Pyramid 2.1 does not say so

    def make(self, product: Product) -> Any:
        from pyramid.config import Configurator

        configurator = Configurator()
        for page in product.pages:
            name = page.path.strip("/")
            configurator.add_route(name, page.path)
            configurator.add_view(_view(page), route_name=name)
        return configurator.make_wsgi_app()


def _view(page: Page) -> Any:
    from pyramid.response import Response

    def answer(request: Any) -> Any:
        return Response(page.answer())

    return answer
