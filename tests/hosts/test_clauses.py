"""Every clause on every pair of host and server; a few pairs by default, all of them with ``--full``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipemount.testing.hosts import CLAUSES, Clause, Pair, Running, pairs

pytestmark = pytest.mark.server

OFTEN = {pair.name for pair in pairs(full=False)}
PAIRS = [
    pytest.param(pair, id=pair.name, marks=() if pair.name in OFTEN else pytest.mark.full) for pair in pairs(full=True)
]


def of(*, alone: bool) -> list[Clause]:
    return [clause for clause in CLAUSES.values() if clause.alone == alone]


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    pair: Pair = request.param
    if pair.reason:
        pytest.skip(pair.reason)
    with pair.start(tmp_path_factory.mktemp("running")) as running:
        yield running


@pytest.mark.parametrize("clause", of(alone=False), ids=lambda clause: clause.name)
@pytest.mark.parametrize("running", PAIRS, indirect=True, scope="module")
def test_a_running_product(running: Running, clause: Clause) -> None:
    if reason := clause.reason(running.pair):
        pytest.skip(reason)
    clause.check(running)


@pytest.mark.parametrize("clause", of(alone=True), ids=lambda clause: clause.name)
@pytest.mark.parametrize("pair", PAIRS)
def test_start_and_stop(pair: Pair, clause: Clause, tmp_path: Path) -> None:
    if reason := pair.reason or clause.reason(pair):
        pytest.skip(reason)
    clause.check(pair, tmp_path)
