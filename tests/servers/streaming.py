"""Pipelines that stream, in several hosts, for real servers: ``app``, ``many``, ``flask``, ``django``.

Words are said when the test makes a file; what happens is noted for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount
from tests.support.events import FORGED

from pipemount import PipelineApp, Settings, StepContext, pipeline, step
from pipemount.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = Path(os.environ["STREAMING_FOLDER"])


def note(**what: Any) -> None:
    with (FOLDER / "notes").open("a") as notes:
        notes.write(json.dumps(what) + "\n")


@step
def wait_for_words(count: int, name: str) -> Iterator[str]:
    """Words, each when the file of its number is there."""
    for number in range(count):
        while not (FOLDER / f"{name}-{number}").exists():
            time.sleep(0.002)
        yield f"word {number} {time.monotonic()}"


@step
async def say_much(count: int, pause: float, size: int) -> AsyncIterator[str]:
    for number in range(count):
        await asyncio.sleep(pause)
        yield f"{number} {FORGED}{'x' * size}"


@step
async def pour(count: int, size: int, context: StepContext) -> None:
    for number in range(count):
        context.emit(f"{number} {'x' * size}")
        await asyncio.sleep(0)


@step
async def wait(context: StepContext) -> None:
    note(event="waits", run_id=context.run_id)
    try:
        await asyncio.Event().wait()
    finally:
        note(event="stopped", time=time.monotonic())


@step
async def sleep(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@pipeline
def gated(name: str, count: int = 10) -> Any:
    return wait_for_words(count, name)


@pipeline
def much(count: int, pause: float = 0.0, size: int = 0) -> Any:
    return say_much(count, pause, size)


@pipeline
def pouring(count: int, size: int) -> Any:
    return pour(count, size)


@pipeline
def waiting() -> Any:
    return wait()


@pipeline
def slow(seconds: float = 0.05) -> Any:
    return sleep(seconds)


pipelines = PipelineApp(
    {"gated": gated, "much": much, "pouring": pouring, "waiting": waiting, "slow": slow},
    settings=Settings(
        heartbeat=1.0, stream_retry=0.1, cleanup_timeout=1.0, max_event_buffer=256, max_concurrency=128, max_queue=256
    ),
)


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-passed"] = "yes"
        return response


class Counting:
    """Notes which requests with a number came, which were answered to the end, and of which the server let go."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        number = next((value for name, value in scope.get("headers", ()) if name == b"x-number"), None)
        if number is None:
            await self.app(scope, receive, send)
            return
        status = 0

        async def hear() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not status:
                note(event="closed", number=int(number))
            return message

        async def answer(message: Message) -> None:
            nonlocal status
            await send(message)
            status = message.get("status", status)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                note(event="answered", number=int(number), status=status)

        note(event="received", number=int(number))
        await self.app(scope, hear, answer)


app = Counting(pipelines)


def _many() -> Any:
    """One server for all hosts that speak ASGI, each with middleware that may hold a stream back."""
    from django.core.asgi import get_asgi_application
    from fastapi import FastAPI

    included = FastAPI(middleware=[Middleware(GZipMiddleware), Middleware(Passing)])
    included.include_router(pipelines.router())
    _configure()
    passing = [Middleware(Passing), Middleware(GZipMiddleware), Middleware(Passing)]
    mounted = Starlette(routes=[Mount("/", pipelines)], middleware=passing)
    django: Any = get_asgi_application()
    routes = [
        Mount("/starlette", mounted),
        Mount("/fastapi", included),
        Mount("/django", django),
        Mount("/wrapped", pipelines.wrap(django, "/ai")),
        Mount("/", app),
    ]
    own: Any = pipelines.lifespan
    return Starlette(routes=routes, lifespan=own)


def _flask() -> Any:
    from flask import Flask

    host = Flask(__name__)
    pipelines.init_app(host, prefix="/")
    return host


def _django() -> Any:
    from django.core.wsgi import get_wsgi_application

    _configure()
    return get_wsgi_application()


def _configure() -> None:
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="test",
        ROOT_URLCONF="tests.servers.streaming_urls",
        MIDDLEWARE=[
            "django.middleware.gzip.GZipMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
        ],
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    )


_hosts = {"many": _many, "flask": _flask, "django": _django}


def __getattr__(name: str) -> Any:
    if name not in _hosts:
        raise AttributeError(name)
    host = globals()[name] = _hosts[name]()
    return host
