"""Where everything of a graph is drawn, so that a page can draw it without a layout library.

Coordinates are in pixels from the top left corner, y downwards, all of them absolute. Texts are measured for a font of
fixed width, 13 px high (11 px for notes and labels of arrows), so that the drawing fits wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from ..types import JsonObject
from .graph import BRANCH, MAP, GraphNode, GraphPort, GraphView
from .layering import Point
from .measures import NOTE_SIZE, joined, shortened, text_width, wrapped
from .mermaid import each_of
from .nesting import End, Frame, Item, Link, nest

__all__ = ["Layout", "Route", "Shape", "ShapeKind", "drawn", "lay_out"]

ShapeKind: TypeAlias = Literal["inputs", "outputs", "step", "branch", "map", "group"]

MARGIN = 16.0
STACK = 5.0
"""How far the sheets of a map stand out behind the first."""
HEADER = 30.0
INSIDE = 14.0
LOOP = 22.0
LONGEST_LABEL = 36


@dataclass(frozen=True, slots=True)
class Shape:
    """Something that is drawn with text in it.

    Attributes:
        id: Of the node, or the path of the group; a node in the body of a map is ``map[]/node``. ``""`` for the inputs
            and the outputs.
        kind: What it looks like: pills for inputs and outputs, boxes for steps, diamonds for branches, stacked boxes
            for maps, frames for groups.
        lines: Its text; of steps, maps and groups the first line is the name, the others are notes.
        title: What is told in full where the text is shortened.
        x: Of its left edge.
        y: Of its upper edge.
        width: In all.
        height: In all.
        holds: Whether other shapes are inside.
    """

    id: str
    kind: ShapeKind
    lines: tuple[str, ...]
    title: str
    x: float
    y: float
    width: float
    height: float
    holds: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """An arrow: a line through points, straight, or bent so that it is upright at each.

    Attributes:
        source: Id of a shape; ``""`` for the inputs.
        target: Id of a shape; ``""`` for the outputs.
        label: Its text; labels of edges between the same two nodes stand together.
        conditional: Whether there are runs that do not take it.
        points: From the edge of the one shape to that of the other.
        label_at: The middle of the text.
    """

    source: str
    target: str
    label: str
    conditional: bool
    points: tuple[Point, ...]
    label_at: Point | None


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawing: shapes that hold others come before them."""

    width: float
    height: float
    shapes: tuple[Shape, ...]
    routes: tuple[Route, ...]

    def as_json(self) -> JsonObject:
        """The layout as JSON-compatible values, rounded to tenths of a pixel."""
        return {
            "width": _round(self.width),
            "height": _round(self.height),
            "nodes": [_shape_json(shape) for shape in self.shapes],
            "edges": [_route_json(route) for route in self.routes],
        }


def drawn(view: GraphView) -> JsonObject:
    """A graph as JSON-compatible values, with where it is drawn as ``layout``."""
    return view.as_json() | {"layout": lay_out(view).as_json()}


def lay_out(view: GraphView) -> Layout:
    """Places all of ``view``. Takes time in proportion to its size, but for sorting."""
    inner = _inner(view, ports=True)
    return replace(_moved(inner, MARGIN, MARGIN), width=inner.width + 2 * MARGIN, height=inner.height + 2 * MARGIN)


# -------------------------------------------------------------------------------------------- parts


def _inner(view: GraphView, *, ports: bool) -> Layout:
    """A layout without margins; the body of a map shows no inputs and outputs of its own."""
    links = _links(view, ports=ports)
    bodies = {node.id: _inner(node.body, ports=False) for node in view.nodes if node.body and node.body.nodes}
    looped = {link.source[1] for link in links if link.source == link.target}
    shapes: dict[End, Shape] = {("node", node.id): _shape(node, bodies.get(node.id)) for node in view.boxes()}
    if ports:
        shapes |= _ports(view, links)
    items = [_item(end, shape, looped) for end, shape in shapes.items()]
    homes: dict[End, str] = {("node", node.id): node.group for node in view.nodes}
    nested = nest(items, homes, links)
    placed = [_placed(shapes[end], middle) for end, middle in nested.middles.items()]
    return Layout(
        nested.width,
        nested.height,
        (*map(_framed, nested.frames), *_with_bodies(placed, bodies)),
        (*_routes(links, nested.routes, nested.labels, placed), *_body_routes(placed, bodies)),
    )


def _links(view: GraphView, *, ports: bool) -> list[Link]:
    """Edges between the same two nodes as one, their labels together."""
    known = {node.id for node in view.nodes}
    branches = {node.id for node in view.nodes if node.kind == BRANCH}
    found: dict[tuple[End, End, bool], list[str]] = {}
    for edge in view.edges:
        source: End = ("node", edge.source) if edge.source else ("inputs", "")
        target: End = ("node", edge.target) if edge.target else ("outputs", "")
        if all(end[1] in known if end[1] else ports for end in (source, target)):
            found.setdefault((source, target, edge.conditional), []).append(edge.label)
    return [
        Link(source, target, joined(labels, LONGEST_LABEL), conditional, at_source=source[1] in branches)
        for (source, target, conditional), labels in found.items()
    ]


def _ports(view: GraphView, links: Sequence[Link]) -> dict[End, Shape]:
    """Pills for the inputs and the outputs, where there are any."""
    found: dict[End, Shape] = {}
    if view.inputs or any(link.source[0] == "inputs" for link in links):
        found["inputs", ""] = _pill("inputs", view.inputs)
    if view.outputs or any(link.target[0] == "outputs" for link in links):
        found["outputs", ""] = _pill("outputs", view.outputs)
    return found


def _pill(kind: Literal["inputs", "outputs"], ports: Sequence[GraphPort]) -> Shape:
    names = [f"{port.name}?" if port.optional else port.name for port in ports]
    lines = wrapped(", ".join(names) or kind, 44, 4)
    width = max(text_width(line) for line in lines) + 36
    return Shape("", kind, lines, ", ".join(names) or kind, 0, 0, max(width, 84.0), 16 + 18.0 * len(lines))


def _shape(node: GraphNode, body: Layout | None) -> Shape:
    if node.kind == BRANCH:
        return _diamond(node)
    name = shortened(node.id.rpartition("/")[2], 32)
    notes = _notes(node, name)
    lines = (name, *notes)
    width = max(72.0, *(28 + text_width(n, *([NOTE_SIZE] if i else [])) for i, n in enumerate(lines)))
    title = node.id if node.label in ("", node.id.rpartition("/")[2]) else f"{node.id}: {node.label}"
    height = 36.0 + 15 * len(notes)
    if body:
        one_line = sum(text_width(n, NOTE_SIZE) + 12 for n in notes) + text_width(name) + 28
        width, height = max(one_line, body.width + 2 * INSIDE), body.height + HEADER + INSIDE
    sheets = 2 * STACK if node.kind == MAP else 0.0
    return Shape(
        node.id, "map" if sheets else "step", lines, title, 0, 0, width + sheets, height + sheets, body is not None
    )


def _notes(node: GraphNode, name: str) -> tuple[str, ...]:
    found = [shortened(node.label, 36)] if node.label not in ("", name, node.id) and not node.body else []
    if node.kind == MAP:
        found.append(shortened(each_of(node), 36))
    return tuple(found)


def _diamond(node: GraphNode) -> Shape:
    lines = wrapped(node.label or node.id, 30, 2)
    height = 60.0 if len(lines) == 1 else 92.0
    across = max(text_width(line) for line in lines) / (1 - 18 * len(lines) / height)
    return Shape(node.id, "branch", lines, node.label or node.id, 0, 0, max(across + 10, 110.0), height)


def _item(end: End, shape: Shape, looped: set[str]) -> Item:
    slack = LOOP if end[1] in looped and end[0] == "node" else 0.0
    return Item(end, shape.width + 2 * slack, shape.height, shape.kind == "branch", slack)


# ------------------------------------------------------------------------------------------ placing


def _placed(shape: Shape, middle: Point) -> Shape:
    return replace(shape, x=middle[0] - shape.width / 2, y=middle[1] - shape.height / 2)


def _framed(frame: Frame) -> Shape:
    name = frame.path.rpartition("/")[2]
    return Shape(frame.path, "group", (name,), frame.path, frame.x, frame.y, frame.width, frame.height, holds=True)


def _routes(
    links: Sequence[Link],
    routes: Sequence[tuple[Point, ...]],
    labels: Sequence[Point | None],
    shapes: Sequence[Shape],
) -> Iterator[Route]:
    by_id = {shape.id: shape for shape in shapes if shape.id}
    for link, points, label in zip(links, routes, labels, strict=True):
        if not points:
            points, label = _loop(by_id[link.source[1]])
        yield Route(link.source[1], link.target[1], link.label, link.conditional, points, label if link.label else None)


def _loop(shape: Shape) -> tuple[tuple[Point, ...], Point]:
    """From the right side back to it."""
    right, middle = shape.x + shape.width, shape.y + shape.height / 2
    far, up, down = right + LOOP, middle - 9, middle + 9
    return ((right, up), (far, up), (far, down), (right, down)), (far, middle)


def _with_bodies(shapes: Sequence[Shape], bodies: dict[str, Layout]) -> Iterator[Shape]:
    for shape in shapes:
        yield shape
        if shape.holds:
            yield from _body(shape, bodies[shape.id]).shapes


def _body_routes(shapes: Sequence[Shape], bodies: dict[str, Layout]) -> Iterator[Route]:
    for shape in shapes:
        if shape.holds:
            yield from _body(shape, bodies[shape.id]).routes


def _body(shape: Shape, body: Layout) -> Layout:
    """The body of a map where the map is, its ids below that one's."""
    moved = _moved(body, shape.x + (shape.width - 2 * STACK - body.width) / 2, shape.y + 2 * STACK + HEADER)
    return replace(
        moved,
        shapes=tuple(replace(each, id=f"{shape.id}[]/{each.id}") for each in moved.shapes),
        routes=tuple(
            replace(each, source=f"{shape.id}[]/{each.source}", target=f"{shape.id}[]/{each.target}")
            for each in moved.routes
        ),
    )


def _moved(layout: Layout, x: float, y: float) -> Layout:
    return replace(
        layout,
        shapes=tuple(replace(shape, x=shape.x + x, y=shape.y + y) for shape in layout.shapes),
        routes=tuple(
            replace(
                route,
                points=tuple((px + x, py + y) for px, py in route.points),
                label_at=(route.label_at[0] + x, route.label_at[1] + y) if route.label_at else None,
            )
            for route in layout.routes
        ),
    )


# --------------------------------------------------------------------------------------------- JSON


def _round(value: float) -> float:
    return round(value, 1)


def _shape_json(shape: Shape) -> JsonObject:
    told: JsonObject = {"id": shape.id, "kind": shape.kind, "lines": list(shape.lines), "title": shape.title}
    place = {name: _round(getattr(shape, name)) for name in ("x", "y", "width", "height")}
    return told | place | ({"holds": True} if shape.holds else {})


def _route_json(route: Route) -> JsonObject:
    told: JsonObject = {"source": route.source, "target": route.target, "conditional": route.conditional}
    told["points"] = [[_round(x), _round(y)] for x, y in route.points]
    if route.label_at:
        told["label"] = {"text": route.label, "x": _round(route.label_at[0]), "y": _round(route.label_at[1])}
    return told
