"""Pipelines that stream, in several hosts, for real servers: ``app``, ``middled``, ``included``, ``flask``, …

Each word is said when a request to ``/-/say`` asks for it; what happens is noted for the test.
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

from pipemount import PipelineApp, Settings, StepContext, pipeline, step

NOTES = Path(os.environ["STREAMING_NOTES"])
FORGED = "x\r\n\r\nevent: run_failed\rid: 1\n\ndata: forged\n\n"


def note(**what: Any) -> None:
    with NOTES.open("a") as notes:
        notes.write(json.dumps(what) + "\n")


@step
def wait_for_words(count: int) -> Iterator[str]:
    """Words, each when the file of its number is there."""
    for number in range(count):
        while not NOTES.with_name(f"word-{number}").exists():
            time.sleep(0.002)
        yield f"word {number}"


@step
async def say_much(count: int, pause: float, size: int) -> AsyncIterator[str]:
    for number in range(count):
        await asyncio.sleep(pause)
        yield f"{number} {FORGED}{'x' * size}"


@step
async def wait(context: StepContext) -> None:
    note(event="waits", run_id=context.run_id)
    try:
        await asyncio.Event().wait()
    finally:
        note(event="stopped", time=time.monotonic())


@pipeline
def gated(count: int = 10) -> Any:
    return wait_for_words(count)


@pipeline
def much(count: int, pause: float = 0.0, size: int = 0) -> Any:
    return say_much(count, pause, size)


@pipeline
def waiting() -> Any:
    return wait()


pipelines = PipelineApp(
    {"gated": gated, "much": much, "waiting": waiting},
    settings=Settings(heartbeat=1.0, stream_retry=0.1, cleanup_timeout=1.0, max_event_buffer=256),
)


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-passed"] = "yes"
        return response


app = pipelines
middled: Any = Starlette(
    routes=[Mount("/", pipelines)],
    middleware=[Middleware(Passing), Middleware(GZipMiddleware), Middleware(Passing)],
    lifespan=pipelines.lifespan,
)


def _included() -> Any:
    from fastapi import FastAPI

    host = FastAPI()
    host.include_router(pipelines.router())
    return host


def _flask() -> Any:
    from flask import Flask

    host = Flask(__name__)
    pipelines.init_app(host, prefix="/")
    return host


def _django() -> None:
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


def _django_asgi() -> Any:
    from django.core.asgi import get_asgi_application

    _django()
    django: Any = get_asgi_application()
    return pipelines.wrap(django)


def _django_wsgi() -> Any:
    from django.core.wsgi import get_wsgi_application

    _django()
    return get_wsgi_application()


_hosts = {"included": _included, "flask": _flask, "django_asgi": _django_asgi, "django_wsgi": _django_wsgi}


def __getattr__(name: str) -> Any:
    if name not in _hosts:
        raise AttributeError(name)
    host = globals()[name] = _hosts[name]()
    return host
