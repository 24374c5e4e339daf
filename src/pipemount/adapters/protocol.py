"""``CompiledPipeline``: what the service needs of anything that it serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

from ..drawing.graph import GraphEdge, GraphNode, GraphView
from ..pipelines.schema import Schema
from ..runtime.call import Call
from ..runtime.events import Event

__all__ = [
    "Call",
    "CompiledPipeline",
    "GraphEdge",
    "GraphNode",
    "GraphView",
    "PipelineInfo",
    "Result",
    "RunBatch",
    "overrides_of",
    "run_batch_of",
]


@dataclass(frozen=True, slots=True)
class PipelineInfo:
    """Who a pipeline is. ``fingerprint`` changes when what it does may have changed."""

    name: str
    framework: str
    framework_version: str
    fingerprint: str
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """The outputs that end a stream: a mapping of output name to value."""

    outputs: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class CompiledPipeline(Protocol):
    """Anything that can be served.

    The service owns validation, sequence numbers, run events, deadlines and serialising; an implementation runs.
    ``stream`` must end with exactly one ``Result``; closing it cancels. An implementation may add
    ``async def run(call) -> Mapping[str, Any]``, which the service prefers where nobody wants events,
    ``overrides``, the ``Schema`` of a request's ``steps`` member, see ``overrides_of``, and ``run_batch``, where many
    calls at once cost less than one by one, see ``run_batch_of``.
    """

    @property
    def info(self) -> PipelineInfo: ...
    @property
    def graph(self) -> GraphView: ...
    @property
    def input(self) -> Schema: ...
    @property
    def output(self) -> Schema: ...
    @property
    def capabilities(self) -> frozenset[str]: ...
    async def start(self, resources: Mapping[str, Any]) -> Any: ...
    async def stop(self, state: Any) -> None: ...
    def stream(self, call: Call) -> AsyncIterator[Event | Result]: ...


def overrides_of(compiled: CompiledPipeline) -> Schema | None:
    """What a request may say of single steps; ``None`` where the pipeline takes nothing of the kind."""
    return getattr(compiled, "overrides", None)


RunBatch: TypeAlias = Callable[[Sequence[Call]], Awaitable[Sequence[Mapping[str, Any]]]]
"""The outputs of each call, in order, as ``run`` would give them one by one.

All calls have the same deadline and state, and none has overrides; ``cancelled`` is true of all when nobody waits any
more. One that fails may fail all: whoever asked runs them one by one then, so there may be no effects to repeat.
"""


def run_batch_of(compiled: CompiledPipeline) -> RunBatch | None:
    """How many calls are run as one, ``compiled.run_batch``; ``None`` where a pipeline runs them one by one."""
    return getattr(compiled, "run_batch", None)
