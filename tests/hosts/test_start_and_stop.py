"""Clauses that start the product themselves: by default each once under ASGI and once under WSGI."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipemount.testing.hosts import CLAUSES, Clause, Pair, pairs

pytestmark = pytest.mark.server

ALONE = [clause for clause in CLAUSES.values() if clause.alone]
POSSIBLE = {clause.name: [pair for pair in pairs() if not pair.reason and not clause.reason(pair)] for clause in ALONE}


def often() -> Iterator[tuple[str, str]]:
    """A pair of each kind for each clause; the next clause has other ones."""
    for number, clause in enumerate(ALONE):
        for kind in ("asgi", "wsgi"):
            possible = [pair for pair in POSSIBLE[clause.name] if pair.host.kind == kind]
            if possible:
                yield clause.name, possible[7 * number % len(possible)].name


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
