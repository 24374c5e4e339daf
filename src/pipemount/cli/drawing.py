"""``draw``: a pipeline's graph as Mermaid, as a picture, or as JSON with coordinates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .exits import CommandError
from .options import Target
from .printing import note
from .targets import compile_target

if TYPE_CHECKING:
    from ..adapters.protocol import CompiledPipeline

__all__ = ["register"]

Format = Literal["mermaid", "json", "svg"]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(epilog="Example: pipemount draw shop:weather --format svg -o weather.svg")(draw)


def draw(
    target: Target = None,
    format: Annotated[
        Format, typer.Option("--format", help="Mermaid text, a picture, or the graph with coordinates as JSON.")
    ] = "mermaid",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file to write to.")] = None,
) -> None:
    """Draw a pipeline's graph."""
    text = drawing_of(compile_target(target), format)
    if output is None:
        typer.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{output}: {error.strerror}") from None
    note(f"wrote {output}")


def drawing_of(compiled: CompiledPipeline, format: Format) -> str:
    """The graph in the format that was asked for."""
    from ..drawing.layout import drawn
    from ..drawing.mermaid import to_mermaid
    from ..drawing.svg import to_svg

    if format == "json":
        return json.dumps(drawn(compiled.graph), indent=2, ensure_ascii=False)
    if format == "svg":
        return to_svg(compiled.graph, title=compiled.info.name, description=compiled.info.doc)
    return to_mermaid(compiled.graph)
