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
    run_pair,
    same,
)
from pipemount.testing.hosts.table import DONE, FAILED, cells, clause_reason, column, render

PAGE = Path(__file__).parents[2] / "docs" / "host-matrix.md"
HOLDS = {DONE, "at its greatest age", "cut off, with no last event", "cut off, with no reason"}
MEASURED = re.compile(r"\d+\.\d ms")


def test_the_page_has_every_clause_and_every_pair() -> None:
    expected = {(pair.host.name, one.says, column(pair)) for pair in pairs() for one in CLAUSES.values()}
    assert set(cells(PAGE.read_text())) == expected


def test_every_cell_of_the_page_says_that_the_clause_holds_or_why_it_does_not_apply() -> None:
    found = cells(PAGE.read_text())
    for pair in pairs():
        for one in CLAUSES.values():
            cell = found[pair.host.name, one.says, column(pair)]
            if reason := clause_reason(pair, one):
                assert cell == reason, (pair.name, one.name)
            else:
                assert cell in HOLDS or MEASURED.fullmatch(cell), (pair.name, one.name, cell)


def test_no_event_took_long_to_any_client() -> None:
    """As measured when the page was written."""
    measured = {place: cell for place, cell in cells(PAGE.read_text()).items() if MEASURED.fullmatch(cell)}
    assert len(measured) > 60
    assert {place: cell for place, cell in measured.items() if float(cell.removesuffix(" ms")) >= 50} == {}


def test_a_page_is_read_as_it_was_written_and_keeps_what_was_not_run_again() -> None:
    pair = next(pair for pair in pairs() if pair.name == "Starlette mount on uvicorn")
    asked = [one for one in CLAUSES.values() if not one.reason(pair)]
    outcomes = [Outcome(pair, asked[0], failure="no"), Outcome(pair, asked[1], "1.5 ms"), Outcome(pair, asked[2])]
    before = cells(render([Outcome(pair, asked[3])], [pair], {}))
    found = cells(render(outcomes, [pair], before))
    said = [found[pair.host.name, one.says, column(pair)] for one in asked[:5]]
    assert said == [FAILED, "1.5 ms", DONE, DONE, FAILED]
    assert found[pair.host.name, CLAUSES["websocket"].says, column(pair)] == "ASGI servers have WebSockets"
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
    command = [
        sys.executable,
        "-m",
        "pipemount.testing.hosts",
        "--clause",
        "invoke",
        "--only",
        "Bare ASGI wrap on uvicorn",
    ]
    command += ["--write", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split(", ")[:3]) == (0, ["3 pairs", "3 times a clause", "0 failed"]), (
        done.stdout
    )
    found = cells(page.read_text())
    assert found["Bare ASGI", CLAUSES["invoke"].says, "wrap, uvicorn"] == DONE
    assert found["Flask", CLAUSES["invoke"].says, "init_app, gunicorn sync"] == FAILED


def test_a_pair_that_cannot_be_run_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = pairs()[0]
    monkeypatch.setattr(pair.host, "missing", lambda: "something")
    with pytest.raises(RuntimeError, match="needs something"):
        list(run_pair(pair, tmp_path))
    assert run_all([pair], tmp_path) == []
