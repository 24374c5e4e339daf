"""The connection of this process to Ray, which has one: whoever comes first makes it, whoever leaves last ends it."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import Future
from typing import Any

import ray

__all__ = ["enter", "leave"]


PATIENCE = 60.0
"""Seconds in which a connection is to be there: Ray itself tries an address where nothing is for minutes."""


class _Own:
    """A connection of ours, in a thread of its own: what Ray starts on this machine ends with the thread that did."""

    def __init__(self, address: str | None) -> None:
        self.pid = os.getpid()
        self._made: Future[None] = Future()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._hold, args=(address,), name="pipemount-ray", daemon=True)
        self._thread.start()

    @property
    def connecting(self) -> bool:
        """Whether it is still not known what comes of it."""
        return not self._made.done()

    def wait(self) -> None:
        """Return when it is there. Raises ``ConnectionError`` and others."""
        try:
            self._made.result(PATIENCE)
        except TimeoutError as error:
            if not self.connecting:
                raise
            raise ConnectionError(f"no answer within {PATIENCE:g} s") from error

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _hold(self, address: str | None) -> None:
        try:
            _connect(address)
        except BaseException as error:  # raised where somebody waits
            self._made.set_exception(error)
            return
        self._made.set_result(None)
        self._over.wait()
        ray.shutdown()


_lock = threading.Lock()
_own: _Own | None = None
_users = 0


def enter(address: str | None) -> None:
    """Connect this process, unless it is. Raises ``ConnectionError`` and others."""
    global _own, _users
    with _lock:
        if _own is not None and _own.pid != os.getpid():
            raise ConnectionError(f"this process was forked from process {_own.pid} when that was connected to Ray")
        if not (ray.is_initialized() or (_own is not None and _own.connecting)):
            _own, _users = _Own(address), 0
        if _own is not None:
            _wait(_own)
        _users += 1


def _wait(own: _Own) -> None:
    """With the lock held. One that still connects is waited for by whoever comes next: a process can make no second."""
    global _own
    try:
        own.wait()
    except BaseException:
        if not own.connecting:
            _own = None
        raise


def leave() -> None:
    """Disconnect, if nobody else is connected and it was connected here."""
    global _own, _users
    with _lock:
        _users -= 1
        if _own is not None and not _users:
            own, _own = _own, None
            own.end()


def _connect(address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is not None and address.startswith("ray://"):
        ray.init(address, log_to_driver=False)
        return
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if not address and not os.environ.get("RAY_ADDRESS"):  # workers here import what can be imported here
        paths = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 - an entry need not be a folder
        same = {"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}}
        options |= {"include_dashboard": False, "runtime_env": same}
    ray.init(address, **options)
