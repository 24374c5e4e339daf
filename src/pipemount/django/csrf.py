"""Cross-site request forgery: Django's own check, by the token in the header and nothing else.

Django's middleware looks for the token in the form first, which takes the body away from whoever comes later. So the
view is exempt from it, and requests that a cookie could vouch for are checked here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from ..errors import CsrfFailedError

__all__ = ["acheck_token", "check_token", "needs_token"]

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

logger = logging.getLogger("django.security.csrf")


def needs_token(request: HttpRequest) -> bool:
    """Whether a browser may have been made to send this request, which brings no key, in somebody's name."""
    if request.method in SAFE:
        return False
    sent = request.META
    return bool(sent.get("HTTP_COOKIE") or request.COOKIES or sent.get("REMOTE_USER"))


def check_token(request: HttpRequest) -> None:
    """Raises ``CsrfFailedError`` unless the header has the token that the project gave to this browser."""
    check = _HeaderCheck(_no_view)
    unread: Any = _Unread(request)
    check.process_view(unread, _no_view, (), {})
    if check.reason is not None:
        extra = {"status_code": CsrfFailedError.status, "request": request}
        logger.warning("Forbidden (%s): %s", check.reason, request.path, extra=extra)
        header = settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-").title()
        raise CsrfFailedError(reason=check.reason, header=header)


async def acheck_token(request: HttpRequest) -> None:
    """As ``check_token``; a token that is kept in the session is looked up in the request's thread."""
    if settings.CSRF_USE_SESSIONS:
        await sync_to_async(check_token)(request)
    else:
        check_token(request)


def _no_view(request: HttpRequest) -> HttpResponse:
    raise NotImplementedError  # pragma: no cover - the check looks at its attributes only


class _HeaderCheck(CsrfViewMiddleware):
    """Django's check; tells the reason instead of answering with Django's page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        super().__init__(get_response)
        self.reason: str | None = None

    def _reject(self, request: HttpRequest, reason: str) -> None:
        self.reason = reason


class _Unread:
    """A request as the check sees it: without the form, which would have to be read from the body."""

    POST: MappingProxyType[str, str] = MappingProxyType({})

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)
