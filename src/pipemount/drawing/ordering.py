"""The order of cells in their layers: barycentre sweeps that keep the order with the fewest crossings."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from itertools import pairwise

__all__ = ["crossings", "order"]

SWEEPS = 8
SWEEPS_OF_LARGE = 2
LARGE = 4_000


def order(layers: Sequence[Sequence[int]], links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The cells of each layer, left to right.

    Args:
        layers: Cells by layer, from above; their order settles what nothing else does.
        links: Pairs of cells in neighbouring layers, the upper one first.
    """
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for upper, lower in links:
        above.setdefault(lower, []).append(upper)
        below.setdefault(upper, []).append(lower)
    current = [list(layer) for layer in layers]
    _sweep(current, above)
    best, fewest = [list(layer) for layer in current], crossings(current, below)
    for number in range(SWEEPS if len(links) < LARGE else SWEEPS_OF_LARGE):
        if not fewest:
            break
        _sweep(current[::-1], below) if number % 2 == 0 else _sweep(current, above)
        if (found := crossings(current, below)) < fewest:
            best, fewest = [list(layer) for layer in current], found
    return best


def _sweep(layers: Iterable[list[int]], neighbours: dict[int, list[int]]) -> None:
    """Sorts each layer, in place, by the mean position of its cells' neighbours in layers that were sorted before."""
    position: dict[int, float] = {}
    for layer in layers:
        means = {
            cell: _mean(neighbours.get(cell, ()), position, (n + 0.5) / len(layer)) for n, cell in enumerate(layer)
        }
        layer.sort(key=means.__getitem__)
        position |= {cell: (n + 0.5) / len(layer) for n, cell in enumerate(layer)}


def _mean(cells: Sequence[int], position: dict[int, float], otherwise: float) -> float:
    return sum(position[cell] for cell in cells) / len(cells) if cells else otherwise


def crossings(layers: Sequence[Sequence[int]], below: dict[int, list[int]]) -> int:
    """How often links cross."""
    total = 0
    for upper, lower in pairwise(layers):
        position = {cell: n for n, cell in enumerate(lower)}
        seen: list[int] = []
        for cell in upper:
            ends = sorted(position[other] for other in below.get(cell, ()))
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total
