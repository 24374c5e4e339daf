"""A loop thread for an ASGI app that brings none, with the app's lifespan if that is wanted."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from concurrent.futures import Future, wait
from contextlib import suppress
from contextvars import Context
from typing import Any

from ..errors import UnavailableError
from ..http.lifespan import host_lifespan
from ..runtime import shutdown
from ..runtime.loops import Loop, LoopThread, new_outcome, spawn
from ..types import ASGIApp
from .scope import ASGI

__all__ = ["OwnLoop"]

START_PATIENCE = 25.0
END_PATIENCE = 30.0

logger = logging.getLogger("pipemount")


class OwnLoop:
    """The loop that an app runs on: begun by the first request of a process, never at import or before a fork.

    Args:
        app: The app.
        lifespan: Whether its lifespan runs around its requests.

    Attributes:
        state: What the lifespan has put into ``scope["state"]``.
    """

    def __init__(self, app: ASGIApp, *, lifespan: bool) -> None:
        self._app, self._lifespan = app, lifespan
        self._life: _Life | None = None
        self._inherited: list[object] = []
        self.forget()

    def forget(self) -> None:
        """Begins from nothing, as in a forked child: the loop is the parent's, and must not be touched here."""
        self._inherited.append(self._life)
        self._lock = threading.Lock()
        self._pid, self._life = os.getpid(), None

    @property
    def state(self) -> dict[str, Any]:
        """What the lifespan of the app has left for its requests."""
        return self._life.state if self._life is not None else {}

    def loop(self) -> Loop:
        """The running loop; from any thread but its own.

        Raises:
            UnavailableError: The app has not started yet, or the process ends.
            HostLifespanError: Its lifespan failed; the next request tries again.
        """
        life = self._life
        if life is None or self._pid != os.getpid() or not life.ready:
            life = self._begin()
            self._wait_for(life)
        return life.thread.loop

    def close(self) -> None:
        """Ends the lifespan and the loop, from any thread but the loop's. A new request begins anew."""
        with self._lock:
            life, self._life = self._life, None
        shutdown.forget(self)
        if life is not None:
            life.end()

    def _begin(self) -> _Life:
        with self._lock:
            if self._pid != os.getpid():  # a server that forks without Python's hooks
                self._inherited.append(self._life)
                self._pid, self._life = os.getpid(), None
            if self._life is None:
                self._life = self._new_life()
                shutdown.remember(self)
            return self._life

    def _new_life(self) -> _Life:
        try:
            if shutdown.exiting():
                raise RuntimeError("the process ends")
            return _Life(self._app if self._lifespan else None)
        except RuntimeError as error:  # no threads start any more
            raise UnavailableError("shutting down; use another instance", code="draining") from error

    def _wait_for(self, life: _Life) -> None:
        wait([life.started], START_PATIENCE)
        if not life.started.done():
            raise UnavailableError("the application is still starting; try again", code="starting")
        if (error := life.started.exception()) is not None:
            if self._life is life:
                self.close()
            raise error


class _Life:
    """A loop thread, from the app's start to its stop.

    Attributes:
        thread: Where the loop runs.
        state: Handed to the lifespan.
        started: Done when requests may come; it has what the start raised.
    """

    @property
    def ready(self) -> bool:
        """Whether it has started, and well."""
        return self.started.done() and self.started.exception() is None

    def __init__(self, app: ASGIApp | None) -> None:
        self.state: dict[str, Any] = {}
        self.started: Future[Any] = new_outcome()
        self._ended: Future[Any] = new_outcome()
        self._stop = asyncio.Event()
        self.thread = LoopThread("pipemount-bridge")
        if app is None:
            self.started.set_result(None)
            self._ended.set_result(None)
        else:
            spawn(self.thread.loop, lambda: self._live(app), Context())

    def end(self) -> None:
        """Stops the app, then the loop."""
        with suppress(RuntimeError):  # it is closed already
            self.thread.loop.call_soon_threadsafe(self._stop.set)
        wait([self._ended], END_PATIENCE)
        wait([self.thread.stop()], END_PATIENCE)

    async def _live(self, app: ASGIApp) -> None:
        try:
            async with host_lifespan(app, {"type": "lifespan", "asgi": ASGI, "state": self.state}):
                self.started.set_result(None)
                await self._stop.wait()
        except Exception as error:
            if self.started.done():
                logger.error("the application's shutdown failed", exc_info=error)
            else:
                self.started.set_exception(error)
        finally:
            self._ended.set_result(None)
