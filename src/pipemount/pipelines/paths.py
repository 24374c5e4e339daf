"""The tree of a body's decisions: which branches settle a difference between paths, and what an answer leads to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .snapshot import Path

__all__ = ["Answers", "Fork", "deciders", "fork", "led_to", "paths_of"]

Answers: TypeAlias = Sequence[tuple[str, bool]]
"""The branches that one path asks, in order, and their answers."""


@dataclass(frozen=True, slots=True)
class Fork:
    """A branch that is asked after the same answers on a set of paths.

    Attributes:
        branch: Its id.
        paths: The paths that come here, as bits.
        yes: Those with the answer yes.
        no: Those with the answer no.
        after: What is asked next, by the answer; ``None`` where one path is left.
    """

    branch: str
    paths: int
    yes: int
    no: int
    after: tuple[Fork | None, Fork | None]


def fork(answers: Sequence[Answers], start: int = 0, end: int | None = None, depth: int = 0) -> Fork | None:
    """The tree over the paths ``start`` to ``end``, which come yes before no and agree on ``depth`` answers."""
    end = len(answers) if end is None else end
    if end - start < 2:
        return None
    split = next(number for number in range(start, end) if not answers[number][depth][1])
    return Fork(
        branch=answers[start][depth][0],
        paths=_bits(start, end),
        yes=_bits(start, split),
        no=_bits(split, end),
        after=(fork(answers, start, split, depth + 1), fork(answers, split, end, depth + 1)),
    )


def _bits(start: int, end: int) -> int:
    return (1 << end) - (1 << start)


def deciders(tree: Fork | None, parts: Iterable[int], answers: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
    """The branches that must be answered before it is known in which of ``parts``, or in none, a run is.

    Args:
        tree: Of all paths; ``None`` where there is one only.
        parts: Sets of paths, as bits.
        answers: The paths of each branch with the answer yes, and those with no.
    """
    if tree is None:
        return ()
    wanted = tuple(part for part in set(parts) if part != tree.paths)
    found = list(dict.fromkeys(_deciders(tree, wanted)))
    for branch in tuple(found):
        fewer = [other for other in found if other != branch]
        if _settle(tree.paths, wanted, [answers[other] for other in fewer]):
            found = fewer
    return tuple(found)


def _deciders(tree: Fork | None, parts: Sequence[int]) -> Iterator[str]:
    if tree is None or all(tree.paths & part in (0, tree.paths) for part in parts):
        return
    yield tree.branch
    for after in tree.after:
        yield from _deciders(after, parts)


def _settle(paths: int, parts: Sequence[int], answers: Iterable[tuple[int, int]]) -> bool:
    """Whether paths with the same answers are all in a part, or all outside."""
    groups = [paths]
    for yes, no in answers:
        groups = [split for group in groups for split in (group & yes, group & no, group & ~(yes | no)) if split]
    return all(group & part in (0, group) for group in groups for part in parts)


def led_to(tree: Fork | None, places: Mapping[str, int]) -> dict[tuple[str, bool], tuple[str, ...]]:
    """Ids by the branch and the answer that let them run; ``places`` has the paths of each id."""
    found: dict[tuple[str, bool], dict[str, None]] = {}
    for id, paths in places.items():
        for answer in _led(tree, paths):
            found.setdefault(answer, {})[id] = None
    return {answer: tuple(ids) for answer, ids in found.items()}


def _led(tree: Fork | None, paths: int) -> Iterator[tuple[str, bool]]:
    if tree is None or tree.paths & paths in (0, tree.paths):
        return
    for side, answer, after in ((tree.yes, True, tree.after[0]), (tree.no, False, tree.after[1])):
        if side & paths == side:
            yield tree.branch, answer
        else:
            yield from _led(after, paths)


def paths_of(answers: Sequence[Answers], used: Iterable[str]) -> tuple[Path, ...]:
    """Each path as the answers of the branches that are of use."""
    known = frozenset(used)
    return tuple(tuple((branch, answer) for branch, answer in one if branch in known) for one in answers)
