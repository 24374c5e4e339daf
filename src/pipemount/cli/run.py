"""``run``: a pipeline in this process, its parameters as options."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import typer

from ..errors import PipemountError
from .exits import from_exception
from .inputs import from_json, from_options
from .options import AsJson, Help, Param, Params, Quiet, Target, Timeout
from .printing import note, print_json, print_members, print_outputs
from .progress import listening
from .schemas import members
from .targets import Found, compile_target, compile_targets, find, has_default

if TYPE_CHECKING:
    from ..adapters.protocol import CompiledPipeline
    from ..inprocess import RunResult
    from ..types import JsonObject

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog="Example: pipemount run shop:weather --city Oslo --json",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        options_metavar="[--PARAMETER VALUE]... [OPTIONS]",
        add_help_option=False,
    )(run)


def run(
    context: typer.Context,
    target: Target = None,
    params: Params = None,
    param: Param = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    show_help: Help = False,
) -> None:
    """Run a pipeline here, with one option per parameter: --city Oslo, --verbose, --no-verbose, --tag a --tag b.

    Objects are given as JSON. A parameter named like one of the options below is given with --param.
    """
    words = context.args
    if (first := target) is not None and first.startswith("-") and has_default():  # the name of a parameter
        target, words = None, [first, *words]
    if show_help:
        _print_help(context, target)
        return
    found = find(target)
    compiled = found.compiled
    parameters = members(compiled.input.json_schema())
    inputs = from_json(params) | from_options(words, parameters, param or ())
    with listening(quiet=quiet) as listener:
        result = _run(found, inputs, listener=listener, timeout=timeout)
    report = as_response(compiled, result)
    if as_json:
        print_json(report)
        return
    print_outputs(report["outputs"])
    if not quiet:
        note(f"run {result.run_id} completed in {result.execution_time:.3f} s", "green")


def _print_help(context: typer.Context, target: str | None) -> None:
    typer.echo(context.get_help())
    if target is not None or (has_default() and len(compile_targets(None)) == 1):
        print_members("parameter", members(compile_target(target).input.json_schema()))


def _run(found: Found, inputs: JsonObject, **options: Any) -> RunResult:
    from ..inprocess import run_compiled

    try:
        return asyncio.run(run_compiled(found.compiled, inputs, environments=found.environments, **options))
    except PipemountError:
        raise
    except Exception as error:  # of on_init or on_cleanup: what steps raise comes as a RunError
        raise from_exception(f"starting or stopping {found.compiled.info.name!r}", error) from error


def as_response(compiled: CompiledPipeline, result: RunResult) -> JsonObject:
    """A finished run in the members of a server's answer to ``/invoke``, as far as they mean something here."""
    return {
        "success": True,
        "outputs": json.loads(compiled.output.dump_json(result.outputs)),
        "execution_time": round(result.execution_time, 6),
        "metadata": {"pipeline_name": compiled.info.name, "run_id": result.run_id, "run_name": result.run_name},
        "error": None,
    }
