"""``worker``: the jobs of an app, performed without a server."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .exits import CommandError
from .targets import load

if TYPE_CHECKING:
    from ..http.application import Application

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(epilog="Example: pipemount worker shop.web:pipelines --queue slow")(worker)


def worker(
    target: Annotated[str, typer.Argument(metavar="MODULE:NAME", help="A PipelineApp that was given jobs=.")],
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, help="Jobs at the same time, if not as the app says.")
    ] = None,
    queue: Annotated[
        list[str] | None, typer.Option("--queue", metavar="NAME", help="A queue to take jobs from; repeat it.")
    ] = None,
) -> None:
    """Perform jobs until SIGTERM or Ctrl-C; what still runs then is left to other workers."""
    from ..http.application import Application

    found = load(target)
    if not isinstance(found, Application):
        raise CommandError(f"{target!r} is no PipelineApp; a worker performs the jobs of one")
    if not found.jobs.store.durable:
        raise CommandError(f"the jobs of {target!r} end with its process; give it jobs=Local('sqlite:///jobs.db')")
    found.runner.take(concurrency=concurrency, queues=queue)
    asyncio.run(_work(found, target))


async def _work(app: Application, target: str) -> None:
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # as on Windows, where Ctrl-C raises
            asyncio.get_running_loop().add_signal_handler(number, end)
    lifespan: Any = app.lifespan(app)
    async with lifespan:
        await app.lifecycle.ensure_ready(float("inf"))
        typer.echo(f"performing the jobs of {target}\nCtrl-C stops it")
        await ended
        typer.echo("stopping")
