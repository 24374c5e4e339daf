"""``serve``: a pipeline, an app, or the host it is mounted in, under uvicorn."""

from __future__ import annotations

import json
import os
import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .exits import CommandError, ExitCode
from .hosting import VARIABLE, as_app, create, describe_places

if TYPE_CHECKING:
    from ..types import ASGIApp, JsonObject

__all__ = ["register"]

FACTORY = f"{create.__module__}:{create.__name__}"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(epilog="Example: pipemount serve shop:weather --port 8080 --key-env PIPELINE_KEYS")(serve)


def serve(
    target: Annotated[
        str, typer.Argument(metavar="MODULE:NAME", help="A pipeline, a function, a PipelineApp or any ASGI app.")
    ],
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Server processes.")] = 1,
    key: Annotated[list[str] | None, typer.Option("--key", help="A key that callers must present; repeat it.")] = None,
    key_env: Annotated[
        str | None, typer.Option("--key-env", metavar="VARIABLE", help="An environment variable with the keys.")
    ] = None,
    key_file: Annotated[
        str | None, typer.Option("--key-file", metavar="FILE", help="A file with the keys, read again when it changes.")
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host", metavar="NAME", help="A name that requests may ask for; repeat it, '*' for all."
        ),
    ] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Start again when a source file changes.")] = False,
) -> None:
    """Serve pipelines over HTTP until Ctrl-C."""
    if find_spec("uvicorn") is None:
        raise CommandError("serving needs another extra: pip install 'pipemount[server]'")
    if reload and workers > 1:
        raise CommandError("--reload serves with one worker; leave out one of --reload and --workers")
    order = _order(target, key, key_env, key_file) | {"host": host, "allowed_hosts": allowed_host or []}
    app = as_app(order)
    listening = bind(host, port)
    url = base_url(host, listening.getsockname()[1])
    lines = [f"serving {target}", *describe_places(app, url), *_warnings(app, host), "Ctrl-C stops it"]
    if workers > 1 or reload:
        _serve_many(order, listening, lines, host=host, workers=workers, reload=reload)
    else:
        _serve_one(app, listening, lines)


def _order(target: str, key: list[str] | None, key_env: str | None, key_file: str | None) -> JsonObject:
    """What to serve, as JSON that a worker process can be handed; of keys only the digests."""
    from ..auth.key import Key, digest

    if sum(source is not None for source in (key or None, key_env, key_file)) > 1:
        raise CommandError("choose one of --key, --key-env and --key-file")
    for number, text in enumerate(key or (), start=1):
        Key(f"key-{number}", text)  # refuses what cannot be a key before its digest hides it
    digests = [text if text.startswith("sha256:") else digest(text) for text in key or ()]
    return {"target": target, "keys": digests, "key_env": key_env, "key_file": key_file}


def bind(host: str, port: int) -> socket.socket:
    """A socket at this address. Raises ``CommandError`` where it is taken or not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CommandError(f"--host {host}: {error.strerror}") from None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as error:
        made.close()
        raise CommandError(
            f"{host}:{port} cannot be listened on: {error.strerror}; choose another --port",
            exit=ExitCode.UNAVAILABLE,
        ) from None
    return made


def base_url(host: str, port: int) -> str:
    """The address to open; a host that stands for all is named as this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - told apart, not listened on
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _warnings(app: ASGIApp, host: str) -> list[str]:
    open_to_all = getattr(app, "auth", app) is None and host not in LOOPBACK
    if not open_to_all:
        return []
    return [
        "no keys are set: whoever reaches this address can invoke (--key-env sets them)",
        "requests that ask for another host than this machine are refused (--allowed-host allows more)",
    ]


def _serve_one(app: ASGIApp, listening: socket.socket, lines: list[str]) -> None:
    import uvicorn

    class Announced(uvicorn.Server):
        """Tells its address once it can be asked."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                typer.echo("\n".join(lines))

    server = Announced(uvicorn.Config(app, server_header=False))
    try:
        with listening:
            server.run(sockets=[listening])
    except SystemExit:  # some versions of uvicorn end the process so, with a code that means something else here
        if server.started:
            raise
    if not server.started:
        raise CommandError("the app did not start; its log says why", exit=ExitCode.FAILED)


def _serve_many(order: JsonObject, listening: socket.socket, lines: list[str], *, host: str, **options: Any) -> None:
    """Supervised by uvicorn, which makes its own socket and imports the app in each worker."""
    import uvicorn

    port = listening.getsockname()[1]
    listening.close()
    os.environ[VARIABLE] = json.dumps(order)
    typer.echo("\n".join(lines))
    uvicorn.run(FACTORY, factory=True, host=host, port=port, server_header=False, **options)
