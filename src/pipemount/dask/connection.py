"""The way to a Dask cluster: one client, on its own loop, for all calls of an app."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import uuid4

from distributed import Client
from distributed.client import FutureCancelledError
from distributed.exceptions import WorkerStartTimeoutError
from distributed.scheduler import KilledWorker

from ..errors import ExecutorUnavailableError
from ..pipelines.executors import Hear, Sending
from ..runtime.elsewhere import WorkerGone, refused
from ..runtime.loops import call_from_loop
from .hearing import Hearing
from .place import Dask
from .worker import work

__all__ = ["DaskConnection"]

logger = logging.getLogger("pipemount")

LARGE = 1 << 20
"""Bytes from which on a head is kept by the workers, and not sent with each call."""

SILENCE = 1.0
"""Seconds after its timeout in which a client should have told what is wrong."""

WAY_OUT = "start its scheduler, or give its address, executor=Dask('tcp://…')"


class Head(NamedTuple):
    """What calls have in common: its bytes, or where workers keep them."""

    key: str
    content: Any


class DaskConnection:
    """A client of one scheduler; see ``Connection`` for the verbs.

    Args:
        scheduler: Its address, or a client that stays open.
        timeout: Seconds that connecting may take.
    """

    def __init__(self, scheduler: str | Client | None, timeout: float) -> None:
        self._scheduler, self._timeout = scheduler, timeout
        self._given = isinstance(scheduler, Client)
        self._client: Any = scheduler if isinstance(scheduler, Client) else None
        self._topic = f"pipemount-{uuid4().hex}"
        self._calls: dict[str, Hearing] = {}

    @property
    def alive(self) -> bool:
        """Whether the client is connected, or on its way to be again."""
        return self._client is not None and self._client.status in ("running", "connecting")

    def open(self) -> None:
        """Connect, and hear what workers say."""
        try:
            if self._client is None:
                self._client = self._connected()
            if not self.alive:
                raise OSError(f"the client is {self._client.status}")
            self._client.subscribe_topic(self._topic, self._heard)
        except (OSError, TimeoutError, ValueError) as error:
            logger.warning("the Dask scheduler at %r cannot be reached: %s", self._scheduler, error)
            raise ExecutorUnavailableError(engine="dask", way_out=WAY_OUT) from error

    def _connected(self) -> Any:
        """A client, in time. Dask's own timeout knows nothing of a scheduler that takes a connection and is silent."""
        made: Future[Any] = Future()

        def connect() -> None:
            client, failure = None, None
            try:
                client = Client(self._scheduler, timeout=self._timeout, set_as_default=False)
            except BaseException as error:  # raised where somebody waits
                failure = error
            if not made.set_running_or_notify_cancel():  # nobody does any more
                if client is not None:
                    client.close(timeout=self._timeout)
            elif failure is not None:
                made.set_exception(failure)
            else:
                made.set_result(client)

        threading.Thread(target=connect, name="pipemount-dask", daemon=True).start()
        try:
            return made.result(self._timeout + SILENCE)
        except TimeoutError as error:
            if made.cancel() or made.exception() is error:
                raise TimeoutError(str(error) or "it does not answer") from error
            return made.result()  # it was made at the last moment

    def close(self) -> None:
        """Give up what is under way; disconnect, unless the client was given."""
        if (client := self._client) is None:
            return
        self._client = None
        if self._given:
            with suppress(Exception):  # perhaps it is closed by now
                client.unsubscribe_topic(self._topic)
        else:
            client.close(timeout=self._timeout)

    async def slots(self, executor: Dask) -> int:
        """The threads of all workers."""
        client = self._reached()
        threads: dict[str, int] = await self._there(lambda: client.nthreads())
        return sum(threads.values())

    async def put(self, content: bytes) -> Head:
        """Large ones go to a worker, where the others find them."""
        client, key = self._reached(), uuid4().hex
        if len(content) < LARGE:
            return Head(key, content)
        try:
            futures = await self._there(lambda: client.scatter([content], hash=False))
        except (TimeoutError, WorkerStartTimeoutError):  # no worker is there yet: it goes with each call
            return Head(key, content)
        return Head(key, futures[0])

    async def perform(self, executor: Dask, sending: Sending, hear: Hear) -> bytes:
        """One task. Dask cannot stop one that runs: who is cancelled here leaves it to itself."""
        client, task = self._reached(), f"{_plain(sending.name)}-{uuid4().hex}"
        hearing = self._calls[task] = Hearing(hear)
        try:
            mine, count, outcome = await self._there(lambda: self._awaited(client, executor, task, sending))
            await hearing.all_of(mine, count)
        finally:
            del self._calls[task]
        found: bytes = outcome
        return found

    async def _awaited(self, client: Any, executor: Dask, task: str, sending: Sending) -> tuple[str, int, bytes]:
        """On the client's loop: the task's result. Raises ``WorkerGone``."""
        head: Head = sending.head
        future = client.submit(
            work,
            *(self._topic, task, head.key, head.content, sending.item),
            key=task,
            pure=False,
            retries=0,
            resources=dict(executor.resources) or None,
            workers=list(executor.workers) or None,
            priority=executor.priority,
        )
        try:
            found: tuple[str, int, bytes] = await future
            return found
        except KilledWorker as error:
            raise WorkerGone(str(error)) from error
        except FutureCancelledError as error:
            raise self._lost(error) from error
        except asyncio.CancelledError:
            await client.cancel([future], force=True, reason="pipemount", msg="nobody waits for it any more")
            raise
        except Exception as error:
            raise refused("dask", sending.name, error) from error
        finally:
            future.release()

    def _lost(self, error: FutureCancelledError) -> Exception:
        if self.alive and error.reason != "scheduler-connection-lost":  # e.g. with the worker that kept its head
            return WorkerGone(str(error))
        logger.warning("the Dask scheduler at %r went away: %s", self._scheduler, error)
        return ExecutorUnavailableError(engine="dask", way_out=WAY_OUT)

    def _reached(self) -> Any:
        if self._client is None or not self.alive:
            raise ExecutorUnavailableError(engine="dask", way_out=WAY_OUT)
        return self._client

    async def _there(self, function: Callable[[], Awaitable[Any]]) -> Any:
        """``function()`` awaited on the client's loop, which is not ours, unless the client was given."""
        loop = self._reached().loop.asyncio_loop
        if loop is asyncio.get_running_loop():
            return await function()
        return await call_from_loop(loop, function)

    def _heard(self, event: tuple[float, tuple[str, str, bytes]]) -> None:
        """On the client's loop: what a worker says."""
        task, mine, message = event[1]
        if (hearing := self._calls.get(task)) is not None:
            hearing.heard(mine, message)


def _plain(name: str) -> str:
    """A step's name as the first part of a task's, by which Dask groups what it shows."""
    return "".join(character if character.isalnum() else "_" for character in name.partition("[")[0])
