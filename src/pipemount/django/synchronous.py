"""One request under WSGI: over the bridge, and in the request's own thread where the pipeline allows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ..bridge.scope import is_chunked
from ..bridge.wsgi import WSGIBridge
from ..errors import PipemountError
from ..http.application import Application
from ..types import Scope
from .responses import Headers, respond, respond_in_parts

__all__ = ["answer"]


def answer(pipelines: Application, bridge: WSGIBridge, scope: Scope, request: HttpRequest) -> HttpResponseBase:
    """What ``pipelines``, behind ``bridge``, answers; what is raised before that is raised here."""
    _start_within_transaction(pipelines)
    head: list[tuple[int, Headers]] = []

    def start_response(status: str, headers: Headers, exc_info: Any = None) -> Any:
        head.append((int(status[:3]), headers))

    with_async_steps = _Context()
    try:
        body = bridge.answer(scope, _environ(request), start_response)
    except BaseException:
        with_async_steps.close()
        raise
    status, headers = head[0]
    if isinstance(body, list):
        with_async_steps.close()
        return respond(status, headers, b"".join(body))
    with_async_steps.leave()
    return respond_in_parts(request, status, headers, _Parts(body, with_async_steps.close))


def _start_within_transaction(pipelines: Application) -> None:
    """In a transaction, as in each test of a ``TestCase``, the first request is to be in it like all that follow.

    It would go over the bridge and start the app there; only once the app has started this thread may perform steps.
    """
    if not pipelines.lifecycle.ready and any(one.in_atomic_block for one in connections.all(initialized_only=True)):
        with suppress(PipemountError):  # the request will be told
            pipelines.lifecycle.call_sync(_nothing)


async def _nothing() -> None:
    """Where this can be awaited the app has started."""


def _environ(request: HttpRequest) -> dict[str, Any]:
    """What the bridge reads the body by. The request stands for its input: the project may have read it already."""
    environ = dict(request.META)
    if not hasattr(request, "environ"):  # a request that came by ASGI, for a view that was made sync
        environ |= {"wsgi.input": request, "wsgi.input_terminated": True, "SERVER_PROTOCOL": "HTTP/2"}
    elif not is_chunked(environ):  # a chunked body Django takes for empty
        environ["wsgi.input"] = request
    return environ


class _Context:
    """Where ``sync_to_async`` calls of async steps run: in a thread for this request, whose connections end with it.

    Without, asgiref would use one thread for the whole process, in which nobody closes a connection.
    """

    def __init__(self) -> None:
        self._context = ThreadSensitiveContext()
        self._token = SyncToAsync.thread_sensitive_context.set(self._context)

    def leave(self) -> None:
        """This thread goes on to other things; the run may still need the context."""
        SyncToAsync.thread_sensitive_context.reset(self._token)

    def close(self) -> None:
        """The run has ended."""
        if SyncToAsync.thread_sensitive_context.get(None) is self._context:
            self.leave()
        executor: Any = SyncToAsync.context_to_thread_executor.pop(self._context, None)
        if executor is not None:
            executor.submit(connections.close_all)  # the thread ends, and what CONN_MAX_AGE lets live on with it
            executor.shutdown(wait=True)


class _Parts:
    """The body for Django to iterate and to close."""

    def __init__(self, parts: Any, close: Callable[[], None]) -> None:
        self._parts, self._close = parts, close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def close(self) -> None:
        """All was sent, or the client has gone."""
        self._parts.close()
        self._close()
