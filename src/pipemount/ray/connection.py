"""The way to a Ray cluster: that of the process, for all calls of an app."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from uuid import uuid4

import ray
from ray import exceptions

from ..errors import ExecutorUnavailableError
from ..pipelines.executors import Hear, Sending
from ..runtime.elsewhere import WorkerGone, refused
from .place import Ray
from .process import enter, leave
from .worker import Batch, collected, work

__all__ = ["RayConnection"]

logger = logging.getLogger("pipemount")

LARGE = 100_000
"""Bytes from which on a head is kept by Ray, and not sent with each call."""

ENDING = 5.0
"""Seconds that a stop waits for workers that are ended."""

AGAIN = 0.5
"""Seconds after which Ray is asked again to end a worker."""

WAY_OUT = "start it with `ray start --head`, or give its address, executor=Ray(address='host:port')"

GONE = (
    exceptions.WorkerCrashedError,
    exceptions.NodeDiedError,
    exceptions.OutOfMemoryError,
    exceptions.ObjectLostError,
)
"""What Ray raises for a call whose worker ended before it did."""


class Head(NamedTuple):
    """What calls have in common: its bytes, or where Ray keeps them."""

    key: str
    content: Any


class RayConnection:
    """This process's connection to Ray; see ``Connection`` for the verbs.

    Args:
        address: Of the cluster, if this process is not connected yet.
    """

    def __init__(self, address: str | None) -> None:
        self._address, self._entered, self._streams = address, False, True
        self._work: Any = None
        self._ending: set[asyncio.Task[None]] = set()
        self._stubborn: set[Any] = set()

    @property
    def alive(self) -> bool:
        """Whether the process is connected."""
        return self._entered and ray.is_initialized()

    def open(self) -> None:
        """Connect this process, unless it is."""
        try:
            enter(self._address)
        except Exception as error:
            logger.warning("the Ray cluster at %r cannot be reached: %s", self._address, error)
            raise ExecutorUnavailableError(engine="ray", way_out=WAY_OUT) from error
        self._entered = True
        self._streams = not ray.util.client.ray.is_connected()
        self._work = ray.remote(work if self._streams else collected)  # exported once

    def close(self) -> None:
        """End what was cancelled and still runs; disconnect, if it was this that connected."""
        self._end_now(list(self._stubborn))
        if self._entered:
            self._entered = False
            leave()

    async def slots(self, executor: Ray) -> int:
        """As many as the whole cluster has room for."""
        there = await asyncio.to_thread(ray.cluster_resources)
        wanted = {"CPU": executor.num_cpus, "GPU": executor.num_gpus, "memory": executor.memory, **executor.resources}
        rooms = [there.get(name, 0) / amount for name, amount in wanted.items() if amount]
        return math.floor(min(rooms)) if rooms else 1

    async def put(self, content: bytes) -> Head:
        """Large ones are kept by Ray, which brings them to where they are asked for."""
        if len(content) < LARGE:
            return Head(uuid4().hex, content)
        return Head(uuid4().hex, await asyncio.to_thread(ray.put, content))

    async def perform(self, executor: Ray, sending: Sending, hear: Hear) -> bytes:
        """One task. Who is cancelled here cancels it, and after its grace ends its worker."""
        options = {"max_retries": 0, "name": sending.name, **executor.demands}
        if self._streams:
            options["num_returns"] = "streaming"
        task = self._work.options(**options)
        head: Head = sending.head
        ref = task.remote(head.key, [head.content], sending.item)
        outcome: bytes | None = None
        try:
            async for said, last in _batches(ref) if self._streams else _all(ref):
                for message in said:
                    hear(message)
                outcome = last
        except GONE as error:
            raise WorkerGone(type(error).__name__) from error
        except (exceptions.RayTaskError, exceptions.RuntimeEnvSetupError, exceptions.TaskUnschedulableError) as error:
            raise refused("ray", sending.name, error) from error
        except exceptions.RayError as error:
            logger.warning("Ray did not perform step %r: %s", sending.name, error)
            raise ExecutorUnavailableError(engine="ray", way_out=WAY_OUT) from error
        except asyncio.CancelledError:
            self._cancel(ref, executor.grace)
            raise
        if outcome is None:
            raise WorkerGone("it said nothing in the end")
        return outcome

    def _cancel(self, ref: Any, grace: float) -> None:
        ray.cancel(ref)
        self._stubborn.add(ref)
        task = asyncio.get_running_loop().create_task(self._end(ref, grace))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _end_of(self, ref: Any) -> Any:
        return ref.completed() if self._streams else ref

    def _end_now(self, refs: list[Any]) -> None:
        """End the workers of calls, in a thread. Ray may forget one order, where it asked politely just before."""
        running, until = {self._end_of(ref): ref for ref in refs}, time.monotonic() + ENDING
        while running and time.monotonic() < until:
            for ref in running.values():
                ray.cancel(ref, force=True)
            ended, _ = ray.wait(list(running), num_returns=len(running), timeout=AGAIN)
            for end in ended:
                del running[end]

    async def _end(self, ref: Any, grace: float) -> None:
        """Give a cancelled call its grace; then end its worker."""
        try:
            async with asyncio.timeout(grace):
                await self._end_of(ref)
        except TimeoutError:
            logger.warning("a step that was cancelled did not end within %g s: its Ray worker is ended", grace)
            await asyncio.to_thread(self._end_now, [ref])
        except exceptions.RayError:
            pass  # it has ended, as it was asked to
        finally:
            self._stubborn.discard(ref)


async def _batches(generator: Any) -> AsyncIterator[Batch]:
    """What a call says, as it comes."""
    async for ref in generator:
        yield await ref


async def _all(ref: Any) -> AsyncIterator[Batch]:
    """What a call has said, once it has ended: through a Ray client nothing comes earlier."""
    for batch in await ref:
        yield batch
