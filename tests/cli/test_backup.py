"""``jobs backup``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pipemount import Settings
from pipemount.jobs.sqlite import SQLiteStore
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
