"""The pipeline under examination: made, started, run and stopped as an app would, with everything written down."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..adapters.protocol import CompiledPipeline, Result
from ..runtime.call import Call
from ..runtime.threads import ThreadPool
from ..service import new_run_id
from ..settings import Settings
from .findings import Finding

__all__ = ["Started", "Subject", "Told", "same"]

Inputs = Mapping[str, Any]


@dataclass(slots=True)
class Told:
    """What one run told: the items of its stream, and what it raised."""

    items: list[Any] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def events(self) -> list[Any]:
        """All that is no result."""
        return [item for item in self.items if not isinstance(item, Result)]

    @property
    def outputs(self) -> Mapping[str, Any] | None:
        """Those of its first result."""
        return next((item.outputs for item in self.items if isinstance(item, Result)), None)


@dataclass(slots=True)
class Started:
    """A pipeline between ``start`` and ``stop``."""

    pipeline: CompiledPipeline
    state: Any

    def call(self, inputs: Inputs) -> Call:
        """What a run is given; ``inputs`` are validated here."""
        call = Call(self.pipeline.input.validate(dict(inputs)), new_run_id(), "conformance")
        call.state = self.state
        return call

    async def stream(self, inputs: Inputs) -> Told:
        """Run once by ``stream``, to its end."""
        told = Told()
        try:
            async for item in self.pipeline.stream(self.call(inputs)):
                told.items.append(item)
        except Exception as error:  # for the checks to judge
            told.error = error
        return told

    async def outputs(self, inputs: Inputs) -> Any:
        """The outputs of one run by ``stream`` as JSON values; the error if there are none."""
        told = await self.stream(inputs)
        return told.error if told.outputs is None else self.pipeline.output.dump(told.outputs)


@dataclass
class Subject:
    """What is examined, with what, and what was found."""

    make: Callable[[], CompiledPipeline]
    good: Sequence[Inputs]
    bad: Sequence[Any]
    expected: Sequence[Any] | None = None
    failing: Sequence[Inputs] = ()
    slow: Inputs | None = None
    patience: float = 5.0
    longest_block: float = 0.1
    check: str = ""
    findings: list[Finding] = field(default_factory=list)

    def find(self, problem: str, way_out: str) -> None:
        """Write down what is wrong, once."""
        finding = Finding(self.check, problem, way_out)
        if finding not in self.findings:
            self.findings.append(finding)

    @contextlib.asynccontextmanager
    async def started(self, pipeline: CompiledPipeline | None = None) -> AsyncIterator[Started]:
        """``pipeline``, or a fresh one, started with the resources that an app gives, and stopped in the end."""
        pipeline, settings = self.make() if pipeline is None else pipeline, Settings()
        threads = ThreadPool(settings.threads, "conformance")
        try:
            state = await pipeline.start({"threads": threads, "settings": settings})
            try:
                yield Started(pipeline, state)
            finally:
                await pipeline.stop(state)
        finally:
            threads.close()

    async def within(self, work: Any, what: str) -> Any:
        """``work`` awaited for as long as patience lasts; ``None`` and a finding after that."""
        try:
            async with asyncio.timeout(self.patience):
                return await work
        except TimeoutError:
            self.find(
                f"{what} did not end within {self.patience:g} s",
                "Await what is waited for on the loop that it belongs to, or give the check more patience",
            )
            return None


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal, numbers but for rounding: a model may add in another order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    return type(one) is type(other) and bool(one == other)
