"""The verbs: what can be asked of a pipeline, whoever asks. No HTTP word, no framework."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from .adapters.protocol import CompiledPipeline, Result
from .errors import RunError, StepFailedError
from .runtime.admission import Admission
from .runtime.call import Call
from .runtime.events import Listener
from .runtime.guard import Guard
from .runtime.recorder import Recorder
from .settings import Settings
from .types import Principal, Trace

__all__ = ["Completed", "Request", "Service", "new_run_id"]


def new_run_id() -> str:
    """A UUID of version 7 (RFC 9562): in the order of time, 74 bits of it random."""
    milliseconds = time.time_ns() // 1_000_000
    digits = os.urandom(10).hex()
    clock = f"{milliseconds:012x}"
    return f"{clock[:8]}-{clock[8:]}-7{digits[:3]}-{'89ab'[int(digits[3], 16) & 3]}{digits[4:7]}-{digits[7:19]}"


class Request(NamedTuple):
    """What a caller asks for; its inputs and overrides are validated already.

    Attributes:
        inputs: What the pipeline's input schema validated to.
        run_id: From ``new_run_id``.
        run_name: For people, or ``None`` for the default; may hold ``{date}``, ``{time}``, ``{run_id}``.
        timeout: Seconds, or ``None`` for the app's limit.
        overrides: Step parameters by node id, or ``None``.
        principal: Who asks, where known.
        trace: The caller's trace.
        left: Returns when the caller has left; the run is cancelled then.
        listener: Told the run's events.
    """

    inputs: Any
    run_id: str
    run_name: str | None = None
    timeout: float | None = None
    overrides: Mapping[str, Any] | None = None
    principal: Principal | None = None
    trace: Trace | None = None
    left: Callable[[], Awaitable[None]] | None = None
    listener: Listener | None = None


@dataclass(slots=True)
class Completed:
    """A run that completed: outputs as values and as the JSON they were validated into; seconds it took."""

    outputs: Mapping[str, Any]
    outputs_json: bytes
    run_id: str
    run_name: str
    run_index: int
    execution_time: float


class Service:
    """One pipeline of an app: its state, its places, its verbs.

    ``start``, ``stop`` and ``invoke`` belong to the app's home loop.
    """

    def __init__(self, name: str, compiled: CompiledPipeline, settings: Settings, admission: Admission) -> None:
        self.name, self.compiled, self.settings, self.admission = name, compiled, settings, admission
        self.state: Any = None
        self.runs = 0
        self._run: Callable[..., Awaitable[tuple[Mapping[str, Any], bytes]]] = (
            getattr(compiled, "run", None) or self._run_stream
        )

    async def start(self, resources: Mapping[str, Any]) -> None:
        """Make the pipeline's state; what its ``on_init`` raises passes through."""
        self.state = await self.compiled.start(resources)

    async def stop(self) -> None:
        """Give the state back to the pipeline's ``on_cleanup``."""
        state, self.state = self.state, None
        await self.compiled.stop(state)

    async def invoke(self, request: Request) -> Completed:
        """Run and wait. The place (``admission``) is the caller's to take and to leave.

        Raises:
            RunError: The run failed, passed its deadline, or was cancelled because its caller left.
        """
        began = time.perf_counter()
        self.runs = index = self.runs + 1
        timeout = request.timeout or self.settings.request_timeout
        name = self._run_name(request)
        call = Call(
            request.inputs,
            request.run_id,
            name,
            self.state,
            timeout,
            time.monotonic() + timeout,
            request.principal,
            request.trace,
            request.overrides,
        )
        try:
            if request.listener is None:
                outputs, sealed = await Guard(self._run(call, self._seal), timeout, request.left)  # type: ignore[arg-type]  # a coroutine function, in all adapters
            else:
                outputs, sealed = await self._recorded(call, timeout, request)
        except RunError as error:
            error.run_id = request.run_id
            raise
        return Completed(outputs, sealed, request.run_id, name, index, time.perf_counter() - began)

    def _seal(self, outputs: Mapping[str, Any]) -> tuple[Mapping[str, Any], bytes]:
        return outputs, self.compiled.output.dump_json(outputs)

    def _run_name(self, request: Request) -> str:
        if request.run_name is None:
            return f"{self.name}-{request.run_id}"
        now = datetime.now(UTC)
        return request.run_name.format(date=f"{now:%Y_%m_%d}", time=f"{now:%H_%M_%S_%f}", run_id=request.run_id)

    # ----------------------------------------------------------------------------------------- events

    async def _recorded(self, call: Call, timeout: float, request: Request) -> tuple[Mapping[str, Any], bytes]:
        """``invoke`` for somebody who listens: the run's own events before and after those of its steps."""
        assert request.listener is not None  # noqa: S101 - narrows for the type checker; invoke looked
        recorder = Recorder(request.listener, call.run_id)
        recorder.emit("run_started", pipeline=self.name)
        began = time.perf_counter()
        try:
            result = await Guard(self._run(call, self._seal, recorder), timeout, request.left)  # type: ignore[arg-type]  # as above
        except asyncio.CancelledError:
            recorder.emit("run_cancelled")
            raise
        except RunError as error:
            kind = "run_cancelled" if error.code == "run-cancelled" else "run_failed"
            recorder.emit(kind, error=str(error))  # type: ignore[arg-type]  # both are kinds
            raise
        recorder.emit("run_completed", duration=time.perf_counter() - began)
        return result

    async def _run_stream(
        self,
        call: Call,
        seal: Callable[[Mapping[str, Any]], tuple[Mapping[str, Any], bytes]],
        recorder: Recorder | None = None,
    ) -> tuple[Mapping[str, Any], bytes]:
        """``run`` for adapters that only stream: their events are numbered anew among the run's own."""
        sealed = None
        try:
            async for item in self.compiled.stream(call):
                if isinstance(item, Result):
                    sealed = seal(item.outputs)
                elif recorder is not None:
                    recorder.emit(item.kind, item.step, item.attempt, **item.data)
        except (RunError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise StepFailedError(step=self.name, cause=error) from error
        if sealed is None:
            raise RunError(f"the adapter of {self.name!r} ended without a result")
        return sealed
