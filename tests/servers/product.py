"""A product with pipelines in it, for real servers; environment variables tell its form and how its start behaves."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from pipemount import PipelineApp, Settings, pipeline, step
from pipemount.http.middleware import PipelineMiddleware
from pipemount.types import ASGIApp

FORM = os.environ["PRODUCT_FORM"]
START = os.environ.get("PRODUCT_START", "good")
NOTES = Path(os.environ["PRODUCT_NOTES"])
GATE = NOTES.with_name("gate")
PATIENCE = float(os.environ.get("PRODUCT_PATIENCE", "20"))


def note(what: str) -> None:
    """One line, written at once, so that lines of several processes do not mix."""
    with NOTES.open("a") as notes:
        notes.write(f"{os.getpid()} {what}\n")


def load() -> int:
    note("init")
    if START == "slow":
        while not GATE.exists():
            time.sleep(0.02)
    if START == "raises" or (START == "raises-once" and NOTES.read_text().count("init") == 1):
        raise OSError("the model is not there")
    return os.getpid()


def unload(state: int) -> None:
    note("cleanup" if state == os.getpid() else "cleanup of another process")


@step
async def tell() -> int:
    return os.getpid()


@pipeline(on_init=load, on_cleanup=unload)
def process() -> Any:
    return tell()


pipelines = PipelineApp(process, settings=Settings(startup_budget=PATIENCE, lazy_wait=PATIENCE, cleanup_timeout=5.0))


@asynccontextmanager
async def own(app: Any) -> AsyncIterator[dict[str, str]]:
    note("host start")
    yield {"pool": "open"}
    note("host stop")


def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("the host")


def starlette_mount() -> ASGIApp:
    return Starlette(lifespan=own, routes=[Route("/page", page), Mount("/ai", pipelines)])


def starlette_lifespan() -> ASGIApp:
    return Starlette(lifespan=pipelines.lifespan.around(own), routes=[Route("/page", page), Mount("/ai", pipelines)])


def starlette_wrap() -> ASGIApp:
    return pipelines.wrap(Starlette(lifespan=own, routes=[Route("/page", page)]), "/ai")


def fastapi_mount() -> ASGIApp:
    app = FastAPI()
    app.mount("/ai", pipelines)
    return app


def fastapi_lifespan() -> ASGIApp:
    app = FastAPI(lifespan=pipelines.lifespan)
    app.mount("/ai", pipelines)
    return app


def fastapi_middleware() -> ASGIApp:
    app = FastAPI(lifespan=own)
    app.add_middleware(PipelineMiddleware, pipelines=pipelines, path="/ai")
    return app


def fastapi_include() -> ASGIApp:
    app = FastAPI(lifespan=own)
    app.include_router(pipelines.router(), prefix="/ai")
    return app


def alone() -> ASGIApp:
    return pipelines


app = globals()[FORM]()
