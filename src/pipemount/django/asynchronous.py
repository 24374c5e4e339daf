"""One request under ASGI: a task that runs the app, and the messages between it and Django.

Django cancels a view whose caller has left. The app is told so (``http.disconnect``) and has a moment to end in
order, then it is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ..bridge.response import Response
from ..types import ASGIApp, Message, Scope
from .environment import release_common_thread
from .responses import Headers, respond, respond_in_parts

__all__ = ["answer"]

CHUNK = 65536
AHEAD = 8
"""Parts of a streamed response that may wait to be sent; then the app waits."""
GRACE = 1.0
"""Seconds that the app has to end by itself when its caller has left."""

logger = logging.getLogger("pipemount")

_running: set[asyncio.Task[None]] = set()


async def answer(app: ASGIApp, scope: Scope, request: HttpRequest) -> HttpResponseBase:
    """What ``app`` answers; what it raises before that is raised here."""
    conversation = _Conversation(request)
    task = conversation.start(app, scope)
    try:
        await conversation.begun.wait()
    except asyncio.CancelledError:
        await conversation.leave()
        raise
    release_common_thread()
    if conversation.whole is not None:
        return respond(*conversation.head, conversation.whole)
    if not conversation.streams:
        await task
        raise RuntimeError("the app ended without an answer")
    return respond_in_parts(request, *conversation.head, _Parts(conversation))


class _Conversation:
    """What goes to the app and what comes from it.

    Attributes:
        begun: The app has answered at least in part, or has ended.
        whole: The body, if it came as one.
        streams: Whether the body comes in parts; ``next_part`` gives them.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._request, self._read_all = request, False
        length: str = request.META.get("CONTENT_LENGTH", "")
        self._left = int(length) if length.isdecimal() else None
        self._response = Response(request.method or "GET")
        self._gone, self._woken = asyncio.Event(), asyncio.Event()
        self._room = asyncio.Semaphore(AHEAD)
        self._parts: deque[bytes] = deque()
        self._task: asyncio.Task[None] | None = None
        self.begun = asyncio.Event()
        self.whole: bytes | None = None
        self.streams = False

    @property
    def head(self) -> tuple[int, Headers]:
        """Status and headers."""
        assert self._response.head is not None  # noqa: S101 - narrows for the type checker; a part came
        return int(self._response.head.status[:3]), self._response.head.headers

    def start(self, app: ASGIApp, scope: Scope) -> asyncio.Task[None]:
        """Has the app answer."""
        self._task = asyncio.create_task(_call(app, scope, self))
        _running.add(self._task)
        self._task.add_done_callback(self._ended)
        return self._task

    # ------------------------------------------------------------------------------------- the app's side

    async def receive(self) -> Message:
        """The next part of the body; after the last one, that the caller has left, once it has."""
        if self._read_all or self._gone.is_set():
            await self._gone.wait()
            return {"type": "http.disconnect"}
        try:
            part = self._request.read(CHUNK if self._left is None else min(CHUNK, self._left))
        except OSError:  # Django's UnreadablePostError is one
            self._gone.set()
            return {"type": "http.disconnect"}
        if self._left is not None:
            self._left -= len(part)
        more = bool(part) and self._left != 0
        self._read_all = not more
        return {"type": "http.request", "body": part, "more_body": more}

    async def send(self, message: Message) -> None:
        """Takes status and headers, then the body; waits where the caller is slower than the app."""
        if self._gone.is_set() and not self._response.complete:
            raise OSError("the caller has left")
        part = self._response.take(message)
        if part is None:
            return
        if self._response.complete and not self.streams:
            self.whole = part
        else:
            self.streams = True
            await self._room.acquire()
            self._parts.append(part)
        if self._response.complete:
            self._gone.set()  # for the app nobody is there any more
        self.begun.set()
        self._woken.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        _running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and self._gone.is_set():
            logger.debug("the app raised when its caller had left", exc_info=error)
        self.begun.set()
        self._woken.set()

    # --------------------------------------------------------------------------------------- Django's side

    async def next_part(self) -> bytes | None:
        """The next part of a streamed body, ``None`` at its end. Raises what the app raises before that."""
        while not self._parts:
            if self._response.complete:
                return None
            if self._task is not None and self._task.done():
                await self._task
                raise RuntimeError("the app ended in the middle of its answer")
            self._woken.clear()
            await self._woken.wait()
        self._room.release()
        return self._parts.popleft()

    async def leave(self) -> None:
        """Nobody waits for the answer any more; returns when the app has ended."""
        task = self._task
        if task is None or task.done() or self._response.complete:
            return
        self._gone.set()
        for _ in range(AHEAD):
            self._room.release()
        await asyncio.wait({task}, timeout=GRACE)
        task.cancel()
        await asyncio.wait({task})


async def _call(app: ASGIApp, scope: Scope, conversation: _Conversation) -> None:
    await app(scope, conversation.receive, conversation.send)


class _Parts:
    """The body for Django to iterate, which closes it whether or not it has begun to."""

    def __init__(self, conversation: _Conversation) -> None:
        self._conversation = conversation
        self._loop = asyncio.get_running_loop()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while (part := await self._conversation.next_part()) is not None:
                yield part
        finally:
            await self._conversation.leave()

    def __del__(self) -> None:
        """A middleware that answers something else, or fails, drops the response, and nobody closes it."""
        self.close()

    def close(self) -> None:
        """From any thread: Django closes responses in one of its own."""
        with suppress(RuntimeError):  # the loop is closed, and the app with it
            self._loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        task = self._loop.create_task(self._conversation.leave())
        _running.add(task)
        task.add_done_callback(_running.discard)
