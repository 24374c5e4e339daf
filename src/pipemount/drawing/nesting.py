"""Boxes in frames: each frame is arranged by itself, from the innermost out, and stands as a box in its own frame.

An arrow that leaves a frame ends at a pin on its edge, and goes on from there outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .layering import Arrangement, Arrow, Box, Point, arrange
from .measures import NOTE_SIZE, text_width

__all__ = ["End", "Frame", "Item", "Link", "Nested", "nest"]

PADDING = 16.0
TITLE = 28.0
ENTRY = 12.0
BOTTOM = 14.0
PIN = 4.0
LABEL_HEIGHT = 14.0

End: TypeAlias = tuple[Literal["node", "inputs", "outputs", "frame"], str]
"""What an arrow leads from or to."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something to be placed; inputs are above and outputs below all else."""

    end: End
    width: float
    height: float
    pointed: bool = False
    slack: float = 0.0


@dataclass(frozen=True, slots=True)
class Link:
    """An arrow from one item to another, or to itself; ``at_source`` says where its label is to stand."""

    source: End
    target: End
    label: str = ""
    conditional: bool = False
    at_source: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame around all whose home it is, and where it is."""

    path: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Nested:
    """Middles of items in their order, frames from the outside in, and routes, empty for arrows to themselves."""

    width: float
    height: float
    middles: dict[End, Point]
    frames: tuple[Frame, ...]
    routes: tuple[tuple[Point, ...], ...]
    labels: tuple[Point | None, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """An arrow as it goes down: ``hi`` and ``lo`` are its ends; where it closes a cycle, ``up``, they are swapped.

    Attributes:
        number: Of the link.
        above: Frames of ``hi`` below the common one, outermost first.
        common: The innermost frame that both ends are in.
        below: Frames of ``lo`` below the common one, outermost first.
    """

    number: int
    hi: End
    lo: End
    above: tuple[str, ...]
    common: str
    below: tuple[str, ...]
    up: bool = False


@dataclass(slots=True)
class Level:
    """One frame while it is arranged.

    Attributes:
        ends: What its boxes stand for; ``None`` for pins.
        boxes: As they are arranged.
        arrows: As they are arranged.
        ways: The way that each arrow is part of.
        pins: The box of each way that leaves the frame, by its number.
    """

    ends: list[End | None] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    ways: list[int] = field(default_factory=list)
    pins: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arranged:
    """A frame that is arranged, and how its content is moved within it."""

    level: Level
    content: Arrangement
    left: float
    top: float
    width: float
    height: float

    def port(self, way: int) -> float:
        """How far from the middle of the frame a way crosses its edge."""
        return self.left + self.content.boxes[self.level.pins[way]][0] - self.width / 2


def nest(items: Sequence[Item], homes: Mapping[End, str], links: Sequence[Link]) -> Nested:
    """Places ``items`` in frames.

    Args:
        items: In the order in which they are read.
        homes: The path of the frame that an item is in, ``outer/inner``; ``""``, or nothing, for none.
        links: Between them; there may be cycles.
    """
    members = _members(items, homes)
    ways = [_way(number, link, homes) for number, link in enumerate(links) if link.source != link.target]
    ways = _downward(ways, members)
    passing: dict[str, list[Way]] = {path: [] for path in members}
    for way in ways:
        for path in (way.common, *way.above, *way.below):
            passing[path].append(way)
    arranged: dict[str, Arranged] = {}
    sizes = {item.end: item for item in items}
    for path in sorted(members, key=lambda path: -len(_frames(path))):
        level = Leveller(path, sizes, links, arranged).level(members[path], passing[path])
        arranged[path] = _arranged(path, level)
    return _put_together(arranged, ways, len(links))


# ---------------------------------------------------------------------------------------- what is where


def _frames(path: str) -> tuple[str, ...]:
    """The frames from the outermost to ``path``: ``a``, ``a/b`` …; none for ``""``."""
    parts = path.split("/") if path else []
    return tuple("/".join(parts[: n + 1]) for n in range(len(parts)))


def _members(items: Sequence[Item], homes: Mapping[End, str]) -> dict[str, list[End]]:
    """What is directly in each frame, frames included, in the order of the items."""
    found: dict[str, list[End]] = {"": []}
    for item in items:
        outer = ""
        for path in _frames(homes.get(item.end, "")):
            if path not in found:
                found[path] = []
                found[outer].append(("frame", path))
            outer = path
        found[outer].append(item.end)
    return found


def _way(number: int, link: Link, homes: Mapping[End, str]) -> Way:
    above, below = (_frames(homes.get(end, "")) for end in (link.source, link.target))
    shared = 0
    while shared < min(len(above), len(below)) and above[shared] == below[shared]:
        shared += 1
    common = above[shared - 1] if shared else ""
    return Way(number, link.source, link.target, above[shared:], common, below[shared:])


def _at_common(way: Way) -> tuple[End, End]:
    """The ends of a way in the innermost frame that holds both: themselves, or frames that they are in."""
    hi: End = ("frame", way.above[0]) if way.above else way.hi
    lo: End = ("frame", way.below[0]) if way.below else way.lo
    return hi, lo


# --------------------------------------------------------------------------------------------- cycles


def _downward(ways: Sequence[Way], members: Mapping[str, Sequence[End]]) -> list[Way]:
    """The ways with those turned round that close a cycle among what is in one frame."""
    by_frame: dict[str, list[Way]] = {}
    for way in ways:
        by_frame.setdefault(way.common, []).append(way)
    turned = {number for path, some in by_frame.items() for number in _closing(members[path], some)}
    return [
        Way(way.number, way.lo, way.hi, way.below, way.common, way.above, up=True) if way.number in turned else way
        for way in ways
    ]


def _closing(ends: Sequence[End], ways: Sequence[Way]) -> set[int]:
    """Numbers of the ways that lead back to where a walk in depth came from."""
    leaving: dict[End, list[tuple[int, End]]] = {}
    entered: set[End] = set()
    for way in ways:
        hi, lo = _at_common(way)
        leaving.setdefault(hi, []).append((way.number, lo))
        entered.add(lo)
    closing: set[int] = set()
    done: set[End] = set()
    for start in sorted(ends, key=lambda end: end in entered):  # begins where nothing leads to
        _walk(start, leaving, done, closing)
    return closing


def _walk(start: End, leaving: Mapping[End, Sequence[tuple[int, End]]], done: set[End], closing: set[int]) -> None:
    if start in done:
        return
    open_ends = {start}
    stack = [(start, iter(leaving.get(start, ())))]
    while stack:
        end, rest = stack[-1]
        step = next(rest, None)
        if step is None:
            stack.pop()
            open_ends.discard(end)
            done.add(end)
        elif step[1] in open_ends:
            closing.add(step[0])
        elif step[1] not in done:
            open_ends.add(step[1])
            stack.append((step[1], iter(leaving.get(step[1], ()))))


# ------------------------------------------------------------------------------------------ one frame


class Leveller:
    """Makes the boxes and arrows of one frame; frames in it are arranged already."""

    def __init__(
        self, path: str, sizes: Mapping[End, Item], links: Sequence[Link], arranged: Mapping[str, Arranged]
    ) -> None:
        self._path, self._sizes, self._links, self._arranged = path, sizes, links, arranged

    def level(self, ends: Sequence[End], ways: Sequence[Way]) -> Level:
        """The frame that holds ``ends`` and is passed by ``ways``."""
        level = Level()
        index = {end: n for n, end in enumerate(ends)}
        for end in ends:
            level.ends.append(end)
            level.boxes.append(self._box(end))
        for way in ways:
            self._add(level, index, way)
        return level

    def _box(self, end: End) -> Box:
        if end[0] == "frame":
            inner = self._arranged[end[1]]
            return Box(inner.width, inner.height)
        item = self._sizes[end]
        return Box(item.width, item.height, PINS.get(end[0]), item.pointed, item.slack)

    def _add(self, level: Level, index: Mapping[End, int], way: Way) -> None:
        """The part of ``way`` that is in this frame; where it leaves the frame it ends at a pin."""
        hi = None if self._path in way.below else self._next(way.above, way.hi)
        lo = None if self._path in way.above else self._next(way.below, way.lo)
        label, near = self._label(way, hi, lo)
        level.arrows.append(
            Arrow(
                upper=index[hi] if hi else _pin(level, way, "top"),
                lower=index[lo] if lo else _pin(level, way, "bottom"),
                label=label,
                near=near,
                upper_port=self._port(hi, way),
                lower_port=self._port(lo, way),
            )
        )
        level.ways.append(way.number)

    def _next(self, frames: Sequence[str], end: End) -> End:
        """What in this frame holds ``end``: the next frame on the way to it, or itself."""
        following = frames.index(self._path) + 1 if self._path in frames else 0
        return ("frame", frames[following]) if following < len(frames) else end

    def _port(self, end: End | None, way: Way) -> float | None:
        return self._arranged[end[1]].port(way.number) if end and end[0] == "frame" else None

    def _label(self, way: Way, hi: End | None, lo: End | None) -> tuple[Point, Literal["upper", "lower"]]:
        """The size of the label and where it stands, if that is in this frame: next to the target, or the source."""
        link = self._links[way.number]
        beside = link.source if link.at_source else link.target
        shown = link.label and beside in (hi, lo)
        size = (text_width(link.label, NOTE_SIZE) + 8, LABEL_HEIGHT) if shown else (0.0, 0.0)
        return size, "upper" if beside == way.hi else "lower"


PINS: Mapping[str, Literal["top", "bottom"]] = {"inputs": "top", "outputs": "bottom"}


def _pin(level: Level, way: Way, edge: Literal["top", "bottom"]) -> int:
    level.ends.append(None)
    level.boxes.append(Box(PIN, 0.0, edge))
    level.pins[way.number] = len(level.boxes) - 1
    return level.pins[way.number]


def _arranged(path: str, level: Level) -> Arranged:
    """The frame, with room for its title."""
    content = arrange(level.boxes, level.arrows)
    if not path:
        return Arranged(level, content, 0.0, 0.0, content.width, content.height)
    edges = {level.boxes[pin].pin for pin in level.pins.values()}
    top, bottom = ENTRY if "top" in edges else TITLE, 0.0 if "bottom" in edges else BOTTOM
    width = max(content.width + 2 * PADDING, text_width(path.rpartition("/")[2], NOTE_SIZE) + 2 * PADDING)
    return Arranged(level, content, (width - content.width) / 2, top, width, content.height + top + bottom)


# ---------------------------------------------------------------------------------------- all together


def _put_together(arranged: Mapping[str, Arranged], ways: Sequence[Way], count: int) -> Nested:
    """Moves each frame to where it is in its own, from the outside in, and joins the parts of each way."""
    root = arranged[""]
    corners: dict[str, Point] = {"": (0.0, 0.0)}
    middles: dict[End, Point] = {}
    frames: list[Frame] = []
    parts: dict[tuple[str, int], int] = {}
    for path in _outside_in(arranged):
        one, (x, y) = arranged[path], corners[path]
        for end, middle in zip(one.level.ends, one.content.boxes, strict=True):
            at = (x + one.left + middle[0], y + one.top + middle[1])
            if end is None:
                continue
            if end[0] == "frame":
                inner = arranged[end[1]]
                corners[end[1]] = (at[0] - inner.width / 2, at[1] - inner.height / 2)
                frames.append(Frame(end[1], *corners[end[1]], inner.width, inner.height))
            else:
                middles[end] = at
        parts |= {(path, number): n for n, number in enumerate(one.level.ways)}
    joiner = Joiner(arranged, corners, parts)
    routes: list[tuple[Point, ...]] = [()] * count
    labels: list[Point | None] = [None] * count
    for way in ways:
        routes[way.number], labels[way.number] = joiner.joined(way)
    return Nested(root.width, root.height, middles, tuple(frames), tuple(routes), tuple(labels))


def _outside_in(arranged: Mapping[str, Arranged]) -> list[str]:
    return sorted(arranged, key=lambda path: len(_frames(path)))


@dataclass(frozen=True, slots=True)
class Joiner:
    """Frames where they are, and which of their arrows is the part of which way."""

    arranged: Mapping[str, Arranged]
    corners: Mapping[str, Point]
    parts: Mapping[tuple[str, int], int]

    def joined(self, way: Way) -> tuple[tuple[Point, ...], Point | None]:
        """The points of a way from its source to its target, and the middle of its label."""
        points: list[Point] = []
        label: Point | None = None
        for path in (*reversed(way.above), way.common, *way.below):
            route, label_here = self._part(path, way.number)
            points += route
            label = label_here or label
        points = list(dict.fromkeys(points))
        return tuple(points[::-1] if way.up else points), label

    def _part(self, path: str, number: int) -> tuple[list[Point], Point | None]:
        one, (x, y) = self.arranged[path], self.corners[path]
        n = self.parts[path, number]
        x, y = x + one.left, y + one.top
        label = one.content.labels[n]
        return [(px + x, py + y) for px, py in one.content.routes[n]], (label[0] + x, label[1] + y) if label else None
