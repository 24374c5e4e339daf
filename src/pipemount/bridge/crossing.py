"""One request on its way over the bridge, as the app sees it: a task on the loop, with ``receive`` and ``send``.

The other side is the WSGI thread, which waits for what is put into its queue (``answer``). Both sides count what is in
flight: the app sends until ``AHEAD`` is reached, and goes on when the thread has handed half of it to the server.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, NamedTuple

from ..errors import UnavailableError
from ..runtime.lending import WaitingThread
from ..runtime.loops import Loop
from ..types import ASGIApp, Message, Scope
from .response import Head, Response

__all__ = ["END", "READ", "CallerLeftError", "Crossing", "Failure", "Start", "cost"]

AHEAD = 65_536
"""Bytes that may be in flight; what is one part is never divided."""

EACH = 1024
"""Bytes that a part counts beside its own: no more than 64 parts are in flight."""

GRACE = 1.0
"""Seconds that an app has to end by itself when its caller has left."""

READ: Final = object()
"""To the thread: read the next part of the request's body."""

END: Final = object()
"""To the thread: the response is complete."""

logger = logging.getLogger("pipemount")

_under_way: set[Crossing] = set()


class Start(NamedTuple):
    """To the thread: the response begins.

    Attributes:
        head: For ``start_response``.
        part: The first part of the body.
        whole: It is the only one.
    """

    head: Head
    part: bytes
    whole: bool


class Failure(NamedTuple):
    """To the thread: the app ended, and its response is not complete."""

    error: BaseException


class CallerLeftError(OSError):
    """``send`` was called when nobody listens any more (ASGI HTTP specification, 2.4)."""


def cost(part: bytes) -> int:
    """What a part counts in flight."""
    return len(part) + EACH


class Crossing:
    """The app's side. All but ``__init__``, ``wrote`` and ``complete`` belong to the loop; ``begin`` comes first.

    Args:
        app: The ASGI app.
        scope: Its scope.
        loop: Where it runs.
        thread: The WSGI thread, by which it is reached.
        unread: Whether the request has a body.
    """

    _task: asyncio.Task[None]

    def __init__(self, app: ASGIApp, scope: Scope, loop: Loop, thread: WaitingThread, unread: bool) -> None:
        self._app, self._scope, self._loop, self._thread = app, scope, loop, thread
        self._response = Response(scope["method"])
        self._parts: list[Message] = [] if unread else [{"type": "http.request", "body": b"", "more_body": False}]
        self._unread, self._asked = unread, False
        self._cut = self._left = False
        self._sent = self._written = 0
        self._wants_room = False
        self._news = asyncio.Event()
        self._patience: asyncio.TimerHandle | None = None

    # ---------------------------------------------------------------------- called by the WSGI thread

    @property
    def complete(self) -> bool:
        """Whether the app has said all."""
        return self._response.complete

    def wrote(self, size: int) -> bool:
        """The server has taken what cost ``size``; whether the app waits for that and is to be told (``wake``)."""
        self._written += size
        if self._wants_room and self._has_room():
            self._wants_room = False
            return True
        return False

    # ---------------------------------------------------------------------------- sent from there

    def begin(self) -> None:
        """Starts the app, in the context of the request."""
        self._task = self._loop.create_task(self._run())
        _under_way.add(self)

    def take(self, part: bytes, more: bool) -> None:
        """A part of the request's body was read."""
        self._parts.append({"type": "http.request", "body": part, "more_body": more})
        self._unread, self._asked = more, False
        self.wake()

    def cut(self) -> None:
        """The request's body ended too early: the caller is gone."""
        self._cut = True
        self.wake()

    def leave(self) -> None:
        """Nobody waits any more. An app that has not said all is told, and cancelled if that does not end it."""
        self._left = True
        self.wake()
        if not self.complete:
            self._patience = self._loop.call_later(GRACE, self._task.cancel)

    def wake(self) -> None:
        """Has whoever waits look again."""
        self._news.set()

    # -------------------------------------------------------------------------------- for the app

    async def receive(self) -> Message:
        """A part of the body, or the disconnect: also once the response is complete."""
        while not self._parts:
            if self._left or self._cut or self.complete:
                return {"type": "http.disconnect"}
            if self._unread and not self._asked:
                self._asked = True
                self._thread.put(READ)
            await self._look_again()
        return self._parts.pop()

    async def send(self, message: Message) -> None:
        """Hands a message to the thread; waits while too much is in flight.

        Raises:
            CallerLeftError: The caller has gone.
        """
        if self._left and self._response.has_body:
            raise CallerLeftError("the caller has left; nobody reads the response")
        part = self._response.take(message)
        if part is None:
            return
        if not self._sent:
            self._start(part)
        elif self._response.has_body:
            self._continue(part)
        if self.complete:
            self.wake()  # for what waits in ``receive``
        else:
            await self._room()

    def _start(self, part: bytes) -> None:
        self._sent += cost(part)
        self._thread.put(Start(self._response.head, part, self.complete or not self._response.has_body))

    def _continue(self, part: bytes) -> None:
        if part:
            self._sent += cost(part)
            self._thread.put(part)
        if self.complete:
            self._thread.put(END)

    async def _room(self) -> None:
        """Returns when the thread has caught up, or is gone."""
        if self._sent - self._written <= AHEAD:
            return
        while not self._left:
            self._wants_room = True  # and only then look: the thread writes first, and looks then
            if self._has_room():
                self._wants_room = False
                return
            await self._look_again()

    def _has_room(self) -> bool:
        return self._sent - self._written <= AHEAD // 2

    async def _look_again(self) -> None:
        self._news.clear()
        await self._news.wait()

    # -------------------------------------------------------------------------------- its end

    async def _run(self) -> None:
        error: BaseException | None = None
        try:
            await self._app(self._scope, self.receive, self.send)
        except BaseException as raised:  # whatever it is, the thread raises it, and this loop goes on
            error = raised
        _under_way.discard(self)
        if self._patience is not None:
            self._patience.cancel()
        self._ended(error)

    def _ended(self, error: BaseException | None) -> None:
        if self.complete:
            if error is not None and not isinstance(error, asyncio.CancelledError):
                logger.error("the app failed after its response", exc_info=error)
        elif self._left:
            logger.debug("the app ended without its caller", exc_info=error)
        else:
            self._thread.put(Failure(_reason(error)))


def _reason(error: BaseException | None) -> BaseException:
    if error is None:
        return RuntimeError("the app returned before its response was complete")
    if isinstance(error, asyncio.CancelledError):
        return UnavailableError("stopped before the response was complete; use another instance", code="draining")
    return error
