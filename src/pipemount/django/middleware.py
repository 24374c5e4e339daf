"""For the project's own views: whoever is logged in is the principal of the pipelines that they run.

::

    MIDDLEWARE = [
        ...,
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "pipemount.django.middleware.acting_user",
    ]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware

from ..types import Principal
from .users import Users

__all__ = ["acting_user", "current_principal"]

Ask = Callable[[], Principal | None]

_ASK: ContextVar[Ask | None] = ContextVar("pipemount_django_user", default=None)
_USERS = Users(None, None)


def current_principal() -> Principal | None:
    """The user of the request that is being answered; ``None`` outside of one, or without the middleware."""
    ask = _ASK.get()
    return None if ask is None else ask()


@sync_and_async_middleware
def acting_user(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """A middleware, behind the one for authentication.

    For sync views the user is looked up when a run is asked for; for those on a loop, where nothing can be looked up
    in passing, before the view is called.
    """

    async def arespond(request: HttpRequest) -> Any:
        principal = await _USERS.aprincipal(request)
        with _asking(lambda: principal):
            return await get_response(request)

    def respond(request: HttpRequest) -> Any:
        with _asking(partial(_USERS.principal, request)):
            return get_response(request)

    def look_up(request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any) -> None:
        if iscoroutinefunction(view):
            _USERS.principal(request)

    if iscoroutinefunction(get_response):
        return arespond
    vars(respond)["process_view"] = look_up
    return respond


@contextmanager
def _asking(ask: Ask) -> Iterator[None]:
    token = _ASK.set(ask)
    try:
        yield
    finally:
        _ASK.reset(token)
