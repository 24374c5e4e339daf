"""A product with what may stand beside its pipelines: ``app`` for ASGI servers, ``flask`` for WSGI ones."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from flask import Flask
from starlette.requests import Request

from pipemount import Cors, Endpoint, PipelineApp, Settings, StaticFolder, pipeline, step

FOLDER = Path(os.environ["BESIDE"])


def note(what: str) -> None:
    with (FOLDER / f"{os.getpid()}.notes").open("a") as notes:
        notes.write(f"{what}\n")


@step
def greet(name: str) -> str:
    return f"Hello, {name}!"


@pipeline(on_init=lambda: note("on_init"), on_cleanup=lambda: note("on_cleanup"))
def greeting(name: str = "Ada") -> Any:
    return greet(name)


def open_database(app: PipelineApp) -> None:
    note("start")


async def connect() -> None:
    await asyncio.sleep(0)
    note("start async")


async def disconnect(app: PipelineApp) -> None:
    await asyncio.sleep(0)
    note("stop async")


def close_database() -> None:
    note("stop")


async def process(request: Request) -> int:
    return os.getpid()


pipelines = PipelineApp(
    greeting,
    endpoints=[Endpoint("/process", process)],
    static=StaticFolder(FOLDER, path="/app"),
    on_startup=[open_database, connect],
    on_shutdown=[disconnect, close_database],
    settings=Settings(allowed_hosts=("127.0.0.1",), cors=Cors(["https://app.example"]), generate_request_ids=True),
)
app = pipelines
flask = Flask("host")
pipelines.init_app(flask, "/ai")
