"""``flask pipemount``: the commands on the pipelines of the current application, in its context.

Flask imports this whenever its command line is used, so that nothing is imported here before the command runs.
"""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import with_appcontext

__all__ = ["command"]


@click.command(
    "pipemount",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="Check, draw, describe, compare and run the app's pipelines.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@with_appcontext
def command(words: tuple[str, ...]) -> None:
    """Check, draw, describe, compare and run the pipelines that are mounted in this application."""
    from ..flask.mounted import mounted_in
    from .mounted import main

    apps = {name: mounted.pipelines for name, mounted in mounted_in(current_app).items()}
    main(words, apps, program="flask pipemount")
