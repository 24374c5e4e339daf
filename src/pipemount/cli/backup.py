"""``jobs backup``: a copy of the file that jobs are kept in, while they go on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from .printing import note

__all__ = ["backup"]


def backup(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="Of jobs=Local('sqlite:///FILE').")
    ],
    copy: Annotated[Path, typer.Argument(metavar="COPY", help="Where nothing is yet.")],
) -> None:
    """Copy the file that jobs are kept in, as it is at this moment; the app goes on meanwhile."""
    asyncio.run(_back_up(file, copy))
    note(f"copied to {copy}")


async def _back_up(file: Path, copy: Path) -> None:
    from ..jobs.sqlite import SQLiteStore
    from ..settings import Settings

    store = SQLiteStore(file, Settings())
    await store.open()
    try:
        await store.back_up(copy)
    finally:
        await store.close()
