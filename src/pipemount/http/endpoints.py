"""The routes that tell about the app: health, index, info, schema, OpenAPI and the docs page. None is hot."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic_core import to_json
from starlette.responses import Response

from ..errors import NotAcceptableError
from . import describe, docs_page
from .exchange import Exchange
from .headers import accepts_html, accepts_json, prefers_html
from .openapi import build_openapi
from .problems import Headers
from .routes import Route

if TYPE_CHECKING:
    from .application import Application

__all__ = ["Endpoints"]

Answer = Callable[[Exchange], Awaitable[None]]


class Endpoints:
    """One answer per kind of route; ``answer(route)`` gives it."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._openapi = functools.lru_cache(maxsize=16)(self._build_openapi)  # by base: a host may mount twice
        self._answers: Mapping[str, Callable[[Route, Exchange], Awaitable[None]]] = {
            "index": self._index,
            "live": self._live,
            "ready": self._ready,
            "openapi": self._openapi_document,
            "docs": self._docs,
            "asset": self._asset,
            "pipelines": self._pipelines,
            "info": self._info,
            "schema": self._schema,
        }

    def answer(self, route: Route) -> Answer:
        """What answers at ``route``."""
        return functools.partial(self._answers[route.endpoint], route)

    # ------------------------------------------------------------------------------------------ health

    async def _live(self, route: Route, exchange: Exchange) -> None:
        await _send_json(exchange, {"status": "live"})

    async def _ready(self, route: Route, exchange: Exchange) -> None:
        """Starts the app where nothing has yet: without a lifespan a probe is often the first to ask."""
        await self._app.lifecycle.ensure_ready()
        await _send_json(exchange, {"status": "ready"})

    # ---------------------------------------------------------------------------------------- describing

    async def _index(self, route: Route, exchange: Exchange) -> None:
        if prefers_html(exchange.headers.accept):
            location = quote(exchange.base + "/docs").encode("ascii")
            await exchange.respond(307, [(b"location", location), (b"content-length", b"0")], b"")
        else:
            await _send_json(exchange, describe.index(self._app.routes, exchange.base))

    async def _pipelines(self, route: Route, exchange: Exchange) -> None:
        await _send_json(exchange, describe.pipelines(self._app.pipelines, exchange.base))

    async def _info(self, route: Route, exchange: Exchange) -> None:
        service = self._app.services[route.pipeline or ""]
        document = describe.info(
            service.name,
            service.compiled,
            settings=self._app.settings,
            schemes=self._schemes,
            base=exchange.base,
        )
        await _send_json(exchange, document)

    async def _schema(self, route: Route, exchange: Exchange) -> None:
        await _send_json(exchange, describe.schema(self._app.services[route.pipeline or ""].compiled))

    async def _openapi_document(self, route: Route, exchange: Exchange) -> None:
        _accept_json(exchange)
        await exchange.respond(200, _headers(b"application/json", body := self._openapi(exchange.base)), body)

    def _build_openapi(self, base: str) -> bytes:
        document = build_openapi(
            self._app.pipelines, self._app.routes, settings=self._app.settings, schemes=self._schemes, base=base
        )
        return to_json(document)

    @property
    def _schemes(self) -> tuple[str, ...]:
        return self._app.auth.accept if self._app.auth else ()

    # --------------------------------------------------------------------------------------------- docs

    async def _docs(self, route: Route, exchange: Exchange) -> None:
        if not accepts_html(exchange.headers.accept):
            raise NotAcceptableError("this route answers text/html; GET the sibling openapi.json for JSON")
        await _send(exchange, docs_page.page(exchange.base, self._app.title, self._app.routes))

    async def _asset(self, route: Route, exchange: Exchange) -> None:
        await _send(exchange, docs_page.asset(route.path.rpartition("/")[2]))


def _accept_json(exchange: Exchange) -> None:
    if not accepts_json(exchange.headers.accept):
        raise NotAcceptableError("this route answers application/json; name it in Accept, or send no Accept")


async def _send_json(exchange: Exchange, value: Any) -> None:
    _accept_json(exchange)
    body = to_json(value)
    await exchange.respond(200, _headers(b"application/json", body), body)


async def _send(exchange: Exchange, response: Response) -> None:
    await exchange.respond(response.status_code, list(response.raw_headers), bytes(response.body))


def _headers(media_type: bytes, body: bytes) -> Headers:
    return [(b"content-type", media_type), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-cache")]
