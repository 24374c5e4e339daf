"""What tracing libraries do around any host: a context variable for the time of a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...types import ASGIApp, Receive, Scope, Send
from .product import TRACE_ID

__all__ = ["traced", "traced_wsgi"]


def traced(app: ASGIApp) -> ASGIApp:
    """``app``, with the header ``X-Trace`` in ``TRACE_ID``."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        token = TRACE_ID.set(dict(scope.get("headers", [])).get(b"x-trace", b"").decode())
        try:
            await app(scope, receive, send)
        finally:
            TRACE_ID.reset(token)

    return answer


def traced_wsgi(app: Any) -> Any:
    """As ``traced``, for a WSGI callable."""

    def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
        token = TRACE_ID.set(environ.get("HTTP_X_TRACE", ""))
        try:
            answered: Iterable[bytes] = app(environ, start_response)
        finally:
            TRACE_ID.reset(token)
        return answered

    return answer
