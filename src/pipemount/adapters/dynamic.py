"""Dynamic pipelines behind the seam: typed in and out, and drawn as they did it last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..errors import InvalidOutputsError
from ..pipelines.authoring import PipelineDefinition
from ..pipelines.replacing import Replacements, reachable_steps
from ..pipelines.snapshot import Output, ResultField, Snapshot
from ..pipelines.specs import StepSpec
from ..runtime.call import Call
from ..runtime.dynamic import DynamicExecutor
from ..runtime.executor import Executor
from ..runtime.recorder import Recorder
from ..runtime.threads import ThreadPool
from .native import NativePipeline
from .protocol import GraphView

__all__ = ["DynamicPipeline"]


class DynamicPipeline(NativePipeline):
    """A pipeline whose body runs for each request. ``graph`` is what the last run did."""

    opaque = True

    def __init__(self, definition: PipelineDefinition) -> None:
        super().__init__(definition.compile())
        self.definition = definition
        self.graph = GraphView((), (), "opaque")

    def anew(self) -> NativePipeline:
        """The same pipeline for another app, which starts and stops its own."""
        return DynamicPipeline(self.definition)

    def steps(self) -> Iterable[tuple[str, StepSpec]]:
        """The steps that the body names."""
        return reachable_steps(self.definition)

    def check(self, replacements: Replacements) -> None:
        """Raises ``ConfigurationError`` where a replacement lacks a parameter that its step needs."""
        for _, spec in self.steps():
            replacements.check(spec)

    @property
    def run_sealed(self) -> Callable[..., Awaitable[Any]]:
        """``run_sealed(call, seal, recorder=None)``, see ``Executor.run``; there between ``start`` and ``stop``."""
        self._ready()
        return self._run_sealed

    @property
    def run_swiftly(self) -> Callable[..., Awaitable[Any]] | None:
        """There is no swift way through a dynamic body."""
        return None

    async def _run_sealed(
        self, call: Call, seal: Callable[[Mapping[str, Any]], Any], recorder: Recorder | None = None
    ) -> Any:
        try:
            return await self._ready().run(call, lambda found: seal(self._named(found[_VALUE])), recorder)
        finally:
            self.graph = call.graph or self.graph

    def _executor_for(self, threads: ThreadPool) -> Executor:
        return DynamicExecutor(self.definition, _whole(self.snapshot), threads, self._replacements, self._connections)

    def _named(self, value: Any) -> Mapping[str, Any]:
        """What the body returned, by the names of the outputs. Raises ``InvalidOutputsError``."""
        shape, names = self.snapshot.shape, [result.name for result in self.snapshot.results]
        if shape == "none":
            return {}
        if shape == "value":
            return {names[0]: value}
        if shape == "dict" and isinstance(value, Mapping):
            return dict(value)
        if shape == "tuple" and isinstance(value, tuple) and len(value) == len(names):
            return dict(zip(names, value, strict=True))
        promised = f"a tuple of {len(names)}" if shape == "tuple" else "a dict"
        raise InvalidOutputsError(
            f"the body of {self.info.name!r} returned a {type(value).__name__}, and is annotated to return {promised}"
        )


_VALUE = "output"


def _whole(snapshot: Snapshot) -> Snapshot:
    """``snapshot`` with all that the body returns as its one output."""
    return replace(snapshot, results=(ResultField(_VALUE, Output(snapshot.nodes[0].id), Any),))
