"""What can be drawn of any compiled pipeline, ours or another library's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..types import JsonObject

__all__ = ["BRANCH", "MAP", "GraphEdge", "GraphNode", "GraphPort", "GraphView"]

BRANCH, MAP = "branch", "map"
"""The kinds that are drawn in a shape of their own: a decision, and what is run once per item."""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A step, a decision or a map.

    Attributes:
        id: Unique in its view; in ``outer/inner`` what is before the last slash is what it was inlined from. A node
            whose id is a group, and that no edge leads to, is the frame of that group.
        label: What is called; for a branch the condition, as an author would write it.
        kind: Where a step runs or what its library calls it; ``branch``; ``map``.
        group: What it is drawn inside of, ``outer/inner`` for a group in a group; empty for none.
        version: Changes when what the step does may have changed; empty where nobody can tell.
        settings: How it is run, as JSON-compatible values: ``arguments``, ``retry``, ``timeout``, ``executor``,
            ``hooks``, ``fan``; only what is set.
        body: For a map of a pipeline, what is run for each item.
    """

    id: str
    label: str
    kind: str = "step"
    group: str = ""
    version: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    body: GraphView | None = None

    def as_json(self) -> JsonObject:
        """The node as JSON-compatible values; what is empty is left out."""
        told = {
            "group": self.group,
            "version": self.version,
            "settings": dict(self.settings),
            "body": self.body.as_json() if self.body else None,
        }
        return {"id": self.id, "label": self.label, "kind": self.kind} | {k: v for k, v in told.items() if v}


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """From node to node; ``""`` stands for the inputs as a source and for the outputs as a target.

    Attributes:
        source: Node id.
        target: Node id.
        label: The parameter or output that the data becomes; ``yes`` or ``no`` out of a branch.
        conditional: Whether there are runs that do not take it.
    """

    source: str
    target: str
    label: str = ""
    conditional: bool = False


@dataclass(frozen=True, slots=True)
class GraphPort:
    """An input or an output of the pipeline; ``optional`` where callers or runs may leave it out."""

    name: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class GraphView:
    """What can be drawn.

    Attributes:
        nodes: In the order in which they are read.
        edges: Between them; there may be cycles.
        fidelity: Whether a run does just this (``exact``), at most this (``superset``), or cannot be foreseen
            (``opaque``).
        inputs: By name, where they are known.
        outputs: By name, where they are known.
        settings: Of the whole pipeline, as JSON-compatible values: ``hooks``; only what is set.
    """

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    fidelity: Literal["exact", "superset", "opaque"] = "exact"
    inputs: tuple[GraphPort, ...] = ()
    outputs: tuple[GraphPort, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def boxes(self) -> tuple[GraphNode, ...]:
        """The nodes but those that are the frame of a group."""
        groups = {node.group for node in self.nodes}
        frames = groups - {end for edge in self.edges for end in (edge.source, edge.target)}
        return tuple(node for node in self.nodes if node.id not in frames)

    def as_json(self) -> JsonObject:
        """The graph as JSON-compatible values; ``layout.drawn`` adds where everything is drawn."""
        return {
            "fidelity": self.fidelity,
            "inputs": [{"name": port.name, "optional": port.optional} for port in self.inputs],
            "outputs": [{"name": port.name, "optional": port.optional} for port in self.outputs],
            "nodes": [node.as_json() for node in self.nodes],
            "edges": [
                {"source": e.source, "target": e.target, "label": e.label, "conditional": e.conditional}
                for e in self.edges
            ],
            "settings": dict(self.settings),
        }
