"""The options and arguments that several commands share."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from .exits import CommandError

__all__ = ["AsJson", "Described", "Help", "Key", "Param", "Params", "Quiet", "RemoteKey", "Target", "Timeout", "Url"]

Target = Annotated[
    str | None, typer.Argument(metavar="MODULE:PIPELINE", help="The module and the pipeline's name in it.")
]
Described = Annotated[
    str | None,
    typer.Argument(
        metavar="MODULE:PIPELINE|URL|FILE", help="A pipeline here, a served one, or a file that describe --json wrote."
    ),
]
Url = Annotated[str, typer.Argument(metavar="URL", help="Where the app or one of its pipelines is served.")]
RemoteKey = Annotated[
    str | None,
    typer.Option("--key", envvar="PIPEMOUNT_KEY", show_envvar=True, help="Better given in the environment."),
]
Key = Annotated[str | None, typer.Option("--key", envvar="PIPEMOUNT_KEY", show_envvar=True, help="The key, for a URL.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Params = Annotated[
    str | None, typer.Option("--params", metavar="JSON|@FILE|-", help="Parameters as a JSON object; - reads stdin.")
]
Param = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="One parameter; NAME:=JSON for a JSON value."),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", callback=lambda given: _seconds(given), help="Seconds after which the run is cancelled."),
]
Help = Annotated[
    bool, typer.Option("--help", "-h", help="Show this message, and the parameters of the pipeline that is named.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress lines.")]


def _seconds(given: float | None) -> float | None:
    if given is not None and not 0 < given < math.inf:
        raise CommandError(f"--timeout {given:g}: must be above 0")
    return given
