"""HTTP without a network: httpx clients whose requests an ASGI application answers in this process.

httpx's own ``ASGITransport`` gives nothing before the application has answered all, knows no disconnect, and leaves
``root_path`` out of the path. Here the first byte comes when it is sent, an application that is faster than its reader
waits, and closing a response is a disconnect.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import httpx

from .caller import LentThread
from .errors import HomeLoopError
from .http.handover import hand_over
from .runtime import loops
from .runtime.acting import as_principal
from .runtime.lifecycle import Lifecycle
from .types import ASGIApp, Message, Principal, Receive, Scope, Send

__all__ = ["Transport", "WaitingTransport", "base_url", "client", "client_sync"]

T = TypeVar("T")

LOCAL = "localhost"

GRACE = 1.0
"""Seconds that an application has to end after a disconnect, before it is cancelled."""


class App(Protocol):
    """An ASGI application with a lifecycle, i.e. a ``PipelineApp``."""

    lifecycle: Lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers requests."""


def client(app: ASGIApp, *, root_path: str = "", principal: Any = None, **options: Any) -> httpx.AsyncClient:
    """An ``httpx.AsyncClient`` of ``app``, without a timeout unless ``options`` have one."""
    transport = Transport(app, root_path=root_path, principal=as_principal(principal, "host"))
    return httpx.AsyncClient(transport=transport, **{"base_url": base_url(), "timeout": None, **options})


def client_sync(app: App, *, root_path: str = "", principal: Any = None, **options: Any) -> httpx.Client:
    """An ``httpx.Client`` of ``app``, which answers on its own loop while the thread waits."""
    transport = WaitingTransport(app, root_path=root_path, principal=as_principal(principal, "host"))
    return httpx.Client(transport=transport, **{"base_url": base_url(), "timeout": None, **options})


def base_url(allowed_hosts: Sequence[str] = ()) -> str:
    """That of a host for which an app with these ``Settings.allowed_hosts`` answers: nobody looks it up."""
    listed = bool(allowed_hosts) and LOCAL not in allowed_hosts
    return "http://" + (allowed_hosts[0].replace("*", LOCAL) if listed else LOCAL)


class Transport(httpx.AsyncBaseTransport):
    """Lets an ASGI application answer, on the loop that asks.

    Args:
        app: The application. Its lifespan is not run.
        root_path: Where it believes itself mounted.
        principal: For whom a host would vouch.
    """

    def __init__(self, app: ASGIApp, *, root_path: str = "", principal: Principal | None = None) -> None:
        self._app, self._root_path, self._principal = app, root_path.rstrip("/"), principal

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Returns when the response begins. What the application raises before is raised here."""
        exchange = _Exchange(request)
        exchange.begin(self._app, self._scope(request))
        try:
            start = await exchange.message()
        except BaseException:
            await exchange.leave()
            raise
        return httpx.Response(start["status"], headers=list(start.get("headers", ())), stream=_Body(exchange))

    def _scope(self, request: httpx.Request) -> Scope:
        url = request.url
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.scheme,
            "path": self._root_path + url.path,
            "raw_path": quote(self._root_path).encode("ascii") + url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": self._root_path,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (url.host, url.port or {"https": 443}.get(url.scheme, 80)),
            "client": ("127.0.0.1", 0),
        }
        if self._principal is not None:
            hand_over(scope, principal=self._principal)
        return scope


class _Exchange:
    """One request and its response; the application is a task, and at most one message ahead of the reader."""

    def __init__(self, request: httpx.Request) -> None:
        stream = request.stream
        self._whole = isinstance(stream, httpx.ByteStream)
        self._chunks = aiter(stream) if isinstance(stream, httpx.AsyncByteStream) else None
        self._timeout: float | None = request.extensions.get("timeout", {}).get("read")
        self._messages: asyncio.Queue[Message | BaseException | None] = asyncio.Queue()
        self._room = asyncio.Semaphore()
        self._left = asyncio.Event()
        self.ended = False

    def begin(self, app: ASGIApp, scope: Scope) -> None:
        self._task = asyncio.create_task(self._run(app, scope))

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        except BaseException as error:
            self._messages.put_nowait(error)
            if not isinstance(error, Exception):
                raise
        else:
            self._messages.put_nowait(None)

    async def _receive(self) -> Message:
        if self._chunks is not None:
            chunk = await anext(self._chunks, None)
            if chunk is None or self._whole:
                self._chunks = None
            return {"type": "http.request", "body": chunk or b"", "more_body": self._chunks is not None}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._left.is_set():
            raise OSError("the client has closed the response")
        self._messages.put_nowait(message)
        await self._room.acquire()  # its reader has taken the message before
        if self._left.is_set():
            self._room.release()  # for whoever sends beside

    async def message(self) -> Message:
        """What the application sends next. Raises what it raises, and httpx's errors."""
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._messages.get()
        except TimeoutError:
            raise httpx.ReadTimeout("the application takes longer than the client waits") from None
        if isinstance(found, BaseException):
            raise found
        self._room.release()
        if found is None:
            raise httpx.RemoteProtocolError("the application returned before its response was complete")
        return found

    async def leave(self) -> None:
        """Ends the exchange: whoever has read all waits for what the application still does, others disconnect."""
        if not self.ended:
            self._left.set()
            self._room.release()
            _, late = await asyncio.wait({self._task}, timeout=GRACE)
            for task in late:
                task.cancel()
        await asyncio.wait({self._task})


class _Body(httpx.AsyncByteStream):
    """The body of a response, as it comes."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._exchange.ended:
            message = await self._exchange.message()
            self._exchange.ended = not message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    async def aclose(self) -> None:
        await self._exchange.leave()


# ------------------------------------------------------------------------------------------- waiting for it


class WaitingTransport(httpx.BaseTransport):
    """``Transport`` for a thread that waits: the application answers on its own loop. Arguments as there."""

    def __init__(self, app: App, *, root_path: str = "", principal: Principal | None = None) -> None:
        self._lifecycle = app.lifecycle
        self._transport = Transport(app, root_path=root_path, principal=principal)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Returns when the response begins. Raises ``HomeLoopError`` on the loop that would have to answer."""
        waiting = _Waiting(self._lifecycle.serving_loop())
        whole = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.read(), extensions=request.extensions
        )
        try:
            found = waiting.call(lambda: self._transport.handle_async_request(whole))
        except BaseException:
            waiting.close()
            raise
        body = found.stream
        assert isinstance(body, _Body)  # noqa: S101 - for the type checker; Transport made it
        return httpx.Response(found.status_code, headers=found.headers, stream=_WaitingBody(body, waiting))


class _Waiting:
    """A thread that waits for what it calls on ``loop``, and lends itself meanwhile."""

    def __init__(self, loop: loops.Loop) -> None:
        if loops.running_loop() is loop:
            raise HomeLoopError("a blocking request on the loop that has to answer it waits for ever; use client()")
        self._loop, self._lent = loop, LentThread()

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        return self._lent.call(self._loop, function)

    def close(self) -> None:
        self._lent.close()


class _WaitingBody(httpx.SyncByteStream):
    """The body of a response, as it comes, for a thread that waits."""

    def __init__(self, body: _Body, waiting: _Waiting) -> None:
        self._body, self._chunks, self._waiting = body, aiter(body), waiting

    def __iter__(self) -> Iterator[bytes]:
        while (chunk := self._waiting.call(lambda: anext(self._chunks, None))) is not None:
            yield chunk

    def close(self) -> None:
        try:
            self._waiting.call(self._body.aclose)
        finally:
            self._waiting.close()
