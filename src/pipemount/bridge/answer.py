"""One request on its way over the bridge, as the WSGI server sees it: an iterator over the response."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import copy_context
from queue import Empty
from typing import Any
from wsgiref.types import StartResponse

from ..errors import UnavailableError
from ..runtime.lending import REQUEST_THREAD, WaitingThread
from ..runtime.loops import Loop
from ..types import ASGIApp, Scope
from .body import CutShortError, RequestBody
from .crossing import END, READ, Crossing, Failure, Start, cost

__all__ = ["Answer"]

LOOK = 5.0
"""Seconds of silence after which the thread looks whether the loop is still there."""


class Answer(Iterator[bytes]):
    """The server's side: a thread that waits for the app, reads the body for it, and performs what is lent to it.

    Args:
        app: The ASGI app.
        scope: Its scope.
        body: The request's body.
        loop: Where the app runs; not a loop of this thread.
    """

    def __init__(self, app: ASGIApp, scope: Scope, body: RequestBody, loop: Loop) -> None:
        self._body, self._loop = body, loop
        self._thread = WaitingThread()
        self._crossing = Crossing(app, scope, loop, self._thread, body.more)
        self._part: bytes | None = None
        self._in_flight = 0
        self._closed = False
        context = copy_context()
        context.run(REQUEST_THREAD.set, self._thread)
        loop.call_soon_threadsafe(self._crossing.begin, context=context)

    def start(self, start_response: StartResponse) -> Iterable[bytes]:
        """Waits for the response's start; the rest of it, which is ``self`` if it comes bit by bit.

        Raises:
            BaseException: What the app raised before it began to answer.
            CutShortError: The client left within its request, and the app did not answer.
        """
        try:
            start: Start = self._next()
        except BaseException:
            self.close()
            raise
        start_response(*start.head)
        if start.whole:
            self.close()
            return [start.part] if start.part else []
        self._part = start.part
        return self

    def __next__(self) -> bytes:
        """The next part; the one before was written.

        Raises:
            BaseException: What the app raised; the server breaks the connection then, so that the client sees it.
        """
        if self._part is not None:
            part, self._part = self._part, None
        else:
            if self._crossing.wrote(self._in_flight):
                self._tell(self._crossing.wake)
            if (part := self._next()) is END:
                raise StopIteration
        self._in_flight = cost(part)
        return part

    def __del__(self) -> None:
        """A host that answers something else, as where a hook of it fails, drops it, and may never close it."""
        if not getattr(self, "_closed", True) and not self._crossing.complete:
            self._tell(_let_go, self._thread, self._crossing)  # there: any lock may be held where it is collected

    def close(self) -> None:
        """Called by the server when all was written, or when the client has gone."""
        if not self._closed:
            self._closed = True
            self._thread.close()
            if not self._crossing.complete:
                self._tell(self._crossing.leave)

    def _next(self) -> Any:
        """The app's next word; until then, what it asks for is done."""
        while True:
            try:
                item = self._thread.get(LOOK)
            except Empty:
                self._look()
                continue
            if item is READ:
                self._read()
            elif isinstance(item, Failure):
                if self._body.cut:
                    raise CutShortError from item.error
                raise item.error
            else:
                return item

    def _read(self) -> None:
        part = self._body.read()
        if part is None:
            self._tell(self._crossing.cut)
        else:
            self._tell(self._crossing.take, part, self._body.more)

    def _look(self) -> None:
        if self._closed or self._loop.is_closed():  # closed by another thread; ended just when it was asked
            raise UnavailableError("stopped before the response was complete; use another instance", code="draining")

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed, and the app has ended with it
            self._loop.call_soon_threadsafe(call, *args)


def _let_go(thread: WaitingThread, crossing: Crossing) -> None:
    thread.close()
    crossing.leave()
