"""The server of ``overload.py``: 20 ms of computing per run, a host's own endpoint, and how late the loop is."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route

from pipemount import PipelineApp, Settings, pipeline, step

CPU_SECONDS = 0.02


@step
def compute(seed: int) -> int:
    """As long as it takes to use ``CPU_SECONDS`` of a processor, in Python alone: the interpreter is never let go."""
    until = time.thread_time() + CPU_SECONDS
    while time.thread_time() < until:
        seed = seed * 1103515245 + 12345 & 0x7FFFFFFF
    return seed


@pipeline
def work(seed: int) -> int:
    """One step."""
    return compute(seed)


pipelines = PipelineApp(work, settings=Settings(**json.loads(os.environ.get("OVERLOAD_SETTINGS", "{}"))))
lags: list[float] = []


async def _watch() -> None:
    while True:
        due = time.perf_counter() + 0.01
        await asyncio.sleep(0.01)
        lags.append(time.perf_counter() - due)


@asynccontextmanager
async def _lifespan(app: Any) -> AsyncIterator[None]:
    watching = asyncio.create_task(_watch())
    async with pipelines.lifespan(app):
        yield
    watching.cancel()


async def _host(request: Request) -> PlainTextResponse:
    return PlainTextResponse("here")


async def _lag(request: Request) -> JSONResponse:
    found = sorted(lags) or [0.0]
    lags.clear()
    return JSONResponse({"p99": found[int(len(found) * 0.99)], "most": found[-1]})


app = Starlette(routes=[Route("/host", _host), Route("/lag", _lag), Mount("/ai", pipelines)], lifespan=_lifespan)
