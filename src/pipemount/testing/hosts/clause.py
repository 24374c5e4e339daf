"""Clauses: what every host is held to, each written once, against a client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .pairs import Pair, Running

__all__ = ["CLAUSES", "BrokenClauseError", "Clause", "clause", "expect", "same"]

Group = Literal[
    "start and stop",
    "requests",
    "streams",
    "jobs",
    "WebSockets",
    "bodies",
    "the host's login",
    "threads",
    "own code",
    "paths",
    "Django",
    "Flask",
]


class BrokenClauseError(AssertionError):
    """A host does not do what a clause says."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One thing that a host is held to.

    Attributes:
        name: A slug, e.g. ``first-requests``.
        says: The sentence in the table.
        group: Under which it stands there.
        check: Raises ``BrokenClauseError`` where it does not hold; what it returns is shown in the table.
        alone: Whether it starts the product itself: ``check`` takes the ``Pair`` and a folder then, else a product that
            is ``Running``.
        unless: The reason why it cannot be asked of a pair, or an empty string.
    """

    name: str
    says: str
    group: Group
    check: Callable[..., str | None]
    alone: bool
    unless: Callable[[Pair], str]

    def reason(self, pair: Pair) -> str:
        """Why it is not asked of ``pair``; empty if it is."""
        return pair.host.without.get(self.name) or self.unless(pair)


CLAUSES: dict[str, Clause] = {}
"""All of them by name, in the order of the table."""


def clause(
    says: str,
    *,
    group: Group,
    alone: bool = False,
    unless: Callable[[Pair], str] = lambda pair: "",
) -> Callable[[Callable[..., str | None]], Clause]:
    """Registers a function as a clause; its name is the function's."""

    def register(check: Callable[..., str | None]) -> Clause:
        made = Clause(check.__name__.replace("_", "-"), says, group, check, alone, unless)
        if CLAUSES.setdefault(made.name, made) is not made:
            raise ValueError(f"there are two clauses named {made.name}")
        return made

    return register


def expect(condition: object, told: str, running: Running | None = None) -> None:
    """Raises ``BrokenClauseError`` unless ``condition`` is true; with the server's log, where there is one."""
    if not condition:
        raise BrokenClauseError(told if running is None else f"{told}\n\nthe server's log:\n{running.log[-6000:]}")


def same(what: str, found: object, expected: object, running: Running | None = None) -> None:
    """Raises ``BrokenClauseError`` unless both are equal."""
    expect(found == expected, f"{what}: expected {expected!r}, found {found!r}", running)
