"""The commands as those of a host: on what is mounted there, e.g. ``flask pipemount run --city Oslo``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from . import WAY_OUT
from .targets import mounted

if TYPE_CHECKING:
    from ..http.application import Application

__all__ = ["main"]


def main(words: Sequence[str], apps: Mapping[str, Application], *, program: str) -> None:
    """Run the command that ``words`` spell, and exit with its code.

    Args:
        words: Behind the program's name.
        apps: What is mounted in the host, by the names of the mounts.
        program: What the host calls the command, e.g. ``"flask pipemount"``.
    """
    if not (find_spec("typer") and find_spec("rich")):
        sys.exit(WAY_OUT)
    from . import definition, difference, drawing, run
    from .application import commands

    with mounted(apps):
        commands(definition, drawing, difference, run)(args=list(words), prog_name=program)
