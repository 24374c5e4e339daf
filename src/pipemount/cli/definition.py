"""``check``, ``draw`` and ``describe``: what a pipeline is, without running it."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import ConfigurationError
from .exits import CommandError
from .options import AsJson, Target
from .printing import console, note, plain, print_json, print_members, print_table
from .schemas import members
from .targets import compile_target, is_url

if TYPE_CHECKING:
    from ..adapters.protocol import CompiledPipeline
    from ..types import JsonObject

__all__ = ["describe_compiled", "register"]

Format = Literal["mermaid", "json"]


def register(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.command(epilog="Example: pipemount check shop:weather")(check)
    app.command(epilog="Example: pipemount draw shop:weather -o weather.mmd")(draw)
    app.command(epilog="Example: pipemount describe shop:weather --show-schema")(describe)


def describe_compiled(compiled: CompiledPipeline) -> JsonObject:
    """What ``describe`` prints, in the members that a server's ``/info`` has."""
    about = compiled.info
    return {
        "name": about.name,
        "description": about.doc,
        "fingerprint": about.fingerprint,
        "framework": {"name": about.framework, "version": about.framework_version},
        "capabilities": sorted(compiled.capabilities),
        "input_schema": compiled.input.json_schema(),
        "output_schema": compiled.output.json_schema(),
        "graph": compiled.graph.as_json(),
    }


def check(context: typer.Context, target: Target, as_json: AsJson = False) -> None:
    """Compile a pipeline, resolve its hooks, and say what it is made of.

    Nothing of the pipeline is run. A pipeline that cannot be compiled ends the command with code 1.
    """
    context.obj["json"] = as_json
    compiled = compile_target(target)
    resolve_hooks(compiled)
    description = describe_compiled(compiled)
    if as_json:
        print_json(description)
        return
    print_summary(description)
    note(f"{compiled.info.name}: compiles", "green")


def draw(
    context: typer.Context,
    target: Target,
    format: Annotated[Format, typer.Option("--format", help="Mermaid text, or the graph as JSON.")] = "mermaid",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file to write to.")] = None,
) -> None:
    """Draw a pipeline's graph as a Mermaid flowchart."""
    compiled = compile_target(target)
    text = to_text(compiled, format)
    if output is None:
        typer.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{output}: {error.strerror}") from None
    note(f"wrote {output}")


def to_text(compiled: CompiledPipeline, format: Format) -> str:
    """The graph in the format that was asked for."""
    from ..pipelines.drawing import to_mermaid

    if format == "json":
        return json.dumps(compiled.graph.as_json(), indent=2, ensure_ascii=False)
    snapshot = getattr(compiled, "snapshot", None)
    if snapshot is None:
        raise CommandError(f"a {compiled.info.framework} pipeline has no Mermaid drawing; use --format json")
    return to_mermaid(snapshot).rstrip("\n")


def describe(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="MODULE:PIPELINE|URL", help="A pipeline here, or a served one.")],
    show_schema: Annotated[bool, typer.Option("--show-schema", help="Print the JSON Schemas too.")] = False,
    as_json: AsJson = False,
    key: Annotated[
        str | None, typer.Option("--key", envvar="PIPEMOUNT_KEY", show_envvar=True, help="The key, for a URL.")
    ] = None,
) -> None:
    """Tell what a pipeline takes, gives and consists of; here, or at a URL."""
    context.obj["json"] = as_json
    description = _describe(target, key)
    if as_json:
        print_json(description)
        return
    if description.get("description"):
        console().print(plain(str(description["description"])), soft_wrap=True)
        console().print()
    print_summary(description)
    if show_schema:
        print_json({"input": description["input_schema"], "output": description["output_schema"]})


def _describe(target: str, key: str | None) -> JsonObject:
    if not is_url(target):
        return describe_compiled(compile_target(target))
    from .remote import fetch_description

    return fetch_description(target, key)


def print_summary(description: JsonObject) -> None:
    """Name, fingerprint, steps, inputs and outputs as tables."""
    print_table(("pipeline", "fingerprint"), [(str(description.get("name")), str(description.get("fingerprint")))])
    console().print()
    _print_steps(description.get("graph") or {})
    print_members("input", members(description["input_schema"]))
    print_members("output", members(description["output_schema"]), required="")


def _print_steps(graph: JsonObject) -> None:
    edges = graph.get("edges", ())
    rows = []
    for node in graph.get("nodes", ()):
        needs = dict.fromkeys(e["source"] for e in edges if e["target"] == node["id"] and e["source"])
        rows.append((node["id"], node["kind"], ", ".join(needs)))
    if rows:
        print_table(("step", "runs as", "after"), rows)
        console().print()


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
