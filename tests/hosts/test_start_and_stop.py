"""Clauses that start the product themselves: by default each on one pair, with --full on all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipemount.testing.hosts import CLAUSES, Clause, Pair, pairs

pytestmark = pytest.mark.server

ALONE = [clause for clause in CLAUSES.values() if clause.alone]
POSSIBLE = {clause.name: [pair for pair in pairs() if not pair.reason and not clause.reason(pair)] for clause in ALONE}


def often() -> Iterator[tuple[str, str]]:
    """A pair for each clause, of the one kind and the other by turns, each time another one."""
    for number, clause in enumerate(ALONE):
        possible = [pair for pair in POSSIBLE[clause.name] if pair.host.kind == ("asgi", "wsgi")[number % 2]]
        chosen = possible or POSSIBLE[clause.name]
        yield clause.name, chosen[7 * number % len(chosen)].name


OFTEN = set(often())
CASES = [
    pytest.param(
        pair,
        clause,
        marks=() if (clause.name, pair.name) in OFTEN else pytest.mark.full,
        id=f"{clause.name}-{pair.name}",
    )
    for clause in ALONE
    for pair in POSSIBLE[clause.name]
]


@pytest.mark.parametrize(("pair", "clause"), CASES)
def test_start_and_stop(pair: Pair, clause: Clause, tmp_path: Path) -> None:
    clause.check(pair, tmp_path)
