"""``jobs backup``: a copy of the file that jobs are kept in, while they go on."""

from __future__ import annotations

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
    from ..jobs.sqlite.backup import copy_file

    copy_file(file, copy)
    note(f"copied to {copy}")
