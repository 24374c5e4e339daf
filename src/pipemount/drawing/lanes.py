"""Lanes beside a drawing, for arrows that pass many ranks; those of one origin or one end share a lane."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

__all__ = ["Stretch", "assign_lanes"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """An arrow's way from layer to layer."""

    upper: int
    lower: int
    first: int
    last: int


def assign_lanes(stretches: Sequence[Stretch]) -> list[int]:
    """The lane of each stretch, from 0; lanes are shared by bundles, and by others that end above."""
    keys = _bundles(stretches)
    spans: dict[Hashable, tuple[int, int]] = {}
    for key, each in zip(keys, stretches, strict=True):
        first, last = spans.get(key, (each.first, each.last))
        spans[key] = min(first, each.first), max(last, each.last)
    lanes = _coloured(spans)
    return [lanes[key] for key in keys]


def _bundles(stretches: Sequence[Stretch]) -> list[Hashable]:
    """What each stretch shares a lane with: its origin or its end, whichever has more of them."""
    uppers, lowers = Counter(s.upper for s in stretches), Counter(s.lower for s in stretches)
    return [("upper", s.upper) if uppers[s.upper] >= lowers[s.lower] else ("lower", s.lower) for s in stretches]


def _coloured(spans: dict[Hashable, tuple[int, int]]) -> dict[Hashable, int]:
    """The lowest free lane for each span, from above; spans in one lane do not touch."""
    lanes: dict[Hashable, int] = {}
    taken: list[tuple[int, int]] = []  # until which layer, which lane
    free: list[int] = []
    for key, (first, last) in sorted(spans.items(), key=lambda item: item[1]):
        while taken and taken[0][0] < first:
            heapq.heappush(free, heapq.heappop(taken)[1])
        lane = heapq.heappop(free) if free else len(taken)
        heapq.heappush(taken, (last, lane))
        lanes[key] = lane
    return lanes
