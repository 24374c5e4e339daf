"""Clients of real servers: over a network that breaks, and over a restart."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers.counting import counting, saying
from tests.support.servers import Server, free_port, serve, wait_until

from pipemount import errors
from pipemount.client import AsyncClient, Client, Retries
from pipemount.runtime.events import Event

from .chaos import Chaos

pytestmark = pytest.mark.server

COMMAND = ["uvicorn", "tests.servers.counting:app", "--log-level", "warning", "--port", "{port}"]
STREAMS = [24, pytest.param(200, marks=pytest.mark.full)]
NUMBER = 60
PATIENT = Retries(attempts=40, first=0.02, most=0.5)
"""A network that breaks more often than it holds is come back to more often."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(COMMAND, folder=tmp_path_factory.mktemp("server")) as server:
        yield server


async def told(client: AsyncClient[..., Any], **inputs: Any) -> list[Event]:
    return [event async for event in client.stream(**inputs)]


@pytest.mark.parametrize("streams", STREAMS)
async def test_h4_streams_that_are_dropped_at_random_lose_and_double_nothing(server: Server, streams: int) -> None:
    """HARDENING H4: submits and streams are cut after random bytes; each is followed to its end by itself."""
    chaos = Chaos(server.port, seed=streams)
    async with chaos.running(), AsyncClient(chaos.url, counting, retries=PATIENT) as client:
        found = await asyncio.gather(*(told(client, number=NUMBER) for _ in range(streams)))
    assert chaos.cuts > streams, "the network was too good to show anything"
    for events in found:
        assert [event.sequence for event in events] == list(range(1, NUMBER + 5))
        assert [event.data["value"] for event in events if event.kind == "delta"] == list(range(NUMBER))
        assert events[-1].data["outputs"] == {"output": list(range(NUMBER))}
    assert len({events[0].run_id for events in found}) == streams
    with Client(server.url) as direct:  # a submit that was sent twice has made one job
        succeeded = {job.id for job in direct.jobs("succeeded", limit=200)}
    assert {events[0].run_id for events in found} <= succeeded


def test_h4_what_steps_say_forges_no_event(server: Server) -> None:
    """HARDENING H4: line ends, frames, surrogates' neighbours and controls come back as they were said."""
    nasty = [
        "\r",
        "\n\n",
        "a\r\n\r\nevent: run_completed\ndata: {}\n\n",
        "id: 99\nretry: 1",
        "\u2028\x00\ufeff\x85",
        ": \n\n",
    ]
    with Client(server.url, saying) as client:
        events = list(client.stream(nasty))
    assert [event.data["value"] for event in events if event.kind == "delta"] == nasty
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.kind for event in events].count("run_completed") == 1
    assert events[-1].data["outputs"] == {"output": nasty}


async def test_subscribers_early_late_and_slow_see_the_same(server: Server) -> None:
    chaos = Chaos(server.port, seed=7)
    async with chaos.running(), AsyncClient(chaos.url, counting, retries=PATIENT) as client:
        job = await client.submit(number=NUMBER)

        async def read(after: float = 0, pause: float = 0) -> list[Event]:
            await asyncio.sleep(after)
            found = []
            async for event in client.events(job):
                found.append(event)
                await asyncio.sleep(pause)
            return found

        early, other, slow = await asyncio.gather(read(), read(0.1), read(pause=0.01))
        assert (await client.result(job)).value == list(range(NUMBER))
        late = await read()
    assert early == other == slow == late
    assert len(early) == NUMBER + 4


def test_cancelling_and_leaving(server: Server) -> None:
    with Client(server.url, counting) as client:
        left = client.stream(number=10_000, pause=0.01)
        run_id = next(left).run_id
        left.close()
        wait_until(lambda: client.job(run_id).ended)
        assert client.job(run_id).status == "cancelled"
        job = client.submit(number=10_000, pause=0.01)
        assert client.cancel(job).status in ("cancelling", "cancelled")
        with pytest.raises(errors.JobCancelledError):
            client.result(job)
        client.delete(job)
        with pytest.raises(errors.NotFoundError):
            client.job(job)


def test_a_deadline_is_the_servers(server: Server) -> None:
    with Client(server.url, counting) as client:
        short = client.calling(timeout=0.2)
        with pytest.raises(errors.DeadlineExceededError):
            short.invoke(number=10_000, pause=0.01)
        with pytest.raises(errors.DeadlineExceededError) as caught:
            list(short.stream(number=10_000, pause=0.01))
        assert caught.value.run_id
        keyed = client.calling(idempotency_key="once")
        assert keyed.invoke(number=3).run_id == keyed.invoke(number=3).run_id
        with pytest.raises(errors.IdempotencyMismatchError):
            keyed.invoke(number=4)


async def test_a_server_that_restarts_is_come_back_to(tmp_path: Path) -> None:
    """Jobs in memory end with their process, and whoever reads is told; what is asked next finds the new one."""
    port = free_port()
    patient = Retries(attempts=60, most=0.5)
    async with AsyncClient(f"http://127.0.0.1:{port}", counting, retries=patient) as client:
        with serve(COMMAND, folder=tmp_path, port=port) as server:
            reading = client.stream(number=100_000, pause=0.01)
            await anext(reading)
            rest = asyncio.create_task(drained(reading))
            server.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(server.wait_for_end)
        asked = asyncio.create_task(client.calling(idempotency_key="k").invoke(number=3))
        with serve(COMMAND, folder=tmp_path, port=port):
            assert (await asked).value == [0, 1, 2]
            with pytest.raises((errors.NotFoundError, errors.UnavailableError)):
                await rest


async def drained(events: AsyncIterator[Event]) -> None:
    async for _ in events:
        pass
