"""The product that every host is given: the same pipelines, pages and streams, whatever the framework."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Annotated, Any, NamedTuple

from ...app import PipelineApp
from ...auth.keys import AuthKeys
from ...errors import PipelineError
from ...inprocess import pipeline
from ...pipelines.steps import step
from ...settings import Settings
from ...types import Receive, Scope, Send
from .setup import KEY, Setup
from .streams import BEAT, Streams

__all__ = ["PAGE", "TRACE_ID", "Page", "Product"]

PAGE = "the host"

TRACE_ID: ContextVar[str] = ContextVar("TRACE_ID", default="")
"""Set by hosts for the time of a request, from its header ``X-Trace``."""


class Page(NamedTuple):
    """A page of the host's own, outside the pipelines; answered in a thread where the host has threads for it."""

    path: str
    answer: Callable[[], str]


class Product:
    """What a host is made of.

    Attributes:
        setup: What the process was told.
        mount: Where the pipelines belong.
        pipelines: The app.
    """

    def __init__(self, setup: Setup, own: Mapping[str, Any] | None = None) -> None:
        self.setup, self.mount = setup, setup.mount
        settings = Settings(
            startup_budget=setup.patience,
            lazy_wait=setup.patience,
            cleanup_timeout=5.0,
            max_stream_age=setup.stream_age,
            max_body_bytes=64 * 1024 * 1024,
            threads=128,
        )
        self.pipelines = StreamingApp(setup, _pipelines(setup) | dict(own or {}), settings)

    @property
    def pages(self) -> list[Page]:
        """The host's own."""
        return [
            Page("/page", lambda: PAGE),
            Page("/run-sync", self._run_sync),
            Page("/run-sync-thread", self._run_sync_in_a_thread),
        ]

    @asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[dict[str, str]]:
        """The host's own start and stop."""
        self.setup.note("host start")
        if self.setup.host_start == "raises":
            raise OSError("the host's pool is not there")
        yield {"pool": "open"}
        self.setup.note("host stop")

    def _run_sync(self) -> str:
        return str(self.pipelines.run_sync("greet", name="Ada").value)

    def _run_sync_in_a_thread(self) -> str:
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(self._run_sync).result()


class StreamingApp(PipelineApp):
    """Pipelines and, at ``/-/…``, streams: both come in by the same ways."""

    def __init__(self, setup: Setup, pipelines: Mapping[str, Any], settings: Settings) -> None:
        super().__init__(pipelines, auth=AuthKeys([KEY]), settings=settings)
        self._streams = Streams(setup, self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a stream's path itself."""
        if scope["type"] == "http" and "/-/" in scope["path"]:
            await self._streams(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _pipelines(setup: Setup) -> dict[str, Any]:
    plain = {"greet": greet, "digest": digest, "refuse": refuse, "trace": trace}
    return {"process": _process(setup), "hold": _hold(setup), "recite": _recite(setup), **plain}


def _process(setup: Setup) -> Any:
    """A pipeline whose start and stop are written down; it tells which process it runs in."""

    def load() -> int:
        setup.note("init")
        if setup.on_init == "slow":
            while not setup.gate("init").exists():
                time.sleep(0.02)
        if setup.on_init == "raises" or (setup.on_init == "raises-once" and setup.notes.read_text().count("init") == 1):
            raise OSError("the model is not there")
        return os.getpid()

    def unload(state: int) -> None:
        setup.note("cleanup" if state == os.getpid() else "cleanup of another process")

    @step
    def tell() -> Annotated[int, "pid"]:
        setup.note("told")
        return os.getpid()

    @pipeline(on_init=load, on_cleanup=unload)
    def process() -> Any:
        return tell()

    return process


def _hold(setup: Setup) -> Any:
    """A pipeline whose step waits for the gate ``hold``, in a thread."""

    @step
    def wait(name: str) -> Annotated[str, "name"]:
        setup.note("held")
        while not setup.gate("hold").exists():
            time.sleep(0.05)
        return name

    @pipeline
    def hold(name: str = "") -> Any:
        return wait(name)

    return hold


def _recite(setup: Setup) -> Any:
    """A pipeline that tells the time, part by part: each when its gate opens, or one after the other."""

    @step
    def speak(parts: int, gate: str) -> Iterator[float]:
        try:
            for number in range(parts):
                while gate and number and not setup.gate(f"{gate}-{number}").exists():
                    time.sleep(0.005)
                time.sleep(0 if gate else BEAT)
                yield time.monotonic()
        finally:
            setup.note("recital ends")

    @pipeline
    def recite(parts: int, gate: str = "") -> Any:
        return speak(parts, gate)

    return recite


@step
def say(name: str) -> Annotated[str, "greeting"]:
    """Of a name."""
    return f"Hello, {name}!"


@pipeline
def greet(name: str) -> Any:
    """Greets."""
    return say(name)


@step
def measure(text: str) -> tuple[Annotated[int, "length"], Annotated[str, "sha256"]]:
    """What tells whether a text came whole."""
    return len(text), hashlib.sha256(text.encode()).hexdigest()


@pipeline
def digest(text: str) -> Any:
    """Measures a text."""
    length, sha256 = measure(text)
    return {"length": length, "sha256": sha256}


@step
def fail() -> int:
    """A refusal of the step's own."""
    raise PipelineError("out of stock", status=409)


@pipeline
def refuse() -> Any:
    """Always refuses."""
    return fail()


@step
def read_trace() -> Annotated[str, "trace_id"]:
    """The context variable that the host has set for the request."""
    return TRACE_ID.get()


@pipeline
def trace() -> Any:
    """Tells the trace id that steps see."""
    return read_trace()
