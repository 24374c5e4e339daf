"""A Flask request on its way to the app and back, over the bridge."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any
from weakref import ref
from wsgiref.types import WSGIEnvironment

from flask import Request, Response, request

from ..bridge.answer import Answer
from ..bridge.wsgi import WSGIBridge
from ..types import Scope

__all__ = ["answer", "let_go"]

UNDER_WAY = "pipemount.answer"


def answer(request: Request, bridge: WSGIBridge, scope: Scope, respond: type[Response]) -> Response:
    """What the app answers to ``request``, as a response that the host's hooks and its session can add to.

    Args:
        request: The request itself, not Flask's proxy for it.
        bridge: Leads to the app.
        scope: The request for the app, with what the host knows of it.
        respond: The host's class of responses.

    A response that comes piece by piece is passed on so; host code that asks for the whole of it is refused by Flask.
    """
    started = _Started()
    body = bridge.answer(scope, _with_body(request), started)
    if isinstance(body, Answer):
        request.environ[UNDER_WAY] = ref(body)
    response = respond(body, started.status, started.headers, direct_passthrough=not isinstance(body, list))
    if "content-type" not in dict(started.headers):
        response.headers.remove("content-type")  # which Flask adds where there is none
    return response


def let_go(error: BaseException | None) -> None:
    """At the end of a request: where a hook of the host has failed behind the view, the client is told of that."""
    under_way: ref[Answer] | None = request.environ.pop(UNDER_WAY, None)
    if error is not None and under_way is not None and (answer := under_way()) is not None:
        answer.close()


def _with_body(request: Request) -> WSGIEnvironment:
    """The environment, with the body once more if code of the host has read it: Flask has kept it then."""
    read: bytes | None = getattr(request, "_cached_data", None)
    if read is None:
        return request.environ
    whole = {"wsgi.input": BytesIO(read), "CONTENT_LENGTH": str(len(read)), "HTTP_TRANSFER_ENCODING": ""}
    return {**request.environ, **whole}


class _Started:
    """A ``start_response`` that remembers."""

    status: str
    headers: list[tuple[str, str]]

    def __call__(self, status: str, headers: list[tuple[str, str]], error: Any = None, /) -> Callable[[bytes], object]:
        self.status, self.headers = status, headers
        return _write


def _write(part: bytes) -> object:
    raise NotImplementedError("the bridge returns what there is to write")
