"""``CompiledPipeline``: what the service needs of anything that it serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from ..pipelines.schema import Schema
from ..runtime.call import Call
from ..runtime.events import Event
from ..types import JsonObject

__all__ = ["Call", "CompiledPipeline", "GraphEdge", "GraphNode", "GraphView", "PipelineInfo", "Result", "overrides_of"]


@dataclass(frozen=True, slots=True)
class PipelineInfo:
    """Who a pipeline is. ``fingerprint`` changes when what it does may have changed."""

    name: str
    framework: str
    framework_version: str
    fingerprint: str
    doc: str = ""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A step in the graph; ``kind`` is where it runs, or what the library calls it."""

    id: str
    label: str
    kind: str = "step"


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """From node to node; ``""`` stands for the inputs as a source and for the outputs as a target."""

    source: str
    target: str
    label: str = ""
    conditional: bool = False


@dataclass(frozen=True, slots=True)
class GraphView:
    """What can be drawn.

    ``fidelity`` tells whether a run does just this (``exact``), at most this (``superset``), or cannot be foreseen
    (``opaque``).
    """

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    fidelity: Literal["exact", "superset", "opaque"] = "exact"

    def as_json(self) -> JsonObject:
        """The graph as JSON-compatible values, for ``/info``."""
        return {
            "fidelity": self.fidelity,
            "nodes": [{"id": n.id, "label": n.label, "kind": n.kind} for n in self.nodes],
            "edges": [
                {"source": e.source, "target": e.target, "label": e.label, "conditional": e.conditional}
                for e in self.edges
            ],
        }


@dataclass(frozen=True, slots=True)
class Result:
    """The outputs that end a stream: a mapping of output name to value."""

    outputs: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class CompiledPipeline(Protocol):
    """Anything that can be served.

    The service owns validation, sequence numbers, run events, deadlines and serialising; an implementation runs.
    ``stream`` must end with exactly one ``Result``; closing it cancels. An implementation may add
    ``async def run(call) -> Mapping[str, Any]``, which the service prefers where nobody wants events, and
    ``overrides``, the ``Schema`` of a request's ``steps`` member; see ``overrides_of``.
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
