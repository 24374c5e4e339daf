"""A compiled graph as a ``GraphView``, subgraphs unfolded."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, Literal

from langgraph.constants import END, START

from ..protocol import GraphEdge, GraphNode, GraphView

__all__ = ["view_of"]

KIND = "node"


def view_of(graph: Any, *, functional: bool) -> GraphView:
    """What can be drawn of ``graph``; a node of a subgraph is named ``outer/inner``, as in events.

    The subgraph itself, which is a step as well, is a node of the kind ``subgraph`` without edges.

    A conditional edge makes the view a superset of what a run does. It is opaque where it cannot be complete: for the
    functional API, whose tasks are called in Python, and where a node that no edge leads to is jumped to by a
    ``Command`` that its node does not declare.
    """
    try:
        drawn = graph.get_graph(xray=True)
    except Exception:  # drawing runs code of the library's and the author's; what cannot be drawn can still run
        return GraphView(tuple(GraphNode(name, name, KIND) for name in graph.nodes), (), "opaque")
    edges = {(e.source, e.target): GraphEdge(e.source, e.target, str(e.data or ""), e.conditional) for e in drawn.edges}
    for id in drawn.nodes:
        if id.rpartition(":")[2] in (START, END) and ":" in id:
            _bypass(edges, id)
    steps = {_path(id): node.name for id, node in drawn.nodes.items() if id.rpartition(":")[2] not in (START, END)}
    outer = {path.rpartition("/")[0] for path in steps} - {""}
    nodes = (
        *(GraphNode(path, name, KIND) for path, name in sorted(steps.items())),
        *(GraphNode(path, path.rpartition("/")[2], "subgraph") for path in sorted(_with_parents(outer))),
    )
    lines = tuple(
        replace(edge, source=_end(edge.source), target=_end(edge.target)) for _, edge in sorted(edges.items())
    )
    return GraphView(nodes, lines, "opaque" if functional else _fidelity(nodes, lines))


def _with_parents(paths: set[str]) -> set[str]:
    return {path for inner in paths for path in itertools.accumulate(inner.split("/"), "{}/{}".format)}


def _bypass(edges: dict[tuple[str, str], GraphEdge], id: str) -> None:
    """Joins the edges that meet where a subgraph begins or ends, which is no step."""
    into = [edge for edge in edges.values() if edge.target == id]
    out = [edge for edge in edges.values() if edge.source == id]
    for edge in (*into, *out):
        edges.pop((edge.source, edge.target), None)
    for first in into:
        for then in out:
            joined = GraphEdge(
                first.source, then.target, first.label or then.label, first.conditional or then.conditional
            )
            edges.setdefault((joined.source, joined.target), joined)


def _fidelity(nodes: tuple[GraphNode, ...], edges: tuple[GraphEdge, ...]) -> Literal["exact", "superset", "opaque"]:
    if {node.id for node in nodes if node.kind == KIND} - {edge.target for edge in edges}:
        return "opaque"
    return "superset" if any(edge.conditional for edge in edges) else "exact"


def _path(id: str) -> str:
    return id.replace(":", "/")


def _end(id: str) -> str:
    return "" if id in (START, END) else _path(id)
