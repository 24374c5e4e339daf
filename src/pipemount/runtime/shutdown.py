"""The ways by which a process ends, and how a runtime that no lifespan started hears of them.

Servers differ (measured): uvicorn re-raises SIGTERM after its own shutdown, so that nothing at all runs after it;
granian ends its workers after the threading exit hook and before ``atexit``; hypercorn and gunicorn run both.
Whichever comes first closes the runtime; for the others nothing is left to do. Forked children start afresh.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  its exit hook must be registered before ours, to run after it
import inspect
import os
import signal
import sys
import threading
import time
from _thread import start_new_thread
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from typing import Any, Protocol

__all__ = ["Closable", "end", "exiting", "forget", "hook_server", "remember"]


class Closable(Protocol):
    """What is told that its process ends or was forked."""

    def close(self) -> None:
        """Called once, in the main thread, when the process exits."""

    def forget(self) -> None:
        """Called in a forked child."""


FAREWELL = 0.5
"""Seconds in which streams that were told of the end send their last event."""

AGAIN = 0.1
"""Seconds between two signals to the main thread."""

_live: set[Closable] = set()
_hooked_pid = 0
_exiting_pid = 0
_ended_by: int | None = None
_closed = False


def remember(runtime: Closable) -> None:
    """Has ``runtime`` closed when the process exits. The hooks are set once per process, at the first start."""
    global _hooked_pid
    _live.add(runtime)
    if _hooked_pid != os.getpid():
        _hooked_pid = os.getpid()
        _hook_exit()


def forget(runtime: Closable) -> bool:
    """``runtime`` is closed; whether it was the last one."""
    last = _live == {runtime}
    _live.discard(runtime)
    return last


def exiting() -> bool:
    """Whether this process is beyond the point where something can be started."""
    return _exiting_pid == os.getpid() or _ended_by is not None


def hook_server(close: Callable[[], Awaitable[None]]) -> bool:
    """Has the server of this process await ``close`` after the host's own shutdown; whether there is such a server.

    uvicorn is found through the signal handler that it installs, a method of its ``Server``. Its ``lifespan`` object
    is there under ``--lifespan off``, too, and for hosts whose lifespan does not include us.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    lifespan: Any = getattr(server, "lifespan", None)
    shutdown = getattr(lifespan, "shutdown", None)
    if not inspect.iscoroutinefunction(shutdown):
        return False

    @wraps(shutdown)
    async def shutdown_then_close() -> None:
        try:
            await shutdown()
        finally:
            await close()

    lifespan.shutdown = shutdown_then_close
    return True


def end(number: int, *, hurry: bool) -> None:
    """Closes the runtimes, then has signal ``number`` end the process as if nobody had handled it.

    Called by the signal's handler, which may have interrupted the main thread anywhere, with any lock held: so the work
    is done in a thread, started in the one way that takes no lock, while the interrupted one goes on. Signals that come
    meanwhile change nothing: some servers send several.

    Args:
        number: A signal whose default action ends the process.
        hurry: Whether nobody says goodbye; else open streams get a moment to do so.
    """
    global _ended_by
    if _closed or not _live:
        _end_now(number)
    elif not exiting():
        _ended_by = number
        start_new_thread(_close_and_end, (number, hurry))


def _close_and_end(number: int, hurry: bool) -> None:
    global _closed
    try:
        time.sleep(0 if hurry else FAREWELL)
        for runtime in list(_live):
            runtime.close()
    finally:
        _closed = True
        _insist(number)


def _insist(number: int) -> None:
    """Signal again: only the main thread can give a signal its default action back.

    And again, until it has: of a signal that comes just before it begins to wait, as in ``time.sleep``, it would hear
    when that is over.
    """
    handler = signal.getsignal(number)
    while signal.getsignal(number) is handler:
        os.kill(os.getpid(), number)
        time.sleep(AGAIN)


def _end_now(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _hook_exit() -> None:
    # A forked child inherits the hooks of its parent: running them twice is harmless, missing them is not.
    atexit.register(_close_all)
    register: Callable[[Callable[[], None]], None] | None = getattr(threading, "_register_atexit", None)
    if register is not None:
        with suppress(RuntimeError):  # the threading module is shutting down already; atexit is still to come
            register(_close_all)


def _close_all() -> None:
    global _exiting_pid
    _exiting_pid = os.getpid()
    for runtime in list(_live):
        runtime.close()
    if _ended_by is not None:  # by a signal that found the process at its end
        _end_now(_ended_by)


def _forget_all() -> None:
    global _ended_by, _closed
    _ended_by, _closed = None, False
    for runtime in list(_live):
        runtime.forget()
    _live.clear()


if sys.platform != "win32":  # pragma: no branch  there is no fork on Windows
    os.register_at_fork(after_in_child=_forget_all)
