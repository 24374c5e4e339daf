"""The command line, ``pipemount``: check, draw, describe, run, serve, invoke, jobs, keys.

Importing this package needs no extra; running a command needs ``pipemount[cli]``.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["main"]

WAY_OUT = "pipemount: the command line needs an extra: pip install 'pipemount[cli]'"


def main() -> None:
    """Run the command in ``sys.argv`` and exit with its code (``ExitCode`` lists them)."""
    if not (find_spec("typer") and find_spec("rich")):
        sys.exit(WAY_OUT)
    from .application import app

    app(prog_name="pipemount")
