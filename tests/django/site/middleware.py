from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware

READ = False


@sync_and_async_middleware
def reads(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Looks at bodies before the view does, if told to."""

    def look(request: HttpRequest) -> None:
        if READ:
            assert request.body

    async def arespond(request: HttpRequest) -> Any:
        look(request)
        return await get_response(request)

    def respond(request: HttpRequest) -> Any:
        look(request)
        return get_response(request)

    return arespond if iscoroutinefunction(get_response) else respond


def sync_only(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """As many are: under ASGI Django calls it, and what is behind it, from a thread."""

    def respond(request: HttpRequest) -> Any:
        response = get_response(request)
        response["x-sync-only"] = "yes"
        return response

    return respond


def impersonates(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Puts another user in place of the one who is logged in, as lazily as Django does."""
    from django.contrib.auth.models import User
    from django.utils.functional import SimpleLazyObject

    def respond(request: HttpRequest) -> Any:
        request.user = SimpleLazyObject(lambda: User.objects.get(username="other"))  # type: ignore[assignment]  # stands in
        return get_response(request)

    return respond
