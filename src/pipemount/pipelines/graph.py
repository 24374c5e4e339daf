"""What can be drawn of any compiled pipeline, ours or another library's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..types import JsonObject

__all__ = ["GraphEdge", "GraphNode", "GraphView"]


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
