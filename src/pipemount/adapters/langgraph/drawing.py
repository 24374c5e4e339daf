"""A compiled graph as a ``GraphView``, subgraphs unfolded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from langgraph.constants import END, START
from langgraph.pregel import Pregel

from ..protocol import GraphEdge, GraphNode, GraphView

__all__ = ["view_of"]

KIND = "node"


def view_of(graph: Any, *, functional: bool) -> GraphView:
    """What can be drawn of ``graph``; a node of a subgraph is named ``outer/inner``, as in events.

    The subgraph itself, which is a step as well, is a node of the kind ``subgraph`` without edges; the nodes in it are
    of its group.

    A conditional edge makes the view a superset of what a run does, and so does a subgraph that a node may call. It is
    opaque where it cannot be complete: for the
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
    steps = {id: node.name for id, node in drawn.nodes.items() if id.rpartition(":")[2] not in (START, END)}
    subgraphs = sorted({outer for id in steps for outer in _outer(id)})
    nodes = (
        *(_node(id, name, KIND) for id, name in steps.items()),
        *(_node(id, id.rpartition(":")[2], "subgraph") for id in subgraphs),
    )
    lines = tuple(
        replace(edge, source=_end(edge.source), target=_end(edge.target)) for _, edge in sorted(edges.items())
    )
    return GraphView(nodes, lines, "opaque" if functional else _fidelity(graph, nodes, lines))


def _node(id: str, label: str, kind: str) -> GraphNode:
    return GraphNode(_path(id), label, kind, group=_path(id.rpartition(":")[0]))


def _outer(id: str) -> list[str]:
    """The subgraphs that a node is in: of ``a:b:c`` these are ``a:b`` and ``a``."""
    outer = id.rpartition(":")[0]
    return [outer, *_outer(outer)] if outer else []


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


def _fidelity(
    graph: Any, nodes: tuple[GraphNode, ...], edges: tuple[GraphEdge, ...]
) -> Literal["exact", "superset", "opaque"]:
    if {node.id for node in nodes if node.kind == KIND} - {edge.target for edge in edges}:
        return "opaque"
    return "superset" if any(edge.conditional for edge in edges) or _calls(graph) else "exact"


def _calls(graph: Any) -> bool:
    """Whether the code of a node calls a subgraph, which it need not do in every run."""
    return any(
        _calls(node.bound) if isinstance(node.bound, Pregel) else bool(node.subgraphs) for node in graph.nodes.values()
    )


def _path(id: str) -> str:
    return id.replace(":", "/")


def _end(id: str) -> str:
    return "" if id in (START, END) else _path(id)
