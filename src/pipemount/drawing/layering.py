"""Boxes and arrows in layers: where each is drawn so that arrows go down, cross little and stay short.

The method of Sugiyama, Tagawa and Toda (1981): ranks by the longest way, order within a rank by barycentres, then
coordinates, here by exact isotonic regression towards the neighbours' mean. Pure, without randomness, and linear in
boxes and arrows but for sorting: an arrow that passes more than ``LONG`` ranks takes a lane beside the drawing in place
of a cell in each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypeAlias

from .lanes import Stretch, assign_lanes
from .ordering import order
from .spacing import FAINT, STRAIGHT, Link, place

__all__ = ["GAP", "LANE", "Arrangement", "Arrow", "Box", "Point", "arrange"]

GAP = 34.0
"""Height between two ranks, and what a label adds to."""
BESIDE = 26.0
LANE = 14.0
LONG = 10
PORT_MARGIN = 14.0

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """Something to be placed.

    Attributes:
        width: Of its outline.
        height: Of its outline.
        pin: Whether it stands above or below all others.
        pointed: Whether arrows meet it at its middle only, as for a diamond.
        slack: How much of the width, on either side, is not the outline but room beside it.
    """

    width: float
    height: float
    pin: Literal["top", "bottom"] | None = None
    pointed: bool = False
    slack: float = 0.0


@dataclass(frozen=True, slots=True)
class Arrow:
    """What goes down from one box to another, by their index; there are no cycles.

    Attributes:
        upper: The box above.
        lower: The box below.
        label: Width and height of its text, ``(0, 0)`` for none.
        near: At which end the text stands.
        upper_port: How far from the middle of the upper box it must leave, if that matters.
        lower_port: The same of the lower box.
    """

    upper: int
    lower: int
    label: Point = (0.0, 0.0)
    near: Literal["upper", "lower"] = "lower"
    upper_port: float | None = None
    lower_port: float | None = None


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where all is: middles of boxes, the points that each arrow goes through, middles of labels."""

    width: float
    height: float
    boxes: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    labels: tuple[Point | None, ...]


@dataclass(slots=True)
class Grid:
    """Boxes and the cells that arrows take in the layers between; layers of boxes have even numbers.

    Attributes:
        layer: Of each cell; the first cells are the boxes.
        width: Of each cell.
        height: Of each cell.
        reach: How far from the middle of each box arrows may meet it.
        links: Pairs of cells in neighbouring layers, with how far from their middles they meet them, and how strongly
            they pull.
        chains: The cells that each arrow goes through, its boxes included.
        lanes: Arrows that take a lane, after the second cell of their chain.
    """

    layer: list[int]
    width: list[float]
    height: list[float]
    reach: list[float]
    links: list[Link] = field(default_factory=list)
    chains: list[list[int]] = field(default_factory=list)
    lanes: list[int] = field(default_factory=list)
    _shared: dict[tuple[int, int, float | None], int] = field(default_factory=dict)

    def add(self, layer: int, size: Point = (0.0, 0.0)) -> int:
        """A cell for an arrow; its index."""
        self.layer.append(layer)
        self.width.append(size[0])
        self.height.append(size[1])
        return len(self.layer) - 1

    def shared(self, layer: int, box: int, port: float | None) -> int:
        """A cell beside a box that several arrows go through; its index."""
        key = (layer, box, port)
        if key not in self._shared:
            self._shared[key] = self.add(layer)
        return self._shared[key]

    def straight(self) -> list[list[int]]:
        """The chains that are to be straight: those that take no lane."""
        lanes = set(self.lanes)
        return [chain for number, chain in enumerate(self.chains) if number not in lanes]

    def layers(self) -> list[list[int]]:
        """The cells of each layer, in the order in which they were made."""
        found: list[list[int]] = [[] for _ in range(max(self.layer, default=-1) + 1)]
        for cell, layer in enumerate(self.layer):
            found[layer].append(cell)
        return found


def arrange(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> Arrangement:
    """Places ``boxes`` and routes ``arrows``; the top left corner is at (0, 0)."""
    grid = _grid(boxes, arrows, _ranks(boxes, arrows))
    layers = order(grid.layers(), [(link[0], link[1]) for link in grid.links])
    spaces = [BESIDE if n % 2 == 0 else LANE for n in range(len(layers))]
    xs = place(layers, grid.width, grid.links, spaces=spaces, chains=grid.straight(), boxes=len(boxes))
    tops, bottoms = _heights(grid, layers)
    middles = [(tops[n] + bottoms[n]) / 2 for n in grid.layer]
    routes = [_route(grid, xs, tops, bottoms, arrow, chain) for arrow, chain in zip(arrows, grid.chains, strict=True)]
    width = max((x + w / 2 for x, w in zip(xs, grid.width, strict=True)), default=0.0)
    width = _take_lanes(grid, xs, middles, arrows, routes, width)
    return Arrangement(
        width,
        bottoms[-1] if bottoms else 0.0,
        tuple((xs[n], _level(box, tops, bottoms, grid.layer[n])) for n, box in enumerate(boxes)),
        tuple(map(tuple, routes)),
        tuple(_label(grid, xs, middles, arrow, chain) for arrow, chain in zip(arrows, grid.chains, strict=True)),
    )


# -------------------------------------------------------------------------------------------- ranks


def _ranks(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> list[int]:
    """Even numbers: the longest way from above; what nothing leads to stands just above what it leads to."""
    lower: list[list[int]] = [[] for _ in boxes]
    waiting = [0] * len(boxes)
    for arrow in arrows:
        lower[arrow.upper].append(arrow.lower)
        waiting[arrow.lower] += 1
    sources = [n for n, count in enumerate(waiting) if not count]
    first = 2 if any(box.pin == "top" for box in boxes) else 0
    ranks = [0 if box.pin == "top" else first for box in boxes]
    ready = list(sources)
    for one in ready:  # grows
        for other in lower[one]:
            ranks[other] = max(ranks[other], ranks[one] + 2)
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    for one in sources:
        if lower[one] and boxes[one].pin is None:
            ranks[one] = min(ranks[other] for other in lower[one]) - 2
    last = max((rank for box, rank in zip(boxes, ranks, strict=True) if box.pin != "bottom"), default=-2) + 2
    return [last if box.pin == "bottom" else rank for box, rank in zip(boxes, ranks, strict=True)]


def _grid(boxes: Sequence[Box], arrows: Sequence[Arrow], ranks: Sequence[int]) -> Grid:
    grid = Grid(list(ranks), [box.width for box in boxes], [box.height for box in boxes], list(map(_reach, boxes)))
    for number, arrow in enumerate(arrows):
        chain = [arrow.upper, *_cells(grid, arrow), arrow.lower]
        grid.chains.append(chain)
        links = list(pairwise(chain))
        in_lane = grid.layer[arrow.lower] - grid.layer[arrow.upper] > 2 * LONG
        if in_lane:
            grid.lanes.append(number)
            del links[1]
        for upper, lower in links:
            at_upper = arrow.upper_port if upper == arrow.upper else None
            at_lower = arrow.lower_port if lower == arrow.lower else None
            inner = upper >= len(boxes) and lower >= len(boxes)
            weight = FAINT if in_lane else STRAIGHT if inner else 1.0
            grid.links.append((upper, lower, at_upper or 0.0, at_lower or 0.0, weight))
    return grid


def _cells(grid: Grid, arrow: Arrow) -> Iterator[int]:
    """A cell for the arrow in each layer that it passes; of those in lanes only in the first and in the last.

    Arrows that leave a box for a lane leave it in one line, and so do those that come to a box, but for the labels.
    """
    first, last = grid.layer[arrow.upper] + 1, grid.layer[arrow.lower] - 1
    labelled = first if arrow.near == "upper" else last
    in_lane = last - first >= 2 * LONG
    for layer in (first, last) if in_lane else range(first, last + 1):
        size = arrow.label if layer == labelled else (0.0, 0.0)
        if in_lane and not size[0]:
            box, port = (arrow.upper, arrow.upper_port) if layer == first else (arrow.lower, arrow.lower_port)
            yield grid.shared(layer, box, port)
        else:
            yield grid.add(layer, size)


# ------------------------------------------------------------------------------------------ heights


def _heights(grid: Grid, layers: Sequence[Sequence[int]]) -> tuple[list[float], list[float]]:
    """Top and bottom of each layer; layers between those of boxes hold labels and at least the gap."""
    tops, bottoms, y = [], [], 0.0
    for number, cells in enumerate(layers):
        height = max((grid.height[cell] for cell in cells), default=0.0)
        if number % 2:
            y += GAP / 2
            tops.append(y)
            bottoms.append(y + height)
            y += height + GAP / 2
        else:
            tops.append(y)
            y += height
            bottoms.append(y)
    return tops, bottoms


def _level(box: Box, tops: Sequence[float], bottoms: Sequence[float], layer: int) -> float:
    """The middle of a box: that of its layer, or the very edge of it for what is pinned."""
    if box.pin == "top":
        return tops[layer] + box.height / 2
    if box.pin == "bottom":
        return bottoms[layer] - box.height / 2
    return (tops[layer] + bottoms[layer]) / 2


# ------------------------------------------------------------------------------------------- routes


def _route(
    grid: Grid,
    xs: Sequence[float],
    tops: Sequence[float],
    bottoms: Sequence[float],
    arrow: Arrow,
    chain: Sequence[int],
) -> list[Point]:
    """From the lower side of the upper box to the upper side of the lower one, straight down through each layer."""
    upper, lower = chain[0], chain[-1]
    points: list[Point] = []
    for cell in chain[1:-1]:
        top, bottom = tops[grid.layer[cell]], bottoms[grid.layer[cell]]
        points += [(xs[cell], top), (xs[cell], bottom)] if bottom > top else [(xs[cell], top)]
    start = _port(xs[upper], grid.reach[upper], arrow.upper_port, points[0][0])
    end = _port(xs[lower], grid.reach[lower], arrow.lower_port, points[-1][0])
    middle_upper, middle_lower = (tops[grid.layer[c]] + bottoms[grid.layer[c]] for c in (upper, lower))
    begin = (start, (middle_upper + grid.height[upper]) / 2)
    finish = (end, (middle_lower - grid.height[lower]) / 2)
    return [begin, *points, finish]


def _reach(box: Box) -> float:
    return 0.0 if box.pointed else max(box.width / 2 - box.slack - PORT_MARGIN, 0.0)


def _port(x: float, reach: float, port: float | None, towards: float) -> float:
    """Where an arrow meets a box: as near to where it goes as the side allows."""
    if port is not None:
        return x + port
    return min(max(towards, x - reach), x + reach)


def _label(
    grid: Grid, xs: Sequence[float], middles: Sequence[float], arrow: Arrow, chain: Sequence[int]
) -> Point | None:
    if not arrow.label[0]:
        return None
    cell = chain[1] if arrow.near == "upper" else chain[-2]
    return xs[cell], middles[cell]


def _take_lanes(
    grid: Grid,
    xs: Sequence[float],
    middles: Sequence[float],
    arrows: Sequence[Arrow],
    routes: list[list[Point]],
    width: float,
) -> float:
    """Leads long arrows down beside the drawing; the width with the lanes."""
    stretches = [
        Stretch(arrows[n].upper, arrows[n].lower, grid.layer[grid.chains[n][1]], grid.layer[grid.chains[n][2]])
        for n in grid.lanes
    ]
    lanes = assign_lanes(stretches)
    for number, lane in zip(grid.lanes, lanes, strict=True):
        first, last = grid.chains[number][1:3]
        x, above, below = width + LANE * (lane + 1), middles[first], middles[last]
        begin, *_, finish = routes[number]
        routes[number] = [begin, (xs[first], above), (x, above), (x, below), (xs[last], below), finish]
    return width + LANE * (max(lanes, default=-1) + 1)
