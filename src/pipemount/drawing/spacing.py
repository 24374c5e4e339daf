"""Horizontal places of ordered cells: near the mean of their neighbours, never nearer to each other than allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

__all__ = ["FAINT", "STRAIGHT", "Link", "place"]

ROUNDS = 6
ROUNDS_OF_LARGE = 2
LARGE = 10_000
FINISHES = 4
INF = float("inf")
STRAIGHT = 8.0
"""How much more a link weighs between two cells of an arrow: long arrows are to be straight."""
STIFF = 100.0
"""What a cell of an arrow weighs when only the boxes are to move."""
FAINT = 0.001
"""What a link weighs that is to decide nothing where another has a say."""

Link: TypeAlias = tuple[int, int, float, float, float]
"""Upper cell, lower cell, how far from the middle of each it meets them, and its weight."""
Pulls: TypeAlias = dict[int, list[tuple[int, float, float]]]
"""By cell: the neighbour that pulls, how far beside that one's middle it wants to be, and how strongly."""


def place(
    layers: Sequence[Sequence[int]],
    width: Sequence[float],
    links: Sequence[Link],
    *,
    spaces: Sequence[float],
    chains: Sequence[Sequence[int]],
    boxes: int,
) -> list[float]:
    """The middle of each cell; the leftmost edge is at 0.

    Args:
        layers: Cells by layer, left to right.
        width: Of each cell.
        links: Between cells in neighbouring layers.
        spaces: Between neighbours, by layer.
        chains: Cells of one arrow in layers below each other; to stand in one line where they can.
        boxes: How many of the cells, the first ones, are boxes; the others are what arrows go through.
    """
    offsets = [_offsets(layer, width, space) for layer, space in zip(layers, spaces, strict=True)]
    xs = [0.0] * len(width)
    for layer, offset in zip(layers, offsets, strict=True):
        for cell, x in zip(layer, offset, strict=True):
            xs[cell] = x - offset[-1] / 2
    above, below = _pulls(links)
    rows = list(zip(layers, offsets, strict=True))
    for _ in range(ROUNDS if len(width) < LARGE else ROUNDS_OF_LARGE):
        _settle(reversed(rows), xs, below)
        _settle(rows, xs, above)
    both = {cell: above.get(cell, []) + below.get(cell, []) for cell in range(boxes)}
    stiff = both | {cell: [(cell, 0.0, STIFF)] for cell in range(boxes, len(width))}
    rooms = Rooms(layers, width, spaces)
    for _ in range(FINISHES if len(width) < LARGE else 1):
        _settle(rows, xs, stiff)
        for chain in chains:
            rooms.straighten(xs, chain)
    left = min((x - w / 2 for x, w in zip(xs, width, strict=True)), default=0.0)
    return [x - left for x in xs]


class Rooms:
    """Which cells stand beside each, and how near they may come."""

    def __init__(self, layers: Sequence[Sequence[int]], width: Sequence[float], spaces: Sequence[float]) -> None:
        self._left: dict[int, tuple[int, float]] = {}
        self._right: dict[int, tuple[int, float]] = {}
        for layer, space in zip(layers, spaces, strict=True):
            for one, other in pairwise(layer):
                apart = (width[one] + width[other]) / 2 + space
                self._left[other], self._right[one] = (one, apart), (other, apart)

    def straighten(self, xs: list[float], chain: Sequence[int]) -> None:
        """Moves an arrow's cells into one line if there is one free, as near as can be to where they are."""
        cells = chain[1:-1]
        low = max(
            (xs[other] + apart for cell in cells for other, apart in self._beside(self._left, cell)), default=-INF
        )
        high = min(
            (xs[other] - apart for cell in cells for other, apart in self._beside(self._right, cell)), default=INF
        )
        if low <= high:
            x = min(max((xs[chain[0]] + xs[chain[-1]]) / 2, low), high)
            for cell in cells:
                xs[cell] = x

    @staticmethod
    def _beside(side: dict[int, tuple[int, float]], cell: int) -> Iterable[tuple[int, float]]:
        return (side[cell],) if cell in side else ()


def _offsets(layer: Sequence[int], width: Sequence[float], space: float) -> list[float]:
    """How far each cell of a layer is from its first one when they stand as near as allowed."""
    found: list[float] = []
    for n, cell in enumerate(layer):
        before = layer[n - 1]
        found.append(found[-1] + (width[before] + width[cell]) / 2 + space if n else 0.0)
    return found


def _pulls(links: Sequence[Link]) -> tuple[Pulls, Pulls]:
    above: Pulls = {}
    below: Pulls = {}
    for upper, lower, at_upper, at_lower, weight in links:
        above.setdefault(lower, []).append((upper, at_upper - at_lower, weight))
        below.setdefault(upper, []).append((lower, at_lower - at_upper, weight))
    return above, below


def _settle(rows: Iterable[tuple[Sequence[int], Sequence[float]]], xs: list[float], pulls: Pulls) -> None:
    for layer, offset in rows:
        wanted = [_wanted(xs, cell, pulls.get(cell, ())) for cell in layer]
        shifted = [(x - o, weight) for (x, weight), o in zip(wanted, offset, strict=True)]
        for cell, x, o in zip(layer, _isotonic(shifted), offset, strict=True):
            xs[cell] = x + o


def _wanted(xs: Sequence[float], cell: int, pulls: Sequence[tuple[int, float, float]]) -> tuple[float, float]:
    """Where a cell would stand if it were alone, and how much it matters."""
    weight = sum(pull[2] for pull in pulls)
    if not weight:
        return xs[cell], FAINT
    return sum((xs[other] + beside) * pull for other, beside, pull in pulls) / weight, weight


def _isotonic(wanted: Sequence[tuple[float, float]]) -> list[float]:
    """The nearest sequence, by weighted least squares, that never falls (pool adjacent violators)."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in wanted:
        count = 1
        while pools and pools[-1][0] > value:
            before, heavy, many = pools.pop()
            value = (before * heavy + value * weight) / (heavy + weight)
            weight, count = weight + heavy, count + many
        pools.append((value, weight, count))
    return [value for value, _, count in pools for _ in range(count)]
