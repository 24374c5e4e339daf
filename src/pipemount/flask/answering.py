"""A Flask request on its way to the app and back, over the bridge."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any
from wsgiref.types import WSGIEnvironment

from flask import Response, current_app, request
from werkzeug.datastructures import Headers

from ..bridge.scope import build_scope
from ..bridge.wsgi import WSGIBridge
from ..http.handover import hand_over

__all__ = ["answer"]


def answer(bridge: WSGIBridge, depth: int, **known: Any) -> Response:
    """What the app answers to the current request, as a response that the host's hooks and its session add to.

    Args:
        bridge: Leads to the app.
        depth: How many segments of the path the app's mount has.
        **known: What the host knows of the request; see ``hand_over``.

    A response that comes piece by piece is passed on so; host code that asks for the whole of it is refused by Flask.
    """
    scope = build_scope(request.environ)
    scope["root_path"] += "/".join(request.path.split("/", depth + 1)[: depth + 1])
    hand_over(scope, **known)
    started = _Started()
    body = bridge.answer(scope, _with_body(request.environ), started)
    response = current_app.response_class(body, started.status, direct_passthrough=not isinstance(body, list))
    response.headers = Headers(started.headers)
    return response


def _with_body(environ: WSGIEnvironment) -> WSGIEnvironment:
    """``environ``, with the body once more if code of the host has read it: Flask has kept it then."""
    read: bytes | None = getattr(request, "_cached_data", None)
    if read is None:
        return environ
    return {**environ, "wsgi.input": BytesIO(read), "CONTENT_LENGTH": str(len(read)), "HTTP_TRANSFER_ENCODING": ""}


class _Started:
    """A ``start_response`` that remembers."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []

    def __call__(self, status: str, headers: list[tuple[str, str]], error: Any = None, /) -> Callable[[bytes], object]:
        self.status, self.headers = status, headers
        return _write


def _write(part: bytes) -> object:
    raise NotImplementedError("the bridge returns what there is to write")
