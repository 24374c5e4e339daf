"""``check`` and ``describe``: what a pipeline is, without running it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigurationError
from .descriptions import described, description_of, print_summary
from .options import AsJson, Described, Key, Target
from .printing import console, note, plain, print_json
from .targets import compile_targets

if TYPE_CHECKING:
    from ..adapters.protocol import CompiledPipeline

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.command(epilog="Example: pipemount check shop:weather")(check)
    app.command(epilog="Example: pipemount describe shop:weather --show-schema")(describe)


def check(context: typer.Context, target: Target = None, as_json: AsJson = False) -> None:
    """Compile a pipeline, resolve its hooks, and say what it is made of; without a name, all that a host has.

    Nothing of the pipeline is run. A pipeline that cannot be compiled ends the command with code 1.
    """
    descriptions = []
    for compiled in compile_targets(target):
        resolve_hooks(compiled)
        descriptions.append(described(compiled))
        if not as_json:
            print_summary(descriptions[-1])
            note(f"{compiled.info.name}: compiles", "green")
    if as_json:
        print_json(descriptions[0] if len(descriptions) == 1 else descriptions)


def describe(
    target: Described = None,
    show_schema: Annotated[bool, typer.Option("--show-schema", help="Print the JSON Schemas too.")] = False,
    as_json: AsJson = False,
    key: Key = None,
) -> None:
    """Tell what a pipeline takes, gives and consists of; here, at a URL, or as --json told it before."""
    description = description_of(target, key)
    if as_json:
        print_json(description)
        return
    if description.get("description"):
        console().print(plain(str(description["description"])), soft_wrap=True)
        console().print()
    print_summary(description)
    if show_schema:
        print_json({"input": description["input_schema"], "output": description["output_schema"]})


def resolve_hooks(compiled: CompiledPipeline) -> None:
    """Imports every hook that was given as ``"module:function"``. Raises ``ConfigurationError``."""
    snapshot: Any = getattr(compiled, "snapshot", None)
    if snapshot is None:
        return
    _resolve(f"pipeline {snapshot.name!r}", snapshot.hooks)
    for node in snapshot.nodes:
        _resolve(f"step {node.id!r}", node.step.hooks)


def _resolve(owner: str, hooks: Any) -> None:
    for name in hooks.__slots__:
        hook = getattr(hooks, name)
        if hook is not None and isinstance(hook.target, str):
            _resolve_one(f"{name} of {owner}", hook.target)


def _resolve_one(place: str, target: str) -> None:
    module_name, _, path = target.partition(":")
    try:
        found: Any = import_module(module_name)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"{place} is {target!r}: {error}; write 'module:function'") from None
    if not callable(found):
        raise ConfigurationError(f"{place} is {target!r}, which is not a function")
