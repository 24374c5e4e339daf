"""What a dynamic body did, as a graph."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import Any

from ..drawing.graph import GraphEdge, GraphNode, GraphView
from ..pipelines.unmapped import Unmapped
from .pending import Submitted

__all__ = ["MAX_DRAWN", "Sketch"]

MAX_DRAWN = 256
"""How many calls of a run are drawn."""

_ATOMS = (int, float, complex, bool, str, bytes, type(None), enum.Enum)
"""Values that are the same object wherever they come from, so that nothing can be told by identity."""


class Sketch:
    """The calls of a run, in their order, and where their values came from, as far as that shows.

    A value is known again by identity, and a handle by its call; what has no known origin follows the call before it.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, GraphNode] = {}
        self._edges: dict[GraphEdge, None] = {}
        self._origins: dict[int, tuple[str, Any]] = {}
        self._last = ""

    def called(self, name: str, label: str, kind: str, values: Mapping[str, Any]) -> None:
        """A call begins."""
        if len(self._nodes) < MAX_DRAWN:
            self._nodes[name] = GraphNode(name, label, kind)
            self._draw(name, values)

    def gave(self, name: str, value: Any) -> None:
        """A call has a value."""
        if name in self._nodes:
            self._last = name
            for part in (value, *(value if isinstance(value, tuple) else ())):
                if not isinstance(part, _ATOMS):
                    self._origins[id(part)] = name, part

    def view(self, outputs: Mapping[str, Any]) -> GraphView:
        """The drawing of a run that gave ``outputs``."""
        self._draw("", outputs)
        return GraphView(tuple(self._nodes.values()), tuple(self._edges), "opaque")

    def _draw(self, target: str, values: Mapping[str, Any]) -> None:
        found = [GraphEdge(source, target, label) for label, v in values.items() for source in self._sources(v)]
        self._edges.update(dict.fromkeys(found or [GraphEdge(self._last, target)]))

    def _sources(self, value: Any) -> Iterator[str]:
        if isinstance(value, Submitted):
            yield value.name
        elif isinstance(value, Unmapped):
            yield from self._sources(value.value)
        elif id(value) in self._origins:
            yield self._origins[id(value)][0]
        elif isinstance(value, list | tuple):
            for item in value:
                yield from self._sources(item)
