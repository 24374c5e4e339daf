"""What surrounds a sync step in one of our threads: Django's care for database connections.

Django opens a connection for each thread that asks, and closes it at the end of a request, in the request's thread.
In threads of ours nobody would.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from asgiref.sync import SyncToAsync
from django.conf import settings
from django.core import mail
from django.db import close_old_connections, connections

from ..runtime.context import StepContext
from ..runtime.threads import in_pool

__all__ = ["release_common_thread", "step_environment"]

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
        release()
        _keep()


def release() -> None:
    """Closes what need not live on in this thread: in tests nothing does, as PostgreSQL drops no database in use."""
    if not _in_tests():
        close_old_connections()
        return
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def release_common_thread() -> None:
    """``release()`` in the one thread where async steps use the database if their request was given none of its own.

    Servers give it one; Django's async test client and Channels do not. Nobody else would close anything there.
    """
    if SyncToAsync.thread_sensitive_context.get(None) is None:
        SyncToAsync.single_thread_executor.submit(release)


def _in_tests() -> bool:
    """Whether Django's test environment is set up, by what Django documents of it."""
    return hasattr(mail, "outbox")


class _Kept:
    """The connections that live on in a thread (``CONN_MAX_AGE``), and are closed when it ends with its app."""

    def __init__(self) -> None:
        self.connections: set[Any] = set()

    def __del__(self) -> None:
        for connection in self.connections:
            connection.inc_thread_sharing()  # at the end of the process it may be another thread that gets here
            connection.close()


_thread = threading.local()


def _keep() -> None:
    if open_ones := [one for one in connections.all(initialized_only=True) if one.connection is not None]:
        if not hasattr(_thread, "kept"):
            _thread.kept = _Kept()
        _thread.kept.connections.update(open_ones)
