"""A product with limits: ``SETTINGS`` is JSON, and what happens in its steps is a file each in ``NOTES``."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from pipemount import PipelineApp, Settings, StepContext, pipeline, step

NOTES = Path(os.environ["NOTES"])


def note(name: str) -> None:
    """With the moment, on the clock that all processes share; in one step, for who looks whether it is there."""
    draft = NOTES / f".{name}"
    draft.write_text(str(time.monotonic()))
    draft.rename(NOTES / name)


@step
async def wait(name: str) -> str:
    note(f"{name}-begun")
    try:
        while not (NOTES / f"{name}-go").exists():
            await asyncio.sleep(0.005)
    except asyncio.CancelledError:
        note(f"{name}-cancelled")
        raise
    note(f"{name}-ended")
    return name


@step
def hold(name: str, context: StepContext) -> str:
    note(f"{name}-begun")
    while not context.cancelled:
        time.sleep(0.005)
    note(f"{name}-cancelled")
    while not (NOTES / f"{name}-go").exists():
        time.sleep(0.005)
    return name


@step
def after(name: str) -> str:
    note(f"{name}-after")
    return name


@pipeline
def waiting(name: str = "") -> Any:
    return after(wait(name))


@pipeline
def holding(name: str = "") -> Any:
    return after(hold(name))


pipelines = PipelineApp(
    {"waiting": waiting, "holding": holding}, settings=Settings(**json.loads(os.environ["SETTINGS"]))
)


async def host(request: Request) -> PlainTextResponse:
    """The host's own."""
    return PlainTextResponse("here")


app = Starlette(routes=[Route("/host", host), Mount("/ai", pipelines)], lifespan=pipelines.lifespan)
