"""Runs clauses on pairs, and keeps what came of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .clause import CLAUSES, Clause
from .pairs import Pair

__all__ = ["Outcome", "run_all", "run_pair"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a clause on a pair.

    Attributes:
        pair: Where.
        clause: What was asked.
        shown: What it measured, if it does.
        failure: What is not as it should be; empty if all is.
    """

    pair: Pair
    clause: Clause
    shown: str = ""
    failure: str = ""


def run_pair(pair: Pair, folder: Path, clauses: Sequence[Clause] = ()) -> Iterator[Outcome]:
    """What came of all clauses, or of those given, that apply to a pair: first of those that start it by themselves.

    Raises:
        RuntimeError: The host or the server is not there. An empty list would look like a success.
    """
    if pair.reason:
        raise RuntimeError(f"{pair.name} cannot be run: {pair.reason}")
    asked = [clause for clause in clauses or CLAUSES.values() if not clause.reason(pair)]
    for clause in asked:
        if clause.alone:
            yield _outcome(pair, clause, lambda clause=clause: clause.check(pair, folder))  # type: ignore[misc]
    shared = [clause for clause in asked if not clause.alone]
    if shared:
        yield from _run_shared(pair, folder, shared)


def _run_shared(pair: Pair, folder: Path, clauses: Sequence[Clause]) -> Iterator[Outcome]:
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(pair.start(folder))
        except AssertionError as error:
            yield from (Outcome(pair, clause, failure=str(error)) for clause in clauses)
            return
        for clause in clauses:
            yield _outcome(pair, clause, lambda clause=clause: clause.check(running))  # type: ignore[misc]


def _outcome(pair: Pair, clause: Clause, check: Callable[[], str | None]) -> Outcome:
    try:
        return Outcome(pair, clause, shown=check() or "")
    except Exception as error:
        return Outcome(pair, clause, failure=f"{type(error).__name__}: {error}")


def run_all(
    pairs: Sequence[Pair],
    folder: Path,
    clauses: Sequence[Clause] = (),
    *,
    jobs: int = 2,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """All clauses, or those given, on all pairs, ``jobs`` pairs at the same time; ``tell`` hears of each outcome."""

    def run(pair: Pair) -> list[Outcome]:
        found = []
        for outcome in () if pair.reason else run_pair(pair, folder, clauses):
            tell(outcome)
            found.append(outcome)
        return found

    with ThreadPoolExecutor(jobs) as threads:
        return [outcome for found in threads.map(run, pairs) for outcome in found]
