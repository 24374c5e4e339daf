"""Pictures of graphs, as text: Mermaid flowcharts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .graph import BRANCH, MAP, GraphNode, GraphPort, GraphView

__all__ = ["each_of", "to_mermaid"]

INDENT = "    "


def to_mermaid(view: GraphView) -> str:
    """A flowchart: inputs and outputs as stadiums, steps as boxes, branches as diamonds, maps with double sides.

    Inlined pipelines and the bodies of maps are subgraphs. Dashed arrows are not taken by every run; names that end
    with ``?`` may be left out.

    Example:
        >>> from pipemount.pipelines.authoring import compile_function
        >>> from pipemount.pipelines.viewing import view_of
        >>> def greet(name: str) -> str:
        ...     return f"Hello {name}"
        >>> print(to_mermaid(view_of(compile_function(greet))))
        flowchart TD
            inputs(["name"])
            step_0["greet"]
            outputs(["output"])
            inputs -->|"name"| step_0
            step_0 -->|"output"| outputs
    """
    return "\n".join(["flowchart TD", *(INDENT + line for line in Chart(view).lines())])


def each_of(node: GraphNode) -> str:
    """What a map is repeated for: ``× each city``."""
    fan = node.settings.get("fan") or {}
    word = "× every pair of" if fan.get("kind") == "product" else "× each"
    return f"{word} {', '.join(fan.get('over', ()))}".rstrip()


class Chart:
    """A view with Mermaid's own ids for all in it, since anything may stand in ours.

    The body of a map is a chart of its own, without inputs and outputs, whose ids go on from the map's.
    """

    def __init__(self, view: GraphView, within: str = "") -> None:
        self._view, self._within = view, within
        self._branches = {node.id for node in view.nodes if node.kind == BRANCH}
        self._names = {node.id: self._name(n, node) for n, node in enumerate(view.nodes)}
        self._members: dict[str, list[GraphNode | str]] = {"": []}
        for node in view.boxes():
            self._put(node)
        self._groups = {path: f"group_{within}{n}" for n, path in enumerate(self._members)}

    def lines(self) -> Iterator[str]:
        """All of it: what is drawn, then the arrows."""
        if not self._within:
            yield from _port("inputs", self._view.inputs, any(not edge.source for edge in self._view.edges))
        yield from self._group("")
        if not self._within:
            yield from _port("outputs", self._view.outputs, any(not edge.target for edge in self._view.edges))
        yield from self._arrows()

    def _name(self, number: int, node: GraphNode) -> str:
        return f"{'branch' if node.id in self._branches else 'step'}_{self._within}{number}"

    def _put(self, node: GraphNode) -> None:
        """Into its group, which stands in its own where its first node is."""
        outer, path = "", ""
        for part in node.group.split("/") if node.group else ():
            path = f"{path}/{part}" if path else part
            if path not in self._members:
                self._members[path] = []
                self._members[outer].append(path)
            outer = path
        self._members[outer].append(node)

    def _group(self, path: str) -> Iterator[str]:
        for member in self._members[path]:
            if isinstance(member, str):
                yield from _subgraph(self._groups[member], member.rpartition("/")[2], self._group(member))
            elif member.body and member.body.nodes:
                name = self._names[member.id]
                inner = Chart(member.body, f"{name.removeprefix('step_')}_")
                yield from _subgraph(name, f"{_label(member)} {each_of(member)}", inner.lines())
            else:
                yield self._names[member.id] + _shape(member)

    def _arrows(self) -> Iterator[str]:
        for edge in self._view.edges:
            source = self._names.get(edge.source, "" if self._within or edge.source else "inputs")
            target = self._names.get(edge.target, "" if self._within or edge.target else "outputs")
            label = f"|{_quoted(edge.label)}|" if edge.label else ""
            arrow = "-.->" if edge.conditional and edge.source not in self._branches else "-->"
            if source and target:
                yield f"{source} {arrow}{label} {target}"


def _port(kind: str, ports: Sequence[GraphPort], used: bool) -> Iterator[str]:
    if ports or used:
        text = ", ".join(f"{port.name}?" if port.optional else port.name for port in ports)
        yield f"{kind}([{_quoted(text or kind)}])"


def _subgraph(name: str, title: str, lines: Iterator[str]) -> Iterator[str]:
    yield f"subgraph {name}[{_quoted(title)}]"
    yield f"{INDENT}direction TD"
    yield from (INDENT + line for line in lines)
    yield "end"


def _shape(node: GraphNode) -> str:
    if node.kind == BRANCH:
        return f"{{{_quoted(node.label or node.id)}}}"
    if node.kind == MAP:
        return f"[[{_quoted(f'{_label(node)} {each_of(node)}')}]]"
    return f"[{_quoted(_label(node))}]"


def _label(node: GraphNode) -> str:
    """The name, and what is called where that has another."""
    last = node.id.rpartition("/")[2]
    name = last if node.group else node.id
    return name if node.label in ("", name, last) else f"{name}: {node.label}"


def _quoted(text: str) -> str:
    """Mermaid's string: entities for what would end it or be read as markup."""
    return '"' + "".join(f"#{ord(c)};" if c in '#"<>&`' else c for c in " ".join(text.split())) + '"'
