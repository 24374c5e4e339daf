"""The end of real servers: what is open is told to come back, and what was received is answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from tests.servers.products import ASGI, Product, Stream, begin, follow, started_in
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

pytestmark = pytest.mark.server

REQUESTS = 20
TOLD, CLOSED, CUT = ("draining", 1012), ("", 1012), ("", None)
LOSES = "hypercorn"
"""Closes idle connections at its end, also those on which a request has come in the same moment: either it tells the
app that the client has gone, or nobody hears the answer."""
ENDS: dict[str, set[tuple[str, int | None]]] = {
    "uvicorn": {TOLD, CLOSED},
    "hypercorn": {TOLD},
    "granian": {TOLD, CLOSED, CUT},
}
"""How sockets end: uvicorn and granian may be the first to close them, and granian may do so without a word."""


@dataclass
class Load:
    """Clients who ask one thing after another, until the server is gone.

    Attributes:
        answered: The status of each answer that came whole, by the request's number.
        enough: Set when a quarter of all was answered.
        statuses: When ``/health/ready`` answered what; 0 where it could not be asked.
        told_at: When the server was told to stop.
    """

    port: int
    clients: int
    answered: dict[int, int] = field(default_factory=dict)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    statuses: list[tuple[float, int]] = field(default_factory=list)
    told_at: float = 0.0
    _numbers: count[int] = field(default_factory=count)

    async def run(self) -> None:
        """To the end of the server, or of what is asked."""
        looking = asyncio.ensure_future(self._look())
        await asyncio.gather(*(self._ask() for _ in range(self.clients)))
        self.enough.set()
        looking.cancel()
        await asyncio.wait([looking])

    async def _ask(self) -> None:
        left = iter(range(REQUESTS))
        with contextlib.suppress(ConnectionRefusedError):
            while (each := next(left, None)) is not None:
                reading, writing = await asyncio.open_connection("127.0.0.1", self.port)
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):  # the server has gone
                    while each is not None:
                        await self._ask_once(reading, writing)
                        each = next(left, None)
                writing.close()

    async def _ask_once(self, reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        number = next(self._numbers)
        body = b'{"parameters": {"seconds": 0.0%d}}' % (number % 7 + 2)  # so that some comes at any moment
        head = f"POST /pipelines/slow/invoke HTTP/1.1\r\nHost: localhost\r\nX-Number: {number}\r\n"
        writing.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        self.answered[number] = await read_answer(reading)
        if len(self.answered) >= self.clients * REQUESTS // 4:
            self.enough.set()

    async def _look(self) -> None:
        while True:
            self.statuses.append((time.monotonic(), await readiness(self.port)))
            await asyncio.sleep(0.005)


async def readiness(port: int) -> int:
    """What ``/health/ready`` answers; 0 where the server takes no connection any more."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        reading, writing = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(writing):
            writing.write(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return await read_answer(reading)
    return 0


async def readiness_behind_the_last_word(port: int, job_id: str) -> int:
    """What it is as soon as a stream has told that the server stops."""
    reading, writing = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writing):
        writing.write(f"GET /jobs/{job_id}/events HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        await reading.readuntil(b"event: reconnect")
        return await readiness(port)


async def read_answer(reading: asyncio.StreamReader) -> int:
    """The status, when the whole answer has come."""
    head = (await reading.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
    await reading.readexactly(length)
    return int(head.split()[1])


async def open_sockets(server: Product, job_id: str, number: int) -> list[ClientConnection]:
    url = f"ws://127.0.0.1:{server.port}/stream"
    sockets = [await connect(url, ping_interval=None, proxy=None) for _ in range(number)]
    for socket in sockets:
        await socket.send(json.dumps({"type": "subscribe", "job_id": job_id}))
        assert json.loads(await socket.recv())["type"] == "accepted"
    return sockets


async def ending(socket: ClientConnection) -> tuple[Any, int | None]:
    """The last message, and the close code."""
    last: dict[str, Any] = {}
    try:
        while True:
            last = json.loads(await socket.recv())
    except ConnectionClosed as closed:
        return last, closed.rcvd.code if closed.rcvd else None


@pytest.mark.parametrize("server", ASGI)
@pytest.mark.parametrize("clients", [pytest.param(20, id="20"), pytest.param(100, id="100", marks=pytest.mark.full)])
def test_l2_l3_sigterm_with_streams_sockets_and_requests(
    server: str, clients: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Readiness ends at once, every stream and socket is told to come back, no request that came is left unanswered."""

    async def talk() -> tuple[Counter[tuple[str, int | None]], int]:
        sockets = await open_sockets(on, owner.job_id, clients)
        endings = [asyncio.ensure_future(ending(socket)) for socket in sockets]
        behind = asyncio.ensure_future(readiness_behind_the_last_word(on.port, owner.job_id))
        running = asyncio.ensure_future(load.run())
        await load.enough.wait()
        load.told_at = time.monotonic()
        on.process.send_signal(signal.SIGTERM)
        await running
        ends = Counter([(last.get("reason", ""), code) for last, code in await asyncio.gather(*endings)])
        return ends, await behind

    with started_in(tmp_path_factory.mktemp("server"), server) as on:
        owner = begin(on, "waiting")
        streams: list[Stream] = [owner, *(follow(on, owner.job_id) for _ in range(clients - 1))]
        for stream in streams:
            stream.until("step_started")
        load = Load(on.port, clients)
        ends, ready_behind = asyncio.run(asyncio.wait_for(talk(), 60))
        for stream in streams:
            assert stream.until("reconnect").json() == {"reason": "draining"}
            assert (stream.reader.last_id, stream.next()) == ("2", None)
            stream.close()
        on.wait_for_end()
        ended_after = time.monotonic() - load.told_at
        received = {each["number"] for each in on.notes("received")}
        answered = {each["number"] for each in on.notes("answered") if each["status"] == 200}
        closed = {each["number"] for each in on.notes("closed")}
        log = on.log

    ready = [moment - load.told_at for moment, status in load.statuses if status == 200]
    late = max(ready) * 1000 if ready else 0.0
    seen = Counter(status for moment, status in load.statuses if moment > load.told_at)
    lost = received - load.answered.keys()
    print(
        f"{server}, {clients} clients: {len(received)} received, {len(answered)} answered, {len(lost)} lost by the "
        f"server; ready until {late:.0f} ms after the signal, then {dict(seen)}, "
        f"{ready_behind} behind the last word; "
        f"sockets {dict(ends)}; ended after {ended_after:.2f} s"
    )
    assert ready_behind in (503, 0)
    was_ready = [status == 200 for _, status in load.statuses]
    assert was_ready == sorted(was_ready, reverse=True)  # once it has ended it does not come back
    assert was_ready[0]
    assert not was_ready[-1]
    assert received - answered == (closed if server == LOSES else set())
    assert lost == set() or server == LOSES
    assert set(load.answered.values()) == {200}
    assert len(load.answered) >= clients * REQUESTS // 4
    assert ends.keys() <= ENDS[server]
    assert "Traceback" not in log
