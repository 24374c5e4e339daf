"""Steps that run in a worker of an engine: sent, listened to, and sent again if their worker is lost.

The run stays here, with its checkpoints and its events. An engine is lent one call at a time and told never to try
again by itself; when a worker is lost with a call, the call is sent again as the same attempt, a few times.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..errors import ExecutorError, ExecutorUnavailableError, StepTimeoutError, WorkerLostError
from ..pipelines.executors import Connection, Sending, StepExecutor
from ..pipelines.specs import StepSpec
from .context import StepContext
from .parcels import BEGUN, Head, Item, opened, pack, unpacked
from .run import Run
from .threads import ThreadPool
from .turn import Turn

__all__ = ["LOSSES", "Common", "Connections", "WorkerGone", "perform_elsewhere", "refused"]

logger = logging.getLogger("pipemount")

LOSSES = 3
"""Workers that may be lost with one attempt at a step before it fails."""

IN_FLIGHT = 2
"""Calls of a map that are under way for each that the engine can run: one is there when another ends."""

FEWEST = 4
"""Calls that are under way even where the engine has no room: an engine that grows must see that there is work."""


CONNECTING = 1.0
"""Seconds that a stop waits for a connection that is about to be made."""


class WorkerGone(Exception):  # noqa: N818 - no failure: the call is sent again
    """A worker ended before the call that it performed."""


def refused(engine: str, step: str, error: Exception) -> ExecutorError:
    """What to raise for a call that an engine did not even begin, or could not bring home."""
    logger.warning("%s did not perform step %r: %s", engine, step, error)
    return ExecutorError(
        f"{engine} did not perform step {step!r} ({type(error).__name__}); the log tells why. "
        "Workers need pipemount and the product's code, in the versions that the app has",
        step=step,
    )


class Connections:
    """The connections of an app to engines: each opened when a step first needs it. Belongs to the home loop."""

    def __init__(self, threads: ThreadPool) -> None:
        self._threads = threads
        self._opening: dict[tuple[str, Hashable], asyncio.Task[Connection]] = {}

    async def to(self, executor: StepExecutor) -> Connection:
        """The connection to where ``executor`` has its calls performed. Raises ``ExecutorUnavailableError``."""
        key = executor.engine, executor.place
        task = self._opening.get(key)
        if task is not None and task.done() and not _usable(task):
            task = None
        if task is None:
            task = self._opening[key] = asyncio.get_running_loop().create_task(self._opened(executor))
            task.add_done_callback(_seen)
        return await asyncio.shield(task)

    async def places(self, executors: Iterable[StepExecutor], *, patient: bool) -> int:
        """How many items of a map should be under way that each run in all of ``executors``.

        ``patient``: where one cannot be reached the items are to find out, which may try again. Otherwise raises
        ``ExecutorUnavailableError``.
        """
        try:
            slots = [await (await self.to(executor)).slots(executor) for executor in executors]
        except ExecutorUnavailableError:
            if patient:
                return FEWEST
            raise
        return max(IN_FLIGHT * min(slots), FEWEST)

    async def close(self) -> None:
        """Give up what is under way, and disconnect."""
        tasks, self._opening = list(self._opening.values()), {}
        for task in tasks:
            await asyncio.wait({task}, timeout=CONNECTING)
            if not task.done():  # a thread that connects cannot be stopped: it ends with the process
                logger.warning("a connection to an engine that was about to be made is left to itself")
                task.cancel()
            elif not _failed(task):
                await self._threads.run(task.result().close)

    async def _opened(self, executor: StepExecutor) -> Connection:
        connection = executor.connection()
        await self._threads.run(connection.open)
        return connection


def _seen(task: asyncio.Future[Any]) -> None:
    """Whoever waited for it may be gone by now."""
    if not task.cancelled():
        task.exception()


def _failed(task: asyncio.Future[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _usable(task: asyncio.Task[Connection]) -> bool:
    return not _failed(task) and task.result().alive


class Common:
    """What all items of a map have in common: the step, and the arguments that each is handed.

    It is brought to the engine once; again where a worker was lost that may have had it, over another connection, and
    where it did not get there.
    """

    __slots__ = ("_arguments", "_connection", "_putting")

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = arguments
        self._connection: Connection | None = None
        self._putting: asyncio.Future[Any] | None = None

    async def head(self, connection: Connection, turn: Turn) -> Any:
        """What ``connection.put`` gave for it."""
        if self._putting is None or self._connection is not connection or _failed(self._putting):
            self._connection, self._putting = connection, asyncio.ensure_future(self._put(connection, turn))
            self._putting.add_done_callback(_seen)
        return await asyncio.shield(self._putting)

    def forget(self, head: Any) -> None:
        """Bring it there again, unless somebody did since it was ``head``."""
        putting = self._putting
        if putting is not None and putting.done() and not _failed(putting) and putting.result() is head:
            self._putting = None

    async def _put(self, connection: Connection, turn: Turn) -> Any:
        return await connection.put(packed(Head.of(turn.step, self._arguments), turn))


def packed(parcel: Head | Item, turn: Turn) -> bytes:
    """A part of a call as bytes. Raises ``ExecutorError``, which says what cannot be sent."""
    try:
        return pack(parcel)
    except Exception as error:
        what = _culprit(parcel) or "its function, with what that refers to,"
        raise ExecutorError(
            f"step {turn.name!r} cannot be sent to a worker: {what} cannot be pickled ({type(error).__name__}); "
            "define the step in a module that the workers have, and hand it plain values",
            step=turn.name,
        ) from error


def _culprit(parcel: Head | Item) -> str:
    arguments = parcel.common if isinstance(parcel, Head) else parcel.arguments
    for parameter, value in arguments.items():
        try:
            pack(value)
        except Exception:
            return f"its argument {parameter!r}, a {type(value).__name__},"
    return ""


# ------------------------------------------------------------------------------------------- one call


async def perform_elsewhere(
    connections: Connections, run: Run, turn: Turn, context: StepContext, lost: Callable[[], None]
) -> Any:
    """One attempt at a step in a worker; its value. Raises what it raised there.

    ``lost`` is called for each worker that is lost with it.
    """
    executor: StepExecutor = turn.step.executor  # type: ignore[assignment]  # else it is performed here
    connection = await connections.to(executor)
    common, losses = turn.common or Common({}), _Losses(run, turn, lost)
    while True:
        head = await common.head(connection, turn)
        sending = Sending(turn.name, head, packed(_item(run, turn, context), turn))
        try:
            outcome = await _Sent(turn, context, losses).outcome(connection, executor, sending)
        except WorkerGone as error:
            losses.add(str(error))
            common.forget(head)
            connection = await connections.to(executor)
        else:
            return opened(outcome, turn.name)


def _item(run: Run, turn: Turn, context: StepContext) -> Item:
    call = run.call
    return Item(
        name=turn.name,
        attempt=context.attempt,
        arguments=turn.given(run, turn.name),
        pipeline=run.pipeline_name,
        run_id=call.run_id,
        run_name=call.run_name or "",
        remaining=None if call.deadline is None else call.deadline - time.monotonic(),
        heard=run.recorder is not None,
        principal=None if call.principal is None else replace(call.principal, user=None),
        trace=call.trace,
    )


class _Losses:
    """The workers that were lost with one attempt at a step."""

    def __init__(self, run: Run, turn: Turn, lost: Callable[[], None]) -> None:
        self._run, self._turn, self._lost, self._count = run, turn, lost, 0

    def add(self, reason: str) -> None:
        """One more. Raises ``WorkerLostError`` for one too many."""
        self._count += 1
        name = self._turn.name
        logger.warning("a worker was lost with step %r of run %s: %s", name, self._run.call.run_id, reason)
        if self._count > LOSSES:
            raise WorkerLostError(crashes=self._count, step=name)
        self._lost()


class _Sent:
    """A call that a worker performs: what it says on the way is told as the step's own."""

    def __init__(self, turn: Turn, context: StepContext, losses: _Losses) -> None:
        self._turn, self._context, self._losses = turn, context, losses
        self._limit, self._begun = asyncio.timeout(None), False
        self._failure: WorkerLostError | None = None

    async def outcome(self, connection: Connection, executor: StepExecutor, sending: Sending) -> bytes:
        """Under the step's timeout, which counts from when a worker takes it: waiting for one is no fault."""
        timeout = self._turn.step.timeout
        try:
            async with self._limit:
                return await connection.perform(executor, sending, self._hear)
        except TimeoutError as error:
            if self._failure is not None:
                raise self._failure from None
            if timeout is None or not self._limit.expired():
                raise
            raise StepTimeoutError(step=self._turn.name, timeout=timeout) from error

    def _hear(self, message: bytes) -> None:
        if message == BEGUN:
            self._begins(self._turn.step.timeout)
            return
        kind, data = unpacked(message)
        if kind == "delta":
            step: StepSpec = self._turn.step
            data = {"value": data["value"] if step.narrow is None else step.narrow(data["value"])}
        self._context._tell(kind, **data)

    def _begins(self, patience: float | None) -> None:
        """A worker takes it, perhaps another one than before: there are engines that see to that themselves."""
        try:
            if self._begun:
                self._losses.add("its engine gave it to another one")
        except WorkerLostError as error:
            self._failure, patience = error, 0
        self._begun = True
        if patience is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + patience)
