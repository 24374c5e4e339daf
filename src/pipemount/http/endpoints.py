"""The routes that tell about the app: health, index, info, schema, OpenAPI and the docs page. None is hot."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pydantic_core import to_json
from starlette.responses import Response

from ..adapters.protocol import CompiledPipeline, GraphView
from ..errors import NotAcceptableError
from ..settings import Settings
from ..types import JsonObject
from . import describe, docs_page
from .exchange import Exchange
from .headers import accepts_html, accepts_json, prefers_html
from .openapi import build_openapi
from .problems import Headers
from .routes import Route

__all__ = ["About", "Endpoints"]

Answer = Callable[[Exchange], Awaitable[None]]

Described = tuple[Route, str, GraphView | None]
"""The route, the base, and what is drawn where that changes."""

KEPT = 256
"""Descriptions that are kept; more of them would be of more bases than any host mounts an app at."""


@dataclass(frozen=True, slots=True)
class About:
    """What there is to tell of an app."""

    pipelines: Mapping[str, CompiledPipeline]
    routes: tuple[Route, ...]
    settings: Settings
    schemes: tuple[str, ...]
    jobs: Callable[[], JsonObject]

    @property
    def title(self) -> str:
        """What people know the app by."""
        return self.settings.title or ", ".join(self.pipelines)


class Endpoints:
    """One answer per kind of route; ``answer(route)`` gives it.

    Descriptions are made once per base (a host may mount the app twice) and kept as bytes. They are made in a thread:
    drawing ten thousand steps takes a second, in which the loop has other requests to answer.
    """

    def __init__(self, about: About, ensure_ready: Callable[[], Awaitable[None]]) -> None:
        self._about, self._ensure_ready = about, ensure_ready
        self._docs_path = describe.place(about.routes, "/docs")
        self._described: dict[Described, bytes] = {}
        self._describing = threading.Lock()
        self._answers: Mapping[str, Callable[[Route, Exchange], Awaitable[None]]] = {
            "index": self._index,
            "live": self._live,
            "ready": self._ready,
            "docs": self._docs,
            "asset": self._asset,
        }

    def answer(self, route: Route) -> Answer:
        """What answers at ``route``."""
        return functools.partial(self._answers.get(route.endpoint, self._document), route)

    # ------------------------------------------------------------------------------------------ health

    async def _live(self, route: Route, exchange: Exchange) -> None:
        await _send_json(exchange, b'{"status":"live"}')

    async def _ready(self, route: Route, exchange: Exchange) -> None:
        """Starts the app where nothing has yet: without a lifespan a probe is often the first to ask."""
        await self._ensure_ready()
        await _send_json(exchange, b'{"status":"ready"}')

    # -------------------------------------------------------------------------------------- describing

    async def _document(self, route: Route, exchange: Exchange) -> None:
        what = route, exchange.base, self._drawn(route)
        if (body := self._described.get(what)) is None:
            body = await asyncio.to_thread(self._describe, what)
        await _send_json(exchange, body)

    async def _index(self, route: Route, exchange: Exchange) -> None:
        if self._docs_path is None or not prefers_html(exchange.headers.get(b"accept")):
            await self._document(route, exchange)
            return
        location = describe.link(exchange.base, self._docs_path or "").encode("ascii")
        await exchange.respond(307, [(b"location", location), (b"content-length", b"0")], b"")

    def _drawn(self, route: Route) -> GraphView | None:
        """What may change in a description: the graph of a pipeline that draws what its last run did."""
        if route.endpoint != "info":
            return None
        graph = self._about.pipelines[route.pipeline or ""].graph
        return graph if graph.fidelity == "opaque" else None

    def _describe(self, what: Described) -> bytes:
        """In a thread; those that come while one describes wait, and mostly find that it is done."""
        with self._describing:
            if (body := self._described.get(what)) is None:
                if len(self._described) >= KEPT:
                    self._described.clear()
                body = self._described[what] = self._description(*what)
            return body

    def _description(self, route: Route, base: str, drawn: GraphView | None) -> bytes:
        about = self._about
        match route.endpoint:
            case "index":
                return to_json(describe.index(about.routes, base))
            case "pipelines":
                return to_json(describe.pipelines(about.pipelines, about.routes, base))
            case "openapi":
                settings = about.settings
                return to_json(
                    build_openapi(about.pipelines, about.routes, settings=settings, schemes=about.schemes, base=base)
                )
        name = route.pipeline or ""
        if route.endpoint == "schema":
            return to_json(describe.schema(about.pipelines[name]))
        return to_json(
            describe.info(
                name,
                about.pipelines[name],
                routes=about.routes,
                settings=about.settings,
                schemes=about.schemes,
                base=base,
                jobs=about.jobs(),
            )
        )

    # --------------------------------------------------------------------------------------------- docs

    async def _docs(self, route: Route, exchange: Exchange) -> None:
        if not accepts_html(exchange.headers.get(b"accept")):
            raise NotAcceptableError("this route answers text/html; GET the sibling openapi.json for JSON")
        await _send(exchange, docs_page.page(exchange.base, self._about.title, self._about.routes))

    async def _asset(self, route: Route, exchange: Exchange) -> None:
        await _send(exchange, docs_page.asset(route.known_as.rpartition("/")[2]))


async def _send_json(exchange: Exchange, body: bytes) -> None:
    if not accepts_json(exchange.headers.get(b"accept")):
        raise NotAcceptableError("this route answers application/json; name it in Accept, or send no Accept")
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-cache"),
    ]
    await exchange.respond(200, headers, body)


async def _send(exchange: Exchange, response: Response) -> None:
    await exchange.respond(response.status_code, list(response.raw_headers), bytes(response.body))
