"""The view: one object that is a sync view for Django's WSGI handler and an async one for its ASGI handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeAlias

from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ..bridge.wsgi import WSGIBridge
from ..errors import CsrfFailedError
from ..http.application import Application
from ..http.handover import hand_over
from ..http.routes import PARAMETER
from ..types import Principal, Scope
from . import asynchronous, synchronous
from .csrf import acheck_token, check_token, needs_token
from .requests import make_scope
from .responses import explain
from .transactions import aatomic, atomic
from .users import Users

__all__ = ["PipelineView"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
_Handover: TypeAlias = tuple[Scope, bool, bool]
"""What the decorators pass on unseen: the scope, whether a key decides who calls, and whether a token was checked."""


@markcoroutinefunction
def _marked() -> None: ...


MARKS = vars(_marked)
"""What tells a coroutine function from others, in this version of Python."""


def _on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class PipelineView:
    """Hands requests over to the pipelines.

    Django asks a view whether it is a coroutine function just before it calls it, in the thread that calls it. So
    the answer depends on that thread: yes if a loop runs in it.

    Args:
        pipelines: The app.
        before: View decorators, the outermost first.
        users: Who is calling.
        name: The URL namespace.
    """

    csrf_exempt = True  # for Django's middleware, which would take the body; the check is made in ``csrf.py``

    def __init__(self, pipelines: Application, before: tuple[Decorator, ...], users: Users, name: str) -> None:
        self.pipelines, self.before, self.users, self.name = pipelines, before, users, name
        self.__name__ = self.__qualname__ = name
        self._bridge = WSGIBridge(pipelines)
        self._sync = _decorated(self._respond, before)
        self._async = _decorated_async(self._arespond, before)
        own = vars(self._sync) if before else {}
        vars(self).update({key: value for key, value in own.items() if key != "__wrapped__"})

    def __repr__(self) -> str:
        return f"pipelines {self.name!r}"

    def __getattr__(self, name: str) -> Any:
        if name in MARKS and _on_loop():
            return MARKS[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def _non_atomic_requests(self) -> frozenset[str]:
        """All databases, for Django, which refuses async views otherwise; see ``transactions.py``."""
        return frozenset(connections)

    def __call__(self, request: HttpRequest, **captured: Any) -> Any:
        """Answers, or returns what is to be awaited for the answer."""
        return (self._acall if _on_loop() else self._call)(request, **captured)

    # ---------------------------------------------------------------------------------------------- WSGI

    def _call(self, request: HttpRequest, rest: str, **captured: Any) -> HttpResponseBase:
        scope = make_scope(request, rest.replace(PARAMETER, captured.get("job_id", "")))
        by_key = self.pipelines.goes_by_key(scope)
        checked = not by_key and needs_token(request)
        try:
            if checked:
                check_token(request)
        except CsrfFailedError as error:
            return explain(error, scope, request)
        response: HttpResponseBase = self._sync(request, **captured, handover=(scope, by_key, checked))
        return response

    def _respond(self, request: HttpRequest, handover: _Handover, **captured: Any) -> HttpResponseBase:
        scope, by_key, checked = handover
        if not by_key:
            self._hand_over(scope, self.users.principal(request), checked)
        return atomic(self.pipelines, scope, lambda: synchronous.answer(self.pipelines, self._bridge, scope, request))

    # ---------------------------------------------------------------------------------------------- ASGI

    async def _acall(self, request: HttpRequest, rest: str, **captured: Any) -> HttpResponseBase:
        scope = make_scope(request, rest.replace(PARAMETER, captured.get("job_id", "")))
        by_key = self.pipelines.goes_by_key(scope)
        checked = not by_key and needs_token(request)
        try:
            if checked:
                await acheck_token(request)
        except CsrfFailedError as error:
            return explain(error, scope, request)
        response: HttpResponseBase = await self._async(request, **captured, handover=(scope, by_key, checked))
        return response

    async def _arespond(self, request: HttpRequest, handover: _Handover, **captured: Any) -> HttpResponseBase:
        scope, by_key, checked = handover
        if not by_key:
            self._hand_over(scope, await self.users.aprincipal(request), checked)
        return await aatomic(self.pipelines, scope, lambda: asynchronous.answer(self.pipelines, scope, request))

    def _hand_over(self, scope: Scope, principal: Principal | None, checked: bool) -> None:
        hand_over(scope, principal=principal, guarded=self.users.guarded, token_checked=checked)


def _decorated(view: Callable[..., Any], before: tuple[Decorator, ...]) -> Callable[..., Any]:
    def respond(request: HttpRequest, **captured: Any) -> Any:
        return view(request, **captured)

    for decorator in reversed(before):
        respond = decorator(respond)
    return respond


def _decorated_async(view: Callable[..., Awaitable[Any]], before: tuple[Decorator, ...]) -> Callable[..., Any]:
    """As ``_decorated``; a decorator that knows sync views only is called in the request's thread."""

    async def respond(request: HttpRequest, **captured: Any) -> Any:
        return await view(request, **captured)

    for decorator in reversed(before):
        decorated = decorator(respond)
        respond = decorated if iscoroutinefunction(decorated) else _in_thread(decorator(async_to_sync(respond)))
    return respond


def _in_thread(view: Callable[..., Any]) -> Callable[..., Any]:
    in_thread = sync_to_async(view)

    async def respond(request: HttpRequest, **captured: Any) -> Any:
        response = await in_thread(request, **captured)
        return await response if isawaitable(response) else response

    return respond
