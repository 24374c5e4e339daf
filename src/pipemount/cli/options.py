"""The options and arguments that several commands share."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from .exits import CommandError

__all__ = [
    "AsJson",
    "Described",
    "Expires",
    "Help",
    "Key",
    "Param",
    "Params",
    "Paths",
    "Quiet",
    "RemoteKey",
    "Target",
    "Timeout",
    "Url",
]

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
Paths = Annotated[
    list[str] | None,
    typer.Option(
        "--path",
        metavar="USUAL=OWN",
        envvar="PIPEMOUNT_PATHS",
        help="Where the app has a route, if not at its usual path, e.g. /jobs=/tasks; repeat it.",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", callback=lambda context, given: _noted(context, given), help="Print JSON instead of tables."
    ),
]
Params = Annotated[
    str | None, typer.Option("--params", metavar="JSON|@FILE|-", help="Parameters as a JSON object; - reads stdin.")
]
Param = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="One parameter; NAME:=JSON for a JSON value."),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        callback=lambda given: _seconds(given, "--timeout"),
        help="Seconds after which the run is cancelled.",
    ),
]
Expires = Annotated[
    float | None,
    typer.Option(
        "--expires",
        callback=lambda given: _seconds(given, "--expires"),
        help="Seconds in which the run is to be begun; later it is not.",
    ),
]
Help = Annotated[
    bool, typer.Option("--help", "-h", help="Show this message, and the parameters of the pipeline that is named.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress lines.")]


def _noted(context: typer.Context, given: bool) -> bool:
    """An error is to be told in JSON, too."""
    context.obj["json"] = given
    return given


def _seconds(given: float | None, name: str) -> float | None:
    if given is not None and not 0 < given < math.inf:
        raise CommandError(f"{name} {given:g}: must be above 0")
    return given
