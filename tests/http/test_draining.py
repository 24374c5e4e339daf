"""What an app says while its server stops."""

import signal
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.support.doubling import doubled

from pipemount import PipelineApp, Settings
from pipemount.bridge import WSGIBridge
from pipemount.errors import ConfigurationError
from pipemount.runtime import draining


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
async def pipelines() -> Any:
    pipelines = PipelineApp(doubled, settings=Settings(max_stream_age=60.0))
    yield pipelines
    await pipelines.lifecycle.aclose()


async def test_it_is_not_ready_and_still_answers(pipelines: PipelineApp) -> None:
    client = httpx.AsyncClient(transport=httpx.ASGITransport(pipelines), base_url="http://test")
    async with client, pipelines.lifespan():
        assert (await client.get("/health/ready")).status_code == 200
        assert not pipelines.draining
        draining.tell()
        assert pipelines.draining
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["code"]) == (503, "draining")
        assert (await client.post("/invoke", json={"parameters": {"number": 2}})).status_code == 200
        await pipelines.until_draining()
        assert [count async for count in pipelines.ticks(60.0)] == []


async def test_the_end_of_the_lifespan_is_the_end_of_streams(pipelines: PipelineApp) -> None:
    async with pipelines.lifespan():
        counting = pipelines.ticks(0.001)
        assert await anext(counting) == 0
    assert len([count async for count in counting]) <= 1
    async with pipelines.lifespan():
        assert not pipelines.draining


@pytest.mark.parametrize("host", [lambda app: app.wrap(app, "/ai"), lambda app: app.wsgi, WSGIBridge])
def test_hosts_that_are_wrapped_or_dispatch_are_observed(pipelines: PipelineApp, host: Callable[..., Any]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    host(pipelines)
    assert isinstance(signal.getsignal(signal.SIGTERM), draining.Observer)


def test_streams_have_an_age() -> None:
    with pytest.raises(ConfigurationError, match="max_stream_age"):
        Settings(max_stream_age=0)
