"""A server that goes away and comes back, with its jobs and without them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from tests.support.servers import free_port, wait_until

from pipemount import PipelineApp, Settings, errors, get_step_context, pipeline, step
from pipemount.client import AsyncClient, Client, Retries

pytestmark = pytest.mark.server

PATIENT = Retries(attempts=60, first=0.05, most=0.2)
STEPS: list[asyncio.Event] = []


@step
async def parts(number: int) -> int:
    context = get_step_context()
    for index in range(number):
        await STEPS[index].wait()
        context.emit(index)
    return number


@pipeline
def telling(number: int) -> Any:
    return parts(number)


@contextmanager
def serving(app: PipelineApp, port: int) -> Iterator[None]:
    """A server of a moment: the app, which lives on a loop of its own, and its jobs stay when it ends."""
    config = uvicorn.Config(app, port=port, lifespan="off", log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def release(app: PipelineApp, index: int) -> None:
    assert app.lifecycle.home is not None
    app.lifecycle.home.call_soon_threadsafe(STEPS[index].set)


def test_a_stream_survives_a_server_whose_jobs_do() -> None:
    STEPS[:] = [asyncio.Event() for _ in range(3)]
    app, port = PipelineApp(telling), free_port()
    with Client(f"http://127.0.0.1:{port}", retries=PATIENT) as client:
        with serving(app, port):
            told = client.stream(number=3)
            kinds = [next(told).kind, next(told).kind]
            release(app, 0)
            first = next(told)
            waited: list[Any] = []
            job_id = first.run_id
            waiter = threading.Thread(target=lambda: waited.append(client.result(job_id).value))
            waiter.start()
        release(app, 1)  # while nobody serves it, the job goes on
        release(app, 2)
        with serving(app, port):
            rest = list(told)
            waiter.join()
    assert kinds == ["run_started", "step_started"]
    assert [event.sequence for event in (first, *rest)] == list(range(3, 8)), "none is lost, none comes twice"
    assert [event.data["value"] for event in (first, *rest) if event.kind == "data"] == [0, 1, 2]
    assert waited == [{"output": 3}]
    app.lifecycle.close()


async def test_a_stream_says_that_its_job_is_gone() -> None:
    STEPS[:] = [asyncio.Event()]
    before, after = (PipelineApp(telling, settings=Settings(cleanup_timeout=0.1)) for _ in range(2))
    port = free_port()
    async with AsyncClient(f"http://127.0.0.1:{port}", retries=PATIENT) as client:
        server = serving(before, port)
        await asyncio.to_thread(server.__enter__)
        told = client.stream(number=1)
        run_id = (await anext(told)).run_id
        rest = asyncio.create_task(anext_of(told))
        result = asyncio.create_task(client.result(run_id))
        await asyncio.to_thread(wait_until, lambda: len(before.streams) == 2)
        await asyncio.to_thread(server.__exit__, None, None, None)
        server = serving(after, port)
        await asyncio.to_thread(server.__enter__)
        for waiting in (rest, result):
            with pytest.raises(errors.NotFoundError, match="does not know the job any more, of which event 2 was"):
                await waiting
        with pytest.raises(errors.NotFoundError, match="no such job"):
            await client.job(run_id)
        await asyncio.to_thread(server.__exit__, None, None, None)
    for app in (before, after):
        await asyncio.to_thread(app.lifecycle.close)


async def anext_of(events: Any) -> None:
    async for _ in events:
        pass
