"""The pipelines whose streams are measured: one says a word when it is told to, one says words by itself."""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from pipemount import PipelineApp, Settings, pipeline, step

__all__ = ["app", "pipelines"]

WORDS = 100
PAUSE = 0.02

said = asyncio.Event()


@step
async def listen() -> AsyncIterator[float]:
    """When it was told to speak, each time that it was."""
    while True:
        await said.wait()
        said.clear()
        yield time.monotonic()


@step
def speak() -> Iterator[float]:
    """When each word was said."""
    for _ in range(WORDS):
        time.sleep(PAUSE)
        yield time.monotonic()


@pipeline
def waiting() -> Any:
    return listen()


@pipeline
def speaking() -> Any:
    return speak()


pipelines = PipelineApp(
    {"waiting": waiting, "speaking": speaking},
    settings=Settings(
        max_streams=100_000,
        request_timeout=3600,
        max_stream_age=3600,
    ),
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The pipelines; beside them the word to speak, and what the process takes."""
    if scope["type"] == "lifespan":
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if scope["type"] != "http" or not scope["path"].startswith("/-/"):
        await pipelines(scope, receive, send)
        return
    if scope["path"] == "/-/say":
        said.set()
    body = json.dumps(_facts()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def _facts() -> dict[str, float]:
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "streams": len(pipelines.streams),
    }
