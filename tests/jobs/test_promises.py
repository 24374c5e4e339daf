"""What docs/promises.md says: every promise has tests, which are there, and the numbers in it are those of the code."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pipemount import Settings, StepContext
from pipemount.jobs import leases
from pipemount.jobs.sqlite import SQLiteStore
from pipemount.jobs.sqlite.connecting import connect, prepare

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text()
NAMED = re.compile(r"^- `(tests/[\w/]+\.py::[\w:]+)`$", re.MULTILINE)
PROMISES = re.split(r"^### ", PAGE.partition("## Not promised")[0], flags=re.MULTILINE)[1:]

SAID = (
    "202 means committed with fsync",
    "At-least-once execution, exactly one recorded outcome",
    "Finished steps are not re-run on recovery",
    "Recovery ≤1 s (SQLite) or ≤ lease + 5 s (others) *while a runner is alive*",
    "Gapless, duplicate-free event log readable from any process",
    "Cancel persisted, async ≤1 s, sync cooperative",
    "A job that kills workers stops after 3",
)
NOT_PROMISED = ("Exactly-once side effects", "Ordering", "SQLite across hosts", "Windows until tested")


def test_all_that_is_promised_is_said_and_has_tests() -> None:
    heads = [promise.partition("\n")[0] for promise in PROMISES]
    assert heads == [f"{number}. {words}" for number, words in enumerate(SAID, 1)]
    assert [head for head, promise in zip(heads, PROMISES, strict=True) if not NAMED.search(promise)] == []
    assert re.findall(r"^- \*\*([^*]+)\.\*\*", PAGE, re.MULTILINE) == list(NOT_PROMISED)


def test_every_test_that_the_page_names_is_there() -> None:
    """As a function of its module, or of a class in it."""
    named = sorted(set(NAMED.findall(PAGE)))
    assert len(named) > len(SAID)
    assert PAGE.count("`tests/") == len(NAMED.findall(PAGE)), "each is a line of its own"
    assert [name for name in named if not is_there(*name.split("::"))] == []


def test_what_the_pages_say_that_a_step_can_ask_its_context_is_there() -> None:
    """On each page: an attribute in a sentence is executed by nobody."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    said = {(page.name, name) for page in pages for name in re.findall(r"`(?:context|ctx)\.(\w+)", page.read_text())}
    assert ("promises.md", "cancelled") in said
    assert sorted((page, name) for page, name in said if not hasattr(StepContext, name)) == []


def is_there(path: str, *names: str) -> bool:
    """Whether the module defines it, or has it from the class or module that it names as its own."""
    found: Any = import_module(path.removesuffix(".py").replace("/", "."))
    for name in names:
        found = getattr(found, name, None)
    return callable(found) and names[-1].startswith("test_")


def test_a_file_is_synced_with_each_commit(tmp_path: Path) -> None:
    connection = connect(tmp_path / "jobs.db")
    try:
        prepare(connection)
        [level] = connection.execute("PRAGMA synchronous").fetchone()
        [mode] = connection.execute("PRAGMA journal_mode").fetchone()
    finally:
        connection.close()
    assert (level, mode) == (2, "wal"), "FULL"


@pytest.mark.parametrize("lease", [0.5, 30.0, 600.0])
def test_what_a_dead_process_left_is_looked_for_in_time(lease: float, tmp_path: Path) -> None:
    settings = Settings(job_lease=lease, job_heartbeat=lease / 3)
    assert SQLiteStore(tmp_path / "jobs.db", settings).rescue_every <= 0.5
    pytest.importorskip("psycopg")
    from pipemount.jobs.postgres import PostgresStore

    assert PostgresStore("postgresql://x/y", settings).rescue_every < 5


def test_a_cancel_is_looked_for_in_time() -> None:
    assert leases.LOOK <= 0.5
