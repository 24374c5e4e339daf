"""The table in the documentation: a row for each clause, a column for each pair, no empty cell without its reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from .clause import CLAUSES
from .outcomes import Outcome
from .pairs import Pair

__all__ = ["DONE", "FAILED", "cells", "column", "render"]

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


def render(outcomes: Sequence[Outcome], *, seconds: float) -> str:
    """The page."""
    hosts = groupby(outcomes, key=lambda outcome: outcome.pair.host.name)
    sections = [_section(name, list(found)) for name, found in hosts]
    pairs = len({outcome.pair.name for outcome in outcomes})
    asked = sum(not outcome.reason for outcome in outcomes)
    count = f"{pairs} pairs, {asked} clauses asked, in {seconds / 60:.0f} minutes.\n"
    return "\n".join([HEAD, count, *sections])


def _section(name: str, outcomes: Sequence[Outcome]) -> str:
    pairs = list({outcome.pair.name: outcome.pair for outcome in outcomes}.values())
    by_place = {(outcome.clause.name, outcome.pair.name): outcome for outcome in outcomes}
    reasons: dict[str, int] = {}
    lines = [f"| | {' | '.join(map(column, pairs))} |", f"|---|{'---|' * len(pairs)}"]
    for group, clauses in groupby(CLAUSES.values(), key=lambda clause: clause.group):
        lines.append(f"| **{group}** |{' |' * len(pairs)}")
        for clause in clauses:
            row = [_cell(by_place[clause.name, pair.name], reasons) for pair in pairs]
            lines.append(f"| {clause.says} | {' | '.join(row)} |")
    told = [f"({number}) {reason}  " for reason, number in reasons.items()]
    return "\n".join([f"## {name}", "", *lines, "", *told, ""])


def _cell(outcome: Outcome, reasons: dict[str, int]) -> str:
    if outcome.reason:
        return f"({reasons.setdefault(outcome.reason, len(reasons) + 1)})"
    return FAILED if outcome.failure else outcome.shown or DONE


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
