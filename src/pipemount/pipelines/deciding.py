"""Decisions of a body: answers come from what is known, then from a script, and past its end are yes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .facts import Facts, key_of
from .places import Place, Site
from .snapshot import Condition
from .sources import Outline, shown

__all__ = ["Decision", "Decisions", "TooManyDecisionsError", "as_text", "forks", "same_questions"]


@dataclass(frozen=True, slots=True)
class Decision:
    """A question that a body asked, and the answer that it got.

    Attributes:
        condition: What was asked.
        answer: What the body was told.
        asked: The condition, to be compared.
        key: Where in the body it was asked, the same on every path.
        place: The author's line.
    """

    condition: Condition
    answer: bool
    asked: Outline
    key: tuple[Any, ...]
    place: Place


class TooManyDecisionsError(Exception):
    """One path has more decisions than there may be paths."""


class Decisions:
    """The answers that one run of a body gets.

    Args:
        script: The answers to the first questions that are not answered by what is known.
        limit: How many may be asked.
    """

    def __init__(self, script: Sequence[bool] = (), limit: int = 0) -> None:
        self.taken: list[Decision] = []
        self.facts = Facts()
        self._script, self._limit = script, limit
        self._counts: Counter[tuple[Any, ...]] = Counter()

    def answer(self, condition: Condition, annotation: Any, site: Site, place: Place) -> tuple[bool, Decision | None]:
        """The answer, and the decision if it is a new one. ``annotation`` is the left operand's type."""
        asked = key_of(condition)
        if (known := self.facts.known(condition, asked, annotation)) is not None:
            return known, None
        index = len(self.taken)
        if index >= self._limit:
            raise TooManyDecisionsError
        answer = self._script[index] if index < len(self._script) else True
        self.facts.learn(condition, asked, annotation, answer)
        here = ("branch", site, condition.operator)
        self._counts[here] += 1
        decision = Decision(condition, answer, asked, (*here, self._counts[here]), place)
        self.taken.append(decision)
        return answer, decision


_SIGNS = {"truth": "", "==": " == ", "in": " in ", "is": " is "}


def as_text(condition: Condition) -> str:
    """A condition as its author would write it."""
    sign = _SIGNS.get(condition.operator, f" {condition.operator} ")
    return f"{shown(condition.left)}{sign}{shown(condition.right)}"


def forks(taken: Sequence[Decision]) -> str:
    """What was decided and where, for people: ``units == 'F'`` (line 12), and so on."""
    lines = Counter((as_text(d.condition), d.place.line) for d in taken)
    shown_lines = [
        f"`{text}` (line {line}{f', {count} times' if count > 1 else ''})" for (text, line), count in lines.items()
    ]
    rest = f" and {len(shown_lines) - 8} more" if len(shown_lines) > 8 else ""
    return ", ".join(shown_lines[:8]) + rest


def same_questions(one: Sequence[Decision], other: Sequence[Decision]) -> bool:
    """Whether two runs were asked the same, one after the other, as far as both go."""
    return all(a.key == b.key and a.asked == b.asked for a, b in zip(one, other, strict=False))
