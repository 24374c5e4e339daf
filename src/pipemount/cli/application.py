"""The ``pipemount`` command: its commands, and what becomes of their errors."""

from __future__ import annotations

from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ..errors import PipemountError
from . import definition, difference, drawing, invoke, jobs, keys, run, serve, worker
from .exits import ExitCode, exit_code
from .printing import note, print_error

__all__ = ["app", "commands"]


class Guarded(TyperGroup):
    """A group that turns our errors into a sentence and an exit code; others keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            note("interrupted")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except PipemountError as error:
            if ctx.params.get("traceback"):
                raise
            print_error(error, as_json=bool((ctx.obj or {}).get("json")))
            raise typer.Exit(exit_code(error)) from None


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pipemount {__version__}")
        raise typer.Exit


def pipemount(
    context: typer.Context,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show the traceback of an error.")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Check, draw, describe, compare, run, serve and invoke compiled pipelines."""
    context.obj = {}


def commands(*modules: ModuleType) -> typer.Typer:
    """The commands of ``modules``, as one."""
    made = typer.Typer(
        name="pipemount",
        cls=Guarded,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Example: pipemount run shop:weather --city Oslo",
    )
    made.callback()(pipemount)
    for module in modules:
        module.register(made)
    made.add_typer(keys.app, name="keys")
    return made


app = commands(definition, drawing, difference, run, serve, worker, invoke, jobs)
