"""What stands before the routes of an app that was told to have something there; others have no front.

From the outside in: errors become problems and every answer gets its headers; the host allow-list; CORS; the author's
middleware, in the order given; the routes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from ..browsers import Cors
from ..errors import HostNotAllowedError, MalformedRequestError, PipemountError
from ..runtime.lending import NotInlineError
from ..types import ASGIApp, Message, Receive, Scope, Send
from .describe import link
from .exchange import Exchange
from .extras import wrapped
from .failing import confess, explain
from .handshake import refuse
from .paths import locate

__all__ = ["Front", "check_host"]


PASSED = "pipemount.front"


class Front:
    """An ASGI app in front of another, which asks by ``take_mark`` whether a scope has come through here.

    Args:
        app: What it is in front of.
        exchange: Makes the exchange of a scope.
        allowed_hosts: Names that ``Host`` may have; empty: all.
        cors: Which pages of other origins may call.
        middleware: The author's, the first outermost.
    """

    def __init__(
        self,
        app: ASGIApp,
        exchange: Callable[[Scope, Receive, Send], Exchange],
        *,
        allowed_hosts: Collection[str],
        cors: Cors | None,
        middleware: Sequence[Middleware],
    ) -> None:
        self._exchange, self._hosts = exchange, frozenset(host.lower() for host in allowed_hosts)
        self._behind = app
        inside = wrapped(self._hand_over, middleware)
        self._app = _Cors(inside, cors) if cors is not None else inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand over."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        exchange = self._exchange(scope, receive, send)
        try:
            check_host(scope, self._hosts)
            await self._app(scope, receive, exchange.send_finished)
        except PipemountError as error:
            await explain(exchange, error)
        except NotInlineError:
            raise
        except Exception as error:
            await confess(exchange, error)

    def take_mark(self, scope: Scope) -> bool:
        """Whether ``scope`` has just come through; the mark that says so is taken off."""
        return scope.pop(PASSED, None) is self

    async def _hand_over(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[PASSED] = self
        await self._behind(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check_host(scope, self._hosts)
        except HostNotAllowedError as error:
            await receive()
            await refuse(scope, send, error, link(*locate(scope)))
        else:
            await self._app(scope, receive, send)


def check_host(scope: Scope, allowed: Collection[str]) -> None:
    """Raise ``HostNotAllowedError`` unless the request's ``Host`` is one of ``allowed``, or those are none."""
    if not allowed or "*" in allowed:
        return
    sent = [value for name, value in scope["headers"] if name.lower() == b"host"]
    host = sent[0].decode("latin-1").lower() if len(sent) == 1 else ""
    name = host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]
    name = name.removesuffix(".")
    if name in allowed or any("*" + name[dot:] in allowed for dot, char in enumerate(name) if char == "."):
        return
    raise HostNotAllowedError(host=host)


class _Cors(CORSMiddleware):
    """Starlette's, whose refusals are problems, as all others are."""

    def __init__(self, app: ASGIApp, cors: Cors) -> None:
        options: dict[str, Any] = {name: getattr(cors, name) for name in cors.__slots__}
        super().__init__(app, **options)

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        """As Starlette's from 1.0 on, with every release: earlier ones let a cookie's page in by name, for a star."""
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers, origin = MutableHeaders(scope=message), request_headers.get("origin")
            if origin is not None:
                headers.update(self.simple_headers)
            if origin is not None and not self.allow_all_origins and self.is_allowed_origin(origin=origin):
                self.allow_explicit_origin(headers, origin)
            else:
                headers.add_vary_header("Origin")
        await send(message)

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return Response(status_code=204, headers={**dict(response.headers.items()), "content-length": "0"})
        raise MalformedRequestError(f"{bytes(response.body).decode()}: Settings(cors=Cors(…)) tells what is allowed")
