"""The verbs: what can be asked of a pipeline, whoever asks. No HTTP word, no framework."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from random import getrandbits
from time import monotonic, time_ns
from typing import Any, TypeAlias, TypeVar

from .adapters.protocol import CompiledPipeline, Result, run_batch_of
from .errors import (
    DeadlineExceededError,
    PipemountError,
    RunCancelledError,
    RunError,
    StepFailedError,
    UnsupportedError,
)
from .overriding import Layers, RunFunction
from .pipelines.taking import current, tracing
from .runtime.admission import Admission
from .runtime.call import Call
from .runtime.environment import StepEnvironment, ambient, combined
from .runtime.events import OF_RUNS, EventKind, Listener
from .runtime.failures import is_signal
from .runtime.guard import Guarded, guard
from .runtime.lending import asked_by
from .runtime.metering import Meter
from .runtime.recorder import Recorder
from .settings import Settings

__all__ = ["Sealed", "Service", "new_run_id"]

T = TypeVar("T")

Sealed: TypeAlias = tuple[Mapping[str, Any], bytes]
"""Outputs as values, and as the JSON that they were validated into."""

Left: TypeAlias = Callable[[], Awaitable[None]]
"""Returns when a caller has left."""


class RunIds:
    """UUIDs of version 7 (RFC 9562), in the order of time. No secrets, no capabilities.

    Within a millisecond or so the first 80 bits stay and the last 48 count on (the RFC's method 2), which is three
    times as fast as drawing anew. A forked child draws its own. Safe from any thread.
    """

    def __init__(self) -> None:
        self._tick = -1
        self._prefix = ""
        self._count = itertools.count(getrandbits(47))

    def __call__(self) -> str:
        tick = time_ns() >> 20
        if tick != self._tick:
            self._prefix, self._tick = _uuid_prefix(), tick
        return f"{self._prefix}{next(self._count) & 0xFFFFFFFFFFFF:012x}"


def _uuid_prefix() -> str:
    milliseconds, chance = time_ns() // 1_000_000, getrandbits(26)
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{chance & 0xFFF:03x}-{0x8000 | chance >> 12:04x}-"


new_run_id = RunIds()
if hasattr(os, "register_at_fork"):  # pragma: no branch  there is no fork on Windows
    os.register_at_fork(after_in_child=new_run_id.__init__)  # type: ignore[misc]  # made anew on purpose


class Service:
    """One pipeline of an app: its state, its places, its verbs.

    ``start``, ``stop`` and ``invoke`` belong to the app's home loop.
    """

    def __init__(self, name: str, compiled: CompiledPipeline, settings: Settings, admission: Admission) -> None:
        self.name, self.compiled, self.settings, self.admission = name, compiled, settings, admission
        self.layers = Layers(compiled, self._run_foreign)
        self.meter = Meter()
        self._place, self._runs = (admission,), itertools.count(1)
        self._environment: StepEnvironment | None = None
        self._dump = compiled.output.dumper()

    async def start(self, resources: Mapping[str, Any]) -> None:
        """Make the pipeline's state; what its ``on_init`` raises passes through.

        Args:
            resources: ``threads``, ``settings``, and perhaps ``environments``, which surround sync steps, and
                ``connections`` to engines.
        """
        self._environment = combined((*ambient(), *resources.get("environments", ())))
        await self.layers.start({**resources, "environment": self._environment})

    @property
    def inline(self) -> bool:
        """Whether a run never waits if its sync steps are called in place (see ``InlineThread``)."""
        top = self.layers.top
        return top.inline and top.ready

    async def stop(self) -> None:
        """Give the state back to the pipeline's ``on_cleanup``."""
        await self.layers.stop()

    async def invoke(
        self, call: Call, left: Left | None = None, listeners: Sequence[Listener] = (), after: int = 0
    ) -> Sealed:
        """Run and wait; the outputs. The place (``admission``) is the caller's to take and to leave.

        Args:
            call: What to run; its name, timeout, deadline, index and state are filled in here.
            left: Returns when the caller has left; the run is cancelled then.
            listeners: Told the run's events; a ``Feed`` for a reader that takes its time.
            after: The number of the last event of an earlier attempt at the same run.

        Raises:
            RunError: The run failed, passed its deadline, or was cancelled because its caller left.
        """
        if current() is not None:  # asked for in a body that takes the calls of steps: these are none of its own
            with tracing(None):
                return await self.invoke(call, left, listeners, after)
        call.run_index, top = next(self._runs), self.layers.top
        if not top.ready:
            top = await self.layers.made()
        call.state, call.dump, call.places = top.state, self._dump, call.places + self._place
        call.asked, call.affinity, call.environment = asked_by(), self.settings.affinity, self._environment
        timeout = call.timeout = call.timeout or self.settings.request_timeout
        if call.deadline is None:
            call.deadline = call.began + timeout
        call.run_name = f"{self.name}-{call.run_id}" if call.run_name is None else _filled_in(call)
        running = self.meter.running
        running.append(None)
        try:
            if not listeners:
                run = (top.run_bare if call.overrides is None else top.run)(call, call.seal)
                for suspended in run.__await__():  # most runs of quick steps never suspend, and pay for no guard
                    await Guarded(run, suspended, timeout, left, call.cancel, call.deadline)
                    break
            else:
                await self._recorded(top.run, call, left, listeners, after)
            if call.asked is not None and call.late:
                raise DeadlineExceededError(timeout=timeout)
            sealed = call.sealed
            del call.sealed  # code that the run left behind keeps the call
            call.completed, call.seconds = True, monotonic() - call.began
            self.meter.ended(call.seconds)
            return sealed
        except BaseException as error:
            if (told := self._failed(call, error, timeout)) is not error:
                raise told from error
            raise
        finally:
            running.pop()

    def _failed(self, call: Call, error: BaseException, timeout: float) -> BaseException:
        """What a caller is told of a run that raised ``error``, once it is counted."""
        told = _told(error, call, timeout)
        call.seconds = monotonic() - call.began
        self.meter.failed(call.seconds, told)
        return told

    # ------------------------------------------------------------------------------------------- many

    @property
    def runs_together(self) -> bool:
        """Whether many calls can be run as one."""
        return run_batch_of(self.layers.top.compiled) is not None

    async def invoke_together(self, calls: Sequence[Call]) -> list[Sealed]:
        """Run all of ``calls`` as one; their outputs, in order. Only where ``runs_together``.

        Args:
            calls: As for ``invoke``, with the same timeout and deadline; none has overrides.

        Raises:
            Exception: Whatever one of them, or all, failed with. No run is counted then: each can be invoked alone.
        """
        top = self.layers.top
        if not top.ready:
            top = await self.layers.made()
        began = monotonic()
        for call in calls:
            call.state, call.environment, call.began = top.state, self._environment, began
            call.places += self._place
        running = self.meter.running
        running.extend([None] * len(calls))
        try:
            timeout, deadline = calls[0].timeout, calls[0].deadline
            sealed = await guard(self._together(top.compiled, calls), timeout, None, partial(_cancel, calls), deadline)
        finally:
            for _ in calls:
                running.pop()
        for call in calls:
            self._complete(call, monotonic() - began)
        return sealed

    async def _together(self, compiled: CompiledPipeline, calls: Sequence[Call]) -> list[Sealed]:
        run = run_batch_of(compiled)
        if run is None:
            raise UnsupportedError(f"{self.name!r} runs one call at a time")
        outputs = await run(calls)
        if len(outputs) != len(calls):
            raise RunError(f"the adapter of {self.name!r} gave {len(outputs)} results for {len(calls)} calls")
        return [self._seal(one) for one in outputs]

    def _complete(self, call: Call, seconds: float) -> None:
        call.run_index = next(self._runs)
        call.run_name = f"{self.name}-{call.run_id}" if call.run_name is None else _filled_in(call)
        call.completed = True
        self.meter.ended(seconds)

    def _seal(self, outputs: Mapping[str, Any]) -> Sealed:
        return outputs, self._dump(outputs)

    # ----------------------------------------------------------------------------------------- events

    async def _recorded(
        self,
        run: RunFunction,
        call: Call,
        left: Left | None,
        listeners: Sequence[Listener],
        after: int,
    ) -> None:
        """``invoke`` for somebody who listens: the run's own events before and after those of its steps."""
        recorder = Recorder(call.run_id, listeners, after)
        recorder.emit("run_started", pipeline=self.name, run_name=call.run_name)
        try:
            await guard(run(call, call.seal, recorder), call.timeout, left, call.cancel, call.deadline)
        except BaseException as error:
            kind, data = _ending(error)
            recorder.record(kind, None, None, data)
            raise
        else:
            recorder.emit("run_completed", duration=monotonic() - call.began, outputs=call.sealed[0])
        finally:
            recorder.close()

    async def _run_foreign(
        self,
        call: Call,
        seal: Callable[[Mapping[str, Any]], T],
        recorder: Recorder | None = None,
    ) -> T:
        """A run of an adapter's pipeline: by its ``run`` if it has one and nobody listens, else by its ``stream``."""
        run: Callable[[Call], Awaitable[Mapping[str, Any]]] | None = getattr(self.compiled, "run", None)
        try:
            outputs = await (self._result(call, recorder) if run is None or recorder is not None else run(call))
        except BaseException as error:
            if isinstance(error, RunError) or is_signal(error):
                raise
            raise StepFailedError(step=self.name, cause=error) from error
        return seal(outputs)

    async def _result(self, call: Call, recorder: Recorder | None) -> Mapping[str, Any]:
        """The outputs that end a stream. Its events are numbered anew among the run's own."""
        results: list[Result] = []
        async for item in self.compiled.stream(call):
            if isinstance(item, Result):
                results.append(item)
            elif recorder is not None and item.kind not in OF_RUNS:
                if recorder.crowded:
                    await recorder.give_way()
                recorder.record(item.kind, item.step, item.attempt, item.data)
        if len(results) != 1:
            raise RunError(f"the adapter of {self.name!r} gave {len(results) or 'no'} results; a stream ends with one")
        return results[0].outputs


def _cancel(calls: Sequence[Call]) -> None:
    for call in calls:
        call.cancel()


def _told(error: BaseException, call: Call, timeout: float) -> BaseException:
    """What is raised for ``error``: it knows its run, and a run that was cancelled too late passed its deadline."""
    if not isinstance(error, RunError):
        return error
    error.run_id = call.run_id
    if not (isinstance(error, RunCancelledError) and call.late):
        return error
    late = DeadlineExceededError(timeout=timeout)
    late.run_id, late.step = error.run_id, error.step
    return late


def _ending(error: BaseException) -> tuple[EventKind, dict[str, Any]]:
    """The event that ends a run which raised ``error``, in words that a caller may read."""
    if isinstance(error, RunCancelledError | asyncio.CancelledError) or not isinstance(error, Exception):
        return "run_cancelled", {"error": str(error) or "the run was cancelled"}
    if isinstance(error, RunError):
        code = getattr(error, "detail_code", None) or error.code
        return "run_failed", {"error": str(error), "code": code, "step": error.step}
    return "run_failed", {"error": f"the run raised {type(error).__name__}", "code": PipemountError.code, "step": None}


def _filled_in(call: Call) -> str:
    now = datetime.now(UTC)
    name = call.run_name or ""
    return name.format(date=f"{now:%Y_%m_%d}", time=f"{now:%H_%M_%S_%f}", run_id=call.run_id)
