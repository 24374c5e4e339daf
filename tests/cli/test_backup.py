"""``jobs backup``."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipemount import Settings
from pipemount.jobs.sqlite import SQLiteStore
from pipemount.jobs.sqlite.schema import MIGRATIONS, migrate, version_of
from pipemount.testing.stores.asking import asked, ids

from .conftest import Pipemount


async def kept(path: Path, submit: bool = False) -> list[str]:
    store = SQLiteStore(path, Settings())
    await store.open()
    if submit:
        await store.submit(asked())
    found = await ids(store)
    await store.close()
    return found


def test_the_file_is_copied(pipemount: Pipemount, tmp_path: Path) -> None:
    file, copy = tmp_path / "jobs.db", tmp_path / "copy.db"
    before = asyncio.run(kept(file, submit=True))
    done = pipemount("jobs", "backup", str(file), str(copy))
    assert (done.exit_code, done.stderr.strip()) == (0, f"copied to {copy}")
    assert len(asyncio.run(kept(file, submit=True))) == 2
    assert asyncio.run(kept(copy)) == before


def test_nothing_is_written_over_and_nothing_is_made_where_no_file_is(pipemount: Pipemount, tmp_path: Path) -> None:
    file, copy = tmp_path / "jobs.db", tmp_path / "copy.db"
    assert pipemount("jobs", "backup", str(file), str(copy)).exit_code == 2
    assert list(tmp_path.iterdir()) == []
    asyncio.run(kept(file))
    copy.write_text("mine")
    done = pipemount("jobs", "backup", str(file), str(copy))
    assert done.exit_code == 5
    assert "already" in done.stderr
    assert copy.read_text() == "mine"


def test_a_file_of_an_older_version_is_copied_and_stays_one(pipemount: Pipemount, tmp_path: Path) -> None:
    file, copy = tmp_path / "jobs.db", tmp_path / "copy.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        migrate(connection, MIGRATIONS[:2])
    assert pipemount("jobs", "backup", str(file), str(copy)).exit_code == 0
    for each in (file, copy):
        with closing(sqlite3.connect(each)) as connection:
            assert version_of(connection) == 2


@pytest.mark.parametrize("what", ["nothing", "text", "tables"])
def test_what_keeps_no_jobs_is_refused_and_left_alone(pipemount: Pipemount, tmp_path: Path, what: str) -> None:
    file = tmp_path / "other.db"
    file.write_text("a text, " * 100 if what == "text" else "")
    if what == "tables":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE jobs (id)")
    before = file.read_bytes()
    done = pipemount("jobs", "backup", str(file), str(tmp_path / "copy.db"))
    said = {"nothing": "no jobs are kept in other.db", "text": "not a database", "tables": "another program's"}
    assert (done.exit_code, said[what] in done.stderr) == (5, True)
    assert [(path, path.read_bytes()) for path in tmp_path.iterdir()] == [(file, before)]
