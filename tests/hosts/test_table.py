"""The table in the documentation has every clause and every pair, and a reason wherever nothing was asked."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipemount.testing.hosts import (
    CLAUSES,
    BrokenClauseError,
    Clause,
    Outcome,
    Pair,
    Running,
    clause,
    pairs,
    run_all,
    same,
)
from pipemount.testing.hosts.table import DONE, FAILED, cells, column, render

PAGE = Path(__file__).parents[2] / "docs" / "host-matrix.md"
HOLDS = {DONE, "at its greatest age", "cut off, with no last event"}
MEASURED = re.compile(r"\d+\.\d ms")


def test_the_page_has_every_clause_and_every_pair() -> None:
    expected = {(pair.host.name, one.says, column(pair)) for pair in pairs() for one in CLAUSES.values()}
    assert set(cells(PAGE.read_text())) == expected


def test_every_cell_of_the_page_says_that_the_clause_holds_or_why_it_does_not_apply() -> None:
    found = cells(PAGE.read_text())
    for pair in pairs():
        for one in CLAUSES.values():
            cell = found[pair.host.name, one.says, column(pair)]
            if reason := pair.reason or one.reason(pair):
                assert cell == reason, (pair.name, one.name)
            else:
                assert cell in HOLDS or MEASURED.fullmatch(cell), (pair.name, one.name, cell)


def test_no_event_took_long_to_any_client() -> None:
    """As measured when the page was written."""
    measured = {place: cell for place, cell in cells(PAGE.read_text()).items() if MEASURED.fullmatch(cell)}
    assert len(measured) > 60
    assert {place: cell for place, cell in measured.items() if float(cell.removesuffix(" ms")) >= 50} == {}


def outcomes(pair: Pair) -> list[Outcome]:
    """Of one pair: the first clause failed, the second does not apply, the third was measured, the others hold."""
    first, second, third, *others = CLAUSES.values()
    told = [
        Outcome(pair, first, failure="no"),
        Outcome(pair, second, reason="not here"),
        Outcome(pair, third, "1.5 ms"),
    ]
    return [*told, *(Outcome(pair, one) for one in others)]


def test_a_page_is_read_as_it_was_written() -> None:
    pair = pairs()[0]
    found = cells(render(outcomes(pair), seconds=60))
    first, second, third, fourth, *_ = (found[pair.host.name, one.says, column(pair)] for one in CLAUSES.values())
    assert (first, second, third, fourth) == (FAILED, "not here", "1.5 ms", DONE)
    assert len(found) == len(CLAUSES)


def test_two_clauses_of_one_name_are_refused() -> None:
    def invoke(running: Running) -> None: ...

    with pytest.raises(ValueError, match="two clauses named invoke"):
        clause("twice", group="requests")(invoke)
    assert CLAUSES["invoke"].says != "twice"


@pytest.mark.server
def test_a_clause_that_does_not_hold_is_told_with_the_server_s_log(tmp_path: Path) -> None:
    pair = next(pair for pair in pairs() if pair.name == "Bare ASGI wrap on uvicorn")
    told: list[Outcome] = []
    found = run_all([Pair(pair.host, pair.form, pair.server)], tmp_path, tell=told.append, clauses=[broken()])
    assert found == told
    assert [outcome.failure.partition("\n")[0] for outcome in found] == [
        "BrokenClauseError: status: expected 201, found 200"
    ]
    assert "the server's log" in found[0].failure
    assert issubclass(BrokenClauseError, AssertionError)


def broken() -> Clause:
    def check(running: Running) -> None:
        same("status", running.page().status, 201, running)

    return Clause("broken", "a clause that nobody keeps", "requests", check, False, lambda pair: "")


@pytest.mark.server
def test_the_command_writes_the_page_of_the_pairs_that_it_is_given(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    command = [sys.executable, "-m", "pipemount.testing.hosts", "--only", "nothing of that name", "--write", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.partition(",")[0]) == (0, "0 pairs"), done.stderr
    assert page.read_text().startswith("# Hosts and servers")
