"""Lifespans: ours for the host to run, the host's for us to run, and the protocol's other side for servers.

Each is an async context manager, entered at the start and left at the stop, so that composing them is nesting them.
ASGI lifespan protocol: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from traceback import format_exception
from typing import Any, TypeVar

from ..runtime.failures import is_signal
from ..runtime.lifecycle import Lifecycle
from ..types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HostLifespanError", "Lifespan", "answer_lifespan", "host_lifespan", "serve_lifespan"]

State = TypeVar("State", bound=Mapping[str, Any] | None)

logger = logging.getLogger("pipemount")


class HostLifespanError(Exception):
    """A host answered ``lifespan.startup.failed`` or ``lifespan.shutdown.failed``; the text is the host's message."""


class Lifespan:
    """The lifespan of a ``PipelineApp``, for the host to run: ``FastAPI(lifespan=pipelines.lifespan)``."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    @asynccontextmanager
    async def __call__(self, app: Any = None) -> AsyncIterator[None]:
        """Starts the runtime, and stops it at the end.

        A failing ``on_cleanup`` is raised, unless something else is being raised already: then it is logged.
        """
        await self._lifecycle.startup()
        try:
            yield
        except BaseException:
            await self._shutdown_quietly()
            raise
        await self._lifecycle.shutdown()

    def around(
        self, own: Callable[[Any], AbstractAsyncContextManager[State] | AsyncIterator[State]]
    ) -> Callable[[Any], AbstractAsyncContextManager[State]]:
        """A lifespan that starts ours, then ``own``, and stops them in the opposite order.

        Args:
            own: The host's lifespan, with or without ``@asynccontextmanager``; the state that it yields is passed on.
        """
        managed: Any = asynccontextmanager(own) if inspect.isasyncgenfunction(own) else own

        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[State]:
            async with self(app), managed(app) as state:
                yield state

        return lifespan

    async def _shutdown_quietly(self) -> None:
        try:
            await self._lifecycle.shutdown()
        except Exception:
            logger.exception("on_cleanup failed as well")


async def serve_lifespan(lifecycle: Lifecycle, receive: Receive, send: Send) -> None:
    """Answers a lifespan scope that a server sent to the ``PipelineApp`` itself."""
    await answer_lifespan(Lifespan(lifecycle)(), receive, send)


async def answer_lifespan(context: AbstractAsyncContextManager[Any], receive: Receive, send: Send) -> None:
    """Answers a server: ``lifespan.startup`` enters ``context``, ``lifespan.shutdown`` leaves it.

    A failure is sent *and* raised: a server that only sees an exception takes the app for one without lifespan, and
    serves it. It is sent with its traceback, as a server that is sent one logs nothing else.
    """
    phase = "startup"
    await receive()
    try:
        async with context:
            await send({"type": "lifespan.startup.complete"})
            phase = "shutdown"
            await receive()
    except BaseException as error:  # also sys.exit() in ``on_init``
        if is_signal(error):
            raise
        message = str(error) if isinstance(error, HostLifespanError) else "".join(format_exception(error))
        await send({"type": f"lifespan.{phase}.failed", "message": message})
        raise
    await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def host_lifespan(app: ASGIApp, scope: Scope) -> AsyncIterator[None]:
    """Runs an ASGI app's lifespan: it is started before the block and stopped after it.

    An app that raises or returns before it has answered has no lifespan; the block runs all the same.

    Raises:
        HostLifespanError: The app answered that it failed; what it raised is the cause.
    """
    host = _Host(app, scope)
    try:
        await host.tell("startup")
        yield
        await host.tell("shutdown")
        await host.end()
    finally:
        await host.abandon()


class _Host:
    """An app in its lifespan: a task, and a queue each way."""

    def __init__(self, app: ASGIApp, scope: Scope) -> None:
        self._to_host: asyncio.Queue[Message] = asyncio.Queue()
        self._from_host: asyncio.Queue[Message | None] = asyncio.Queue()
        self._takes_part = True
        self._task = asyncio.create_task(self._run(app, scope))

    async def tell(self, phase: str) -> None:
        """Sends ``lifespan.<phase>``; returns when the app has done its part, or is found to have none."""
        if not self._takes_part:
            return
        self._to_host.put_nowait({"type": f"lifespan.{phase}"})
        answer = await self._from_host.get()
        if answer is None and phase == "startup":
            self._takes_part = False
            logger.debug("the host has no lifespan", exc_info=self._task.exception())
        elif answer is not None and answer["type"] == f"lifespan.{phase}.failed":
            raise HostLifespanError(answer.get("message", "")) from self._raised()

    async def end(self) -> None:
        """Waits for the app to return; raises what it raised, unless it takes no part."""
        if self._takes_part:
            await self._task

    async def abandon(self) -> None:
        """Cancels the app if it has not returned, and waits for its end."""
        self._task.cancel()
        await asyncio.wait({self._task})

    def _raised(self) -> BaseException | None:
        return self._task.exception() if self._task.done() else None

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._to_host.get, self._from_host.put)
        finally:
            self._from_host.put_nowait(None)
