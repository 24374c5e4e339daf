"""Pictures of graphs: SVG that stands alone, readable on light and on dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

from .graph import GraphView
from .layering import Point
from .layout import STACK, Layout, Route, Shape, lay_out

__all__ = ["to_svg"]

STYLE = """\
svg{--ink:#1f2937;--soft:#6b7280;--line:#64748b;--paper:#ffffff;--box:#f8fafc;--edge:#94a3b8;--port:#e0f2fe;\
--port-edge:#0284c7;--ask:#fef3c7;--ask-edge:#d97706;--map:#ede9fe;--map-edge:#7c3aed;--group:#f1f5f9}
@media (prefers-color-scheme:dark){svg{--ink:#e5e7eb;--soft:#9ca3af;--line:#94a3b8;--paper:#0f172a;--box:#1e293b;\
--edge:#64748b;--port:#0c4a6e;--port-edge:#38bdf8;--ask:#451a03;--ask-edge:#f59e0b;--map:#2e1065;--map-edge:#a78bfa;\
--group:#172033}}
.paper{fill:var(--paper)}
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:var(--ink);\
text-anchor:middle;dominant-baseline:central}
.note,.label,.name{font-size:11px;fill:var(--soft)}
.name{text-anchor:start}
.label{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
.step{fill:var(--box);stroke:var(--edge)}
.inputs,.outputs{fill:var(--port);stroke:var(--port-edge)}
.branch{fill:var(--ask);stroke:var(--ask-edge)}
.map{fill:var(--map);stroke:var(--map-edge)}
.group{fill:var(--group);stroke:var(--edge);stroke-dasharray:2 3}
.route{fill:none;stroke:var(--line);stroke-width:1.4;marker-end:url(#arrow)}
.dashed{stroke-dasharray:5 4}
.head{fill:var(--line)}"""
HEAD = (
    '<marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
    '<path class="head" d="M0 1 10 5 0 9z"/></marker>'
)
LINE = 18.0


def to_svg(view: GraphView, *, title: str, description: str = "") -> str:
    """A picture of ``view`` with a title and a description for those who do not see it.

    Example:
        >>> from pipemount.drawing.graph import GraphNode
        >>> to_svg(GraphView((GraphNode("fetch", "fetch"),), ()), title="weather").startswith("<svg ")
        True
    """
    layout = lay_out(view)
    width, height = _number(layout.width), _number(layout.height)
    names = ' aria-labelledby="title description"' if description else ' aria-labelledby="title"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
            f' role="img"{names}>',
            f'<title id="title">{_text(title)}</title>',
            *([f'<desc id="description">{_text(description)}</desc>'] if description else []),
            f"<style>{STYLE}</style>",
            f"<defs>{HEAD}</defs>",
            f'<rect class="paper" width="{width}" height="{height}"/>',
            *_parts(layout),
            "</svg>",
        ]
    )


def _parts(layout: Layout) -> Iterator[str]:
    """What holds others first, then arrows, then what they lead to, then their labels."""
    for shape in layout.shapes:
        if shape.holds:
            yield _shape(shape)
    branches = {shape.id for shape in layout.shapes if shape.kind == "branch"}
    yield from (_route(route, dashed=route.conditional and route.source not in branches) for route in layout.routes)
    for shape in layout.shapes:
        if not shape.holds:
            yield _shape(shape)
    for route in layout.routes:
        if route.label_at:
            yield _words(route.label, *route.label_at, "label")


# ------------------------------------------------------------------------------------------- shapes


def _shape(shape: Shape) -> str:
    outline = {"branch": _diamond, "map": _stack, "inputs": _pill, "outputs": _pill}.get(shape.kind, _box)(shape)
    return f"<g><title>{_text(shape.title)}</title>{outline}{''.join(_lines(shape))}</g>"


def _box(shape: Shape) -> str:
    return _rectangle(shape.kind, shape.x, shape.y, shape.width, shape.height, 6)


def _pill(shape: Shape) -> str:
    return _rectangle(shape.kind, shape.x, shape.y, shape.width, shape.height, min(shape.height / 2, 17))


def _stack(shape: Shape) -> str:
    """Three sheets, the first of them in front."""
    width, height = shape.width - 2 * STACK, shape.height - 2 * STACK
    sheets = (_rectangle("map", shape.x + n * STACK, shape.y + (2 - n) * STACK, width, height, 6) for n in (2, 1, 0))
    return "".join(sheets)


def _diamond(shape: Shape) -> str:
    x, y, right, bottom = shape.x, shape.y, shape.x + shape.width, shape.y + shape.height
    middle, level = (x + right) / 2, (y + bottom) / 2
    corners = ((middle, y), (right, level), (middle, bottom), (x, level))
    return f'<path class="branch" d="M{" ".join(map(_point, corners))}z"/>'


def _rectangle(kind: str, x: float, y: float, width: float, height: float, radius: float) -> str:
    place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
    return f'<rect class="{kind}" {place} rx="{_number(radius)}"/>'


def _lines(shape: Shape) -> Iterator[str]:
    """The text of a shape: in its middle, or at the top of what holds others."""
    if shape.kind == "group":
        yield _words(shape.lines[0], shape.x + 10, shape.y + 13, "name")
        return
    sheets = STACK if shape.kind == "map" else 0.0
    x, y = shape.x + shape.width / 2 - sheets, shape.y + shape.height / 2 + sheets
    named = shape.kind in ("step", "map")
    if shape.holds:
        yield _words("  ".join(shape.lines), x, shape.y + 2 * sheets + 15, "")
        return
    y -= (len(shape.lines) - 1) * (LINE if not named else 15) / 2
    for n, line in enumerate(shape.lines):
        yield _words(line, x, y + n * (LINE if not named else 15), "note" if named and n else "")


def _words(text: str, x: float, y: float, kind: str) -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{_number(x)}" y="{_number(y)}">{_text(text)}</text>'


# ------------------------------------------------------------------------------------------- arrows


def _route(route: Route, *, dashed: bool) -> str:
    kind = "route dashed" if dashed else "route"
    ends = f"{route.source or 'inputs'} → {route.target or 'outputs'}"
    return f"<g><title>{_text(ends)}</title><path class={quoteattr(kind)} d={quoteattr(_curve(route.points))}/></g>"


def _curve(points: Sequence[Point]) -> str:
    """Upright at each point; straight where two points are one above, or beside, the other."""
    parts = [f"M{_point(points[0])}"]
    for before, after in pairwise(points):
        if before[0] == after[0] or before[1] == after[1]:
            parts.append(f"L{_point(after)}")
        else:
            half = (before[1] + after[1]) / 2
            parts.append(f"C{_point((before[0], half))} {_point((after[0], half))} {_point(after)}")
    return "".join(parts)


def _point(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    return f"{round(value, 1)}".removesuffix(".0")


def _text(text: str) -> str:
    """Escaped, and without the control characters that XML 1.0 has no place for."""
    return escape(
        "".join(c if c in "\t\n" or (c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF) else "�" for c in text)
    )
