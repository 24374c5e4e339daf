"""``keys``: make the keys that an app accepts."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import ConfigurationError
from .exits import CommandError
from .printing import note, print_json, print_table

__all__ = ["app"]

app = typer.Typer(name="keys", no_args_is_help=True, help="Make keys.", epilog="Example: pipemount keys generate")


@app.callback()
def keys() -> None:
    """Make the keys that callers present and an app accepts."""


@app.command(epilog="Example: pipemount keys generate --name ci --digest-only >> keys.txt")
def generate(
    context: typer.Context,
    name: Annotated[str, typer.Option("--name", help="What logs call it; the user name in HTTP Basic.")] = "key-1",
    digest_only: Annotated[
        bool, typer.Option("--digest-only", help="Only the line for a keys file; the key goes to standard error.")
    ] = False,
    env: Annotated[
        str | None, typer.Option("--env", metavar="VARIABLE", help="Only VARIABLE=key, for an environment file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a new key and show it once, with the line that a keys file needs.

    The line holds the key's SHA-256 digest: the file gives nothing away. Keep the key itself where the caller is.
    """
    from ..auth.key import Key, digest, generate_key

    if sum((digest_only, env is not None, as_json)) > 1:
        raise CommandError("choose one of --digest-only, --env and --json")
    key = generate_key()
    try:
        Key(name, key)
    except ConfigurationError as error:
        raise CommandError(f"--name {name!r}: {error}") from None
    if "," in name or name.lstrip().startswith(("#", "[")):
        raise CommandError(f"--name {name!r}: leave out ',', '#' and '[', which mean something in a keys file")
    line = f"{name}:{digest(key)}"
    if as_json:
        print_json({"name": name, "key": key, "digest": digest(key), "line": line})
    elif env is not None:
        typer.echo(f"{env}={key}")
    elif digest_only:
        note(f"key, shown once: {key}")
        typer.echo(line)
    else:
        print_table(("", "new key"), (("key, shown once", key), ("line for a keys file", line)))
