"""Hearing that the process is to stop, while streams are still open.

An open stream hides the end of a server from its lifespan: uvicorn, hypercorn, granian and gunicorn wait for it before
they shut down. So the signal itself is observed: an ``Observer`` stands in front of the handler that the server has
set, takes note and hands on. What a server does through its loop (``add_signal_handler``) goes on as before, for that
works through the signal's wakeup descriptor and not through the handler.

A handler can only be set in the main thread. Elsewhere, and for ends that no signal tells (a worker that has served
its number of requests), the server is looked at, ten times a second and only while somebody waits.

Whoever is told is told without a lock: a handler may interrupt its own thread anywhere.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from . import shutdown
from .loops import Loop

__all__ = ["Draining", "Observer", "observe", "release", "server_stops"]

PAUSE = 0.1
"""Seconds between two looks at the server."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_told = 0


class Draining:
    """Whether a runtime is about to end: it was told so, or its process was since the runtime began."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """The runtime starts (again): what was told before is past."""
        self._before, self._ends = _told, False

    def tell(self) -> None:
        """The runtime stops. From any thread."""
        self._ends = True
        _wake()

    @property
    def told(self) -> bool:
        """Whether the end was told."""
        return self._ends or _told != self._before

    async def wait(self) -> None:
        """Returns when the end was told. On any loop."""
        observe()
        while not self.told:
            await _Audience.of(asyncio.get_running_loop()).hear(self)

    async def ticks(self, seconds: float, longest: float) -> AsyncGenerator[int, None]:
        """Counts from 0, one more every ``seconds``, until the end is told or ``longest`` seconds are over."""
        waiting = asyncio.ensure_future(self.wait())
        loop = asyncio.get_running_loop()
        end = loop.time() + longest
        try:
            count = 0
            while not self.told and (left := end - loop.time()) > 0:
                yield count
                count += 1
                await asyncio.wait({waiting}, timeout=min(seconds, left))
        finally:
            waiting.cancel()


class _Audience:
    """Those who wait on one loop; the server is looked at while there are any."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: set[asyncio.Future[None]] = set()
        self._timer = loop.call_later(PAUSE, self._look)

    @classmethod
    def of(cls, loop: Loop) -> _Audience:
        return _audiences.get(loop) or _audiences.setdefault(loop, cls(loop))

    async def hear(self, draining: Draining) -> None:
        """Returns when something was told; at once if it was before we were listening."""
        future = self._loop.create_future()
        self._waiting.add(future)
        try:
            if not draining.told:
                await future
        finally:
            self._waiting.discard(future)
            if not self._waiting:
                self.dismiss()

    def dismiss(self) -> None:
        self._timer.cancel()
        _audiences.pop(self._loop, None)

    def wake(self) -> None:
        """From any thread, or from a signal handler."""
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # that loop is closed: nobody waits there any more
            _audiences.pop(self._loop, None)

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def _look(self) -> None:
        self._timer = self._loop.call_later(PAUSE, self._look)
        if server_stops():
            tell()


_audiences: dict[Loop, _Audience] = {}


def tell() -> bool:
    """This process is to stop: every runtime in it drains. Whether somebody waited for that."""
    global _told
    _told += 1
    return _wake()


def _wake() -> bool:
    audiences = list(_audiences.values())
    for audience in audiences:
        audience.wake()
    return bool(audiences)


# ----------------------------------------------------------------------------------------- signals


class Observer:
    """A signal handler in front of the earlier one. Whoever looks for a server behind it finds the earlier one's."""

    def __init__(self, earlier: Callable[[int, FrameType | None], Any] | signal.Handlers) -> None:
        self.earlier = earlier
        if (server := getattr(earlier, "__self__", None)) is not None:
            self.__self__ = server

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Takes note, and hands on."""
        awaited = tell()
        if callable(self.earlier):
            self.earlier(number, frame)
        else:
            shutdown.end(number, hurry=not awaited)


def observe() -> None:
    """Has the signals that end this process observed; called again, it finds what a server has set since.

    SIGTERM where a handler stands, or the default action: then the runtimes are closed before it ends the process, as
    it would have at once. Not under uWSGI and mod_wsgi, which handle signals below Python. SIGINT only where a server
    handles it: otherwise it raises ``KeyboardInterrupt``, and the process ends in the usual ways.

    Does nothing outside of the main thread.
    """
    if threading.current_thread() is threading.main_thread() and sys.modules.keys().isdisjoint(("uwsgi", "mod_wsgi")):
        for number in SIGNALS:
            earlier: Any = signal.getsignal(number)
            if _observable(number, earlier) and not isinstance(earlier, Observer):
                with suppress(ValueError):  # the main thread of an interpreter beside the main one
                    signal.signal(number, Observer(earlier))


def _observable(number: int, handler: Any) -> bool:
    default = handler is signal.SIG_DFL and number == signal.SIGTERM
    return default or (callable(handler) and handler is not signal.default_int_handler)


def release() -> None:
    """Puts the earlier handlers back where nothing has been set since. Only in the main thread; a no-op elsewhere."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if isinstance(handler := signal.getsignal(number), Observer):
                signal.signal(number, handler.earlier)


def _forget() -> None:
    _audiences.clear()


if hasattr(os, "register_at_fork"):  # pragma: no branch  there is no fork on Windows
    os.register_at_fork(after_in_child=_forget)


# ----------------------------------------------------------------------------------------- servers


def server_stops() -> bool:
    """Whether the server of this process says of itself that it is stopping.

    uvicorn and gunicorn are found behind the handler that they have set, hypercorn's worker behind its process.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return _uvicorn_stops(server) or getattr(server, "alive", True) is False or _hypercorn_stops()


def _uvicorn_stops(server: Any) -> bool:
    """Told to exit; or it has closed its sockets, as after ``--limit-max-requests``."""
    sockets = getattr(server, "servers", ())
    return getattr(server, "should_exit", False) is True or any(not each.is_serving() for each in sockets)


def _hypercorn_stops() -> bool:
    """Its workers are processes that were given an event to watch."""
    if "hypercorn" not in sys.modules:
        return False
    given: dict[str, Any] = getattr(multiprocessing.current_process(), "_kwargs", {})
    is_set: Callable[[], bool] = getattr(given.get("shutdown_event"), "is_set", bool)
    return is_set()
