"""Pictures of snapshots, as text: Mermaid flowcharts."""

from __future__ import annotations

from collections.abc import Iterator

from .snapshot import Edge, Node, Snapshot

__all__ = ["to_mermaid"]

_INPUTS, _OUTPUTS = "inputs", "outputs"
_ARROWS = {"ok": "-->", "coerce": "-->", "after": "-.->"}


def to_mermaid(snapshot: Snapshot) -> str:
    """A flowchart: inputs and outputs as stadiums, steps as boxes; dotted arrows are order without data.

    Example:
        >>> from pipemount.pipelines.authoring import compile_function
        >>> def greet(name: str) -> str:
        ...     return f"Hello {name}"
        >>> print(to_mermaid(compile_function(greet)))
        flowchart TD
            inputs(["name"])
            step_0["greet"]
            outputs(["output"])
            inputs -->|"name"| step_0
            step_0 -->|"output"| outputs
    """
    return "\n    ".join(["flowchart TD", *_shapes(snapshot), *_arrows(snapshot)])


def _shapes(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.parameters:
        yield f"{_INPUTS}([{_quoted(', '.join(p.name for p in snapshot.parameters))}])"
    for index, node in enumerate(snapshot.nodes):
        yield f"step_{index}[{_quoted(_label(node))}]"
    if snapshot.results:
        yield f"{_OUTPUTS}([{_quoted(', '.join(r.name for r in snapshot.results))}])"


def _label(node: Node) -> str:
    inner = node.id.rpartition("/")[2]
    return node.id if inner == node.step.name else f"{node.id}: {node.step.name}"


def _arrows(snapshot: Snapshot) -> Iterator[str]:
    ids = {node.id: f"step_{index}" for index, node in enumerate(snapshot.nodes)}
    for edge in snapshot.edges:
        label = f"|{_quoted(edge.label)}|" if edge.label else ""
        yield f"{ids.get(edge.source, _INPUTS)} {_arrow(edge)}{label} {ids.get(edge.target, _OUTPUTS)}"


def _arrow(edge: Edge) -> str:
    return "-.->" if edge.conditional else _ARROWS[edge.verdict]


def _quoted(text: str) -> str:
    """Mermaid's string: entities for what would end it or be read as markup."""
    return '"' + "".join(f"#{ord(c)};" if c in '#"<>&`' else c for c in text) + '"'
