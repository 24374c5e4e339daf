"""Django's responses, from status, headers and body."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TypeAlias, TypeVar

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from ..errors import PipemountError
from ..http.describe import link
from ..http.headers import clean_request_id
from ..http.paths import locate
from ..http.problems import problem
from ..types import Scope

__all__ = ["Headers", "explain", "respond", "respond_in_parts"]

R = TypeVar("R", bound=HttpResponseBase)
Headers: TypeAlias = list[tuple[str, str]]


def respond(status: int, headers: Headers, body: bytes) -> HttpResponse:
    """A response that is whole."""
    return _with_headers(HttpResponse(body, content_type="", status=status), headers)


def respond_in_parts(
    request: HttpRequest, status: int, headers: Headers, parts: Iterable[bytes] | AsyncIterable[bytes]
) -> StreamingHttpResponse:
    """A response whose parts are sent as they come: an iterator under WSGI, an async one under ASGI.

    Events are not compressed on their way: ``GZipMiddleware`` would keep them until there is enough to compress. It
    asks the request, when the view has answered.
    """
    if any(name == "content-type" and value.startswith("text/event-stream") for name, value in headers):
        request.META.pop("HTTP_ACCEPT_ENCODING", None)
    return _with_headers(StreamingHttpResponse(parts, content_type="", status=status), headers)


def explain(error: PipemountError, scope: Scope, request: HttpRequest) -> HttpResponse:
    """``error`` as the app itself would answer it, for what is refused before the app is asked."""
    status, headers, body = problem(error, instance=link(*locate(scope)))
    sent = request.META.get("HTTP_X_REQUEST_ID", "").encode("latin-1", "replace")
    if echo := clean_request_id(sent):
        headers.append((b"x-request-id", echo))
    return respond(status, [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers], body)


def _with_headers(response: R, headers: Headers) -> R:
    """Django keeps one value for each name: values are joined, cookies go where Django keeps those."""
    del response.headers["content-type"]  # Django's guess; the app says its own, or has nothing to say
    for name, value in headers:
        if name == "set-cookie":
            response.cookies.load(value)
        elif name in response.headers:
            response.headers[name] = f"{response.headers[name]}, {value}"
        else:
            response.headers[name] = value
    return response
