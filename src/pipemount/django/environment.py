"""What surrounds a sync step in one of our threads: Django's care for database connections.

Django opens a connection for each thread that asks, and closes it at the end of a request, in the request's thread.
In threads of ours nobody would.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from django.conf import settings
from django.db import close_old_connections, connections

from ..runtime.context import StepContext
from ..runtime.threads import in_pool

__all__ = ["step_environment"]

_NOTHING: AbstractContextManager[None] = nullcontext()


def step_environment(context: StepContext | None) -> AbstractContextManager[None]:
    """Closes what is too old or broken before the step, and what ``CONN_MAX_AGE`` does not let live on behind it.

    In the project's own threads, e.g. the request's, it does nothing: connections there are Django's, and may be in
    the middle of a transaction.
    """
    return _connections() if settings.configured and in_pool() else _NOTHING


@contextmanager
def _connections() -> Iterator[None]:
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()
        _keep()


class _Kept:
    """The connections that live on in a thread (``CONN_MAX_AGE``), and are closed when it ends with its app."""

    def __init__(self) -> None:
        self.connections: set[Any] = set()

    def __del__(self) -> None:
        for connection in self.connections:
            connection.close()


_thread = threading.local()


def _keep() -> None:
    if open_ones := [one for one in connections.all(initialized_only=True) if one.connection is not None]:
        if not hasattr(_thread, "kept"):
            _thread.kept = _Kept()
        _thread.kept.connections.update(open_ones)
