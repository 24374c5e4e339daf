"""Endpoints of the author's own: found after the app's routes, answered by Starlette, guarded as all others are."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.convertors import StringConvertor
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount, Route

from ..errors import ConfigurationError, MethodNotAllowedError, NotFoundError, PipemountError, RequestError
from ..types import ASGIApp, Receive, Scope, Send
from .exchange import Exchange
from .extras import Endpoint, Permission
from .paths import child_scope
from .routes import Route as TableRoute
from .routes import as_template

__all__ = ["Custom", "customs", "permission_for", "table_routes"]

ASGI = ("scope", "receive", "send")
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def permission_for(permission: Permission, method: str) -> str | None:
    """What a caller must hold who asks with ``method``."""
    if permission == "by-method":
        return "read" if method in ("GET", "HEAD", "OPTIONS") else "invoke"
    return permission


class Custom:
    """One endpoint, ready to answer.

    Args:
        endpoint: As it was given.
        app: What ``request.app`` is.
    """

    def __init__(self, endpoint: Endpoint | BaseRoute, app: object) -> None:
        self.given = endpoint if isinstance(endpoint, Endpoint) else Endpoint("/", endpoint.handle)
        self._route: BaseRoute = endpoint if isinstance(endpoint, BaseRoute) else _as_route(endpoint)
        self._app = app

    @property
    def path(self) -> str | None:
        """Where it answers, if it is one path and no pattern."""
        route: Any = self._route
        return str(route.path) if isinstance(route, Route) and not route.param_convertors else None

    @property
    def place(self) -> str:
        """What all paths begin with at which it answers."""
        route: Any = self._route
        return str(getattr(route, "path", "")).partition("{")[0].rstrip("/")

    @property
    def template(self) -> str | None:
        """Where it answers, as the app's own routes write it, if its path has one parameter and that takes any text."""
        route: Any = self._route
        taken = list(route.param_convertors.values()) if isinstance(route, Route) else []
        return as_template(route.path)[0] if [type(one) for one in taken] == [StringConvertor] else None

    @property
    def methods(self) -> tuple[str, ...]:
        """What it answers."""
        return tuple(sorted(getattr(self._route, "methods", None) or METHODS))

    def permission(self, method: str) -> str | None:
        """What a caller must hold who asks with ``method``."""
        return permission_for(self.given.permission, method)

    def matches(self, scope: Scope, base: str, rest: str) -> Match:
        """Whether it answers at ``rest``, and the method."""
        return self._route.matches({**scope, "root_path": base, "path": base + self._below(rest)})[0]

    async def __call__(self, exchange: Exchange, rest: str | None = None) -> None:
        """Answer. Raises a ``PipemountError`` where the endpoint raises an ``HTTPException``."""
        scope = child_scope(exchange.scope, exchange.base, self._below(rest or self.path or exchange.rest))
        scope.pop("starlette.exception_handlers", None)  # the host's; its pages are not the app's problems
        scope["app"] = self._app
        scope["state"] = {**(scope.get("state") or {}), "principal": exchange.principal}
        _, found = self._route.matches(scope)
        scope.update(found)
        try:
            await self._route.handle(scope, exchange.receive, exchange.send_finished)
        except HTTPException as error:
            raise as_error(error, exchange.scope["method"]) from error

    def _below(self, rest: str) -> str:
        """``rest``, with a slash where it is a mount's own path, which Starlette takes for none of the mount's."""
        return rest + "/" if isinstance(self._route, Mount) and rest == self._route.path else rest


def customs(endpoints: Sequence[Endpoint | BaseRoute], app: object) -> tuple[Custom, ...]:
    """All of them."""
    return tuple(Custom(endpoint, app) for endpoint in endpoints)


def table_routes(found: Sequence[Custom]) -> Iterator[TableRoute]:
    """Those at one path, for the app's table: hosts make URLs of that, and the OpenAPI document."""
    for custom in found:
        if custom.path is not None:
            first = custom.methods[0]
            described = custom.given.openapi
            yield TableRoute(
                custom.path,
                custom.methods,
                "custom",
                custom.permission(first),
                documented=described is not None,
                openapi=described,
            )


def _as_route(endpoint: Endpoint) -> BaseRoute:
    path, handler = endpoint.path, endpoint.handler
    methods = list(endpoint.methods) if endpoint.methods is not None else None
    try:
        if _is_function(handler):
            return Route(path, _answering(handler), methods=methods)
        if isinstance(handler, type) and issubclass(handler, HTTPEndpoint):
            return Route(path, handler, methods=methods)
        if methods is not None:
            return Route(path, _Application(handler), methods=methods)
    except (AssertionError, ValueError) as error:
        raise ConfigurationError(f"Endpoint({path!r}): {error}") from error
    return Mount(path, app=handler)


def _is_function(handler: Any) -> bool:
    while isinstance(handler, partial):
        handler = handler.func
    taken = tuple(inspect.signature(handler).parameters) if inspect.isroutine(handler) else ASGI
    return taken[-3:] != ASGI


def _answering(handler: Callable[..., Any]) -> Callable[[Request], Awaitable[Response]]:
    """``handler`` as Starlette has them: async, and with a response."""
    awaited = inspect.iscoroutinefunction(handler.func if isinstance(handler, partial) else handler)

    async def answer(request: Request) -> Response:
        found = await handler(request) if awaited else await run_in_threadpool(handler, request)
        return found if isinstance(found, Response) else Response(to_json(found), media_type="application/json")

    return answer


class _Application:
    """An ASGI application that Starlette does not take for a function of the request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def as_error(error: HTTPException, method: str) -> PipemountError:
    """An ``HTTPException`` as a problem: its status, its words, its headers."""
    if error.status_code == 404:
        return NotFoundError(error.detail)
    if error.status_code == 405 and error.headers is not None and "Allow" in error.headers:
        return MethodNotAllowedError(method=method, allowed=error.headers["Allow"].split(", "))
    found = RequestError(error.detail) if error.status_code < 500 else PipemountError(error.detail)
    found.status = error.status_code
    found.title = HTTPStatus(error.status_code).phrase  # type: ignore[misc]  # of this one
    found.headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return found
