"""The table in the documentation: a row for each clause, a column for each pair, no empty cell without its reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from .clause import CLAUSES, Clause
from .outcomes import Outcome
from .pairs import Pair

__all__ = ["DONE", "FAILED", "cells", "clause_reason", "column", "render"]

DONE, FAILED = "✓", "✗"

HEAD = """# Hosts and servers, tested

What pipelines promise inside an application, on real servers: every clause on every pair of host and server, asked over
sockets by the suite `pipemount.testing.hosts`. This page is written by it:

    python -m pipemount.testing.hosts --write docs/host-matrix.md

✓ says that a clause holds. So does a figure, which was measured where this page was written, on two cores that others
used as well. A number in parentheses stands where a clause does not apply, and leads to the reason below the table. The
first form of a host is run on every server; its other forms differ in how a request arrives, and are run on the first.
"""


def column(pair: Pair) -> str:
    """The head of a pair's column."""
    return f"{pair.form.name}, {pair.server.name}"


def render(outcomes: Sequence[Outcome], pairs: Sequence[Pair], kept: Mapping[tuple[str, str, str], str]) -> str:
    """The page.

    Args:
        outcomes: Of what was run.
        pairs: Those that the page has, host by host.
        kept: What an earlier page says (``cells``), shown where nothing was run now.
    """
    found = dict(kept) | {_place(outcome.pair, outcome.clause): _said(outcome) for outcome in outcomes}
    sections = [_section(name, list(of), found) for name, of in groupby(pairs, key=lambda pair: pair.host.name)]
    asked = sum(not clause_reason(pair, clause) for pair in pairs for clause in CLAUSES.values())
    return "\n".join([HEAD, f"{len(pairs)} pairs, {asked} times a clause.\n", *sections])


def clause_reason(pair: Pair, clause: Clause) -> str:
    """Why ``clause`` is not asked of ``pair``; empty if it is."""
    return pair.reason or clause.reason(pair)


def _place(pair: Pair, clause: Clause) -> tuple[str, str, str]:
    return pair.host.name, clause.says, column(pair)


def _said(outcome: Outcome) -> str:
    return FAILED if outcome.failure else outcome.shown or DONE


def _section(name: str, pairs: Sequence[Pair], found: Mapping[tuple[str, str, str], str]) -> str:
    reasons: dict[str, int] = {}

    def cell(pair: Pair, clause: Clause) -> str:
        if reason := clause_reason(pair, clause):
            return f"({reasons.setdefault(reason, len(reasons) + 1)})"
        return found.get(_place(pair, clause), FAILED)

    lines = [f"| | {' | '.join(map(column, pairs))} |", f"|---|{'---|' * len(pairs)}"]
    for group, clauses in groupby(CLAUSES.values(), key=lambda clause: clause.group):
        lines.append(f"| **{group}** |{' |' * len(pairs)}")
        lines += [f"| {one.says} | {' | '.join(cell(pair, one) for pair in pairs)} |" for one in clauses]
    told = [f"({number}) {reason}  " for reason, number in reasons.items()]
    return "\n".join([f"## {name}", "", *lines, "", *told, ""])


def cells(page: str) -> Mapping[tuple[str, str, str], str]:
    """What a page says, by host, clause and column; of a clause that does not apply, the reason."""
    return dict(_cells(page))


def _cells(page: str) -> Iterator[tuple[tuple[str, str, str], str]]:
    for section in page.split("\n## ")[1:]:
        name = section.partition("\n")[0]
        reasons = dict(re.findall(r"^(\(\d+\)) (.*?) *$", section, re.MULTILINE))
        head, _, *rows = [_row(line) for line in section.splitlines() if line.startswith("|")]
        for says, *found in rows:
            for place, cell in zip(head[1:], found, strict=True):
                if not says.startswith("**"):
                    yield (name, says, place), reasons.get(cell, cell)


def _row(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
