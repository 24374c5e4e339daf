"""Streams over real sockets: on every server, through the hosts' middleware, dropped, resumed, and not read at all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.servers.products import ASGI, PLACES, Product, Stream, begin, follow, running
from tests.support.events import FORGED, EventReader, Told
from tests.support.servers import wait_until
from websockets.sync.client import connect

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Product]]:
    """Each server is started once, when a test needs it."""
    with running(tmp_path_factory) as started:
        yield started


@pytest.fixture(scope="module")
def uvicorn(product: Callable[[str], Product]) -> Product:
    return product("uvicorn")


# ---------------------------------------------------------------------------------------- H5: buffered


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize(("server", "base"), PLACES)
def test_h5_each_event_comes_before_the_next_one_is_made(
    server: str, base: str, encoding: str, product: Callable[[str], Product]
) -> None:
    """No word is said before the client has the one before it: a stream that is held back anywhere stands still."""
    on = product(server)
    name, lags = f"{base.strip('/')}-{encoding}", []
    target = f"{base}/pipelines/gated/invoke?mode=stream"
    stream = Stream(on.port, target, {"name": name, "count": 5}, accept_encoding=encoding)
    stream.until("step_started")
    for number in range(5):
        (on.folder / f"{name}-{number}").touch()
        said = stream.until("delta").json()["data"]["value"].split()
        assert said[:2] == ["word", str(number)]
        lags.append(time.monotonic() - float(said[2]))
    assert [each.type for each in iter(stream.next, None)] == ["step_completed", "run_completed"]
    headers = stream.response.headers
    assert (headers["content-type"].partition(";")[0], headers["cache-control"]) == ("text/event-stream", "no-store")
    assert headers["content-encoding"] is None
    assert (headers["x-passed"] == "yes") is (base in ("/starlette", "/fastapi"))
    stream.close()
    print(
        f"{server}{base}, {encoding}: {', '.join(f'{1000 * lag:.1f}' for lag in lags)} ms from the step to the client"
    )


@pytest.mark.parametrize("base", ["", "/starlette", "/fastapi", "/wrapped/ai"])
def test_a_socket_and_a_stream_tell_the_same_in_every_host(base: str, uvicorn: Product) -> None:
    """Also where Django is wrapped, and the host's middleware compresses."""
    with connect(f"ws://127.0.0.1:{uvicorn.port}{base}/pipelines/much/stream", proxy=None) as client:
        client.send(json.dumps({"type": "invoke", "parameters": {"count": 5}}))
        told = [json.loads(client.recv(timeout=30))]
        while told[-1]["type"] != "ended":
            told.append(json.loads(client.recv(timeout=30)))
    stream = Stream(uvicorn.port, f"{base}/stream/{told[0]['job_id']}")
    assert [each.json() for each in iter(stream.next, None)] == [message["event"] for message in told[1:-1]]
    stream.close()


# ------------------------------------------------------------------------------- H4: dropped and resumed


async def _read_in_pieces(port: int, job_id: str, chance: random.Random) -> tuple[list[Told], int]:
    """All events of a job, by a reader whose connection breaks after a few of them, again and again."""
    told: list[Told] = []
    last, breaks = "", 0
    while not told or told[-1].type != "run_completed":
        reading, writing = await asyncio.open_connection("127.0.0.1", port)
        resume = f"Last-Event-ID: {last}\r\n" if last else ""
        writing.write(f"GET /jobs/{job_id}/events HTTP/1.0\r\nHost: localhost\r\n{resume}\r\n".encode())
        assert b" 200 " in await reading.readline()
        await reading.readuntil(b"\r\n\r\n")
        reader, patience = EventReader(), chance.randint(0, 12)
        while patience >= 0 and (part := await reading.read(chance.choice((1, 7, 100, 65536)))):
            for each in reader.feed(part):
                told.append(each)
                last, patience = each.id, patience - 1
                if patience < 0:
                    break
        if chance.random() < 0.5:  # without a word to the server
            writing.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writing.close()
        breaks += 1
        assert breaks < 500, "it does not come to the end"
    return told, breaks


@pytest.mark.parametrize(
    ("server", "count"),
    [("uvicorn", 40), *(pytest.param(server, 200, marks=pytest.mark.full) for server in ASGI)],
)
async def test_h4_readers_that_are_dropped_and_resume_lose_nothing(
    server: str, count: int, product: Callable[[str], Product]
) -> None:
    on = await asyncio.to_thread(product, server)
    owner = await asyncio.to_thread(begin, on, "much", count=60, pause=0.01)
    chance = random.Random(4)
    readers = [_read_in_pieces(on.port, owner.job_id, random.Random(chance.random())) for _ in range(count)]
    found = await asyncio.gather(*readers)
    whole = await asyncio.to_thread(lambda: list(iter(owner.next, None)))
    owner.close()

    assert [each.id for each in whole] == [str(number) for number in range(1, len(whole) + 1)]
    assert [each.json()["data"]["value"] for each in whole if each.type == "delta"] == [
        f"{number} {FORGED}" for number in range(60)
    ]
    breaks = sum(breaks for _, breaks in found)
    assert breaks > 3 * count
    assert [told == whole for told, _ in found] == [True] * count  # none lost, none twice, none forged
    print(f"{server}: {count} readers, {breaks} connections, {count * len(whole)} events")


def test_case_27_two_readers_a_late_one_and_a_slow_one_see_the_same(uvicorn: Product) -> None:
    owner = begin(uvicorn, "much", count=100, pause=0.002)
    both = [follow(uvicorn, owner.job_id) for _ in range(2)]
    told = [list(iter(stream.next, None)) for stream in both]
    late = follow(uvicorn, owner.job_id)
    told.append(list(iter(late.next, None)))
    told.append(list(iter(owner.next, None)))  # which nobody has read until now
    for stream in (owner, *both, late):
        stream.close()

    assert len(told[0]) == 104
    assert all(each == told[0] for each in told)


# ------------------------------------------------------------------------------------------ H3: leaving


@pytest.mark.parametrize("server", ASGI)
def test_h3_a_client_that_closes_its_socket_cancels_its_run(server: str, product: Callable[[str], Product]) -> None:
    on = product(server)
    stream = begin(on, "waiting")
    stream.until("step_started")
    before = len(on.notes("stopped"))
    stream.close()
    left = time.monotonic()
    wait_until(lambda: len(on.notes("stopped")) > before)

    watcher = follow(on, stream.job_id)
    assert watcher.until("run_cancelled").json()["data"]["reason"] == "the caller left"
    watcher.close()
    print(f"{server}: cancelled {(on.notes('stopped')[-1]['time'] - left) * 1000:.1f} ms after the client left")


# --------------------------------------------------------------------------------------- D6: slow readers


def resident(server: Product) -> float:
    """MiB of the server and its workers."""
    pages = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int((process / "stat").read_text().rpartition(")")[2].split()[2]) == server.process.pid:  # its group
                pages += int((process / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


@pytest.mark.parametrize("server", ["uvicorn", *(pytest.param(name, marks=pytest.mark.full) for name in ASGI[1:])])
def test_d6_a_reader_that_reads_nothing_costs_little_and_holds_nobody_up(
    server: str, product: Callable[[str], Product]
) -> None:
    on = product(server)
    for _ in range(2):  # so that what is lasting is there
        warm = begin(on, "pouring", count=300, size=65536)
        warm.until("run_completed")
        warm.close()
    with socket.create_connection(("127.0.0.1", on.port)) as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = b'{"parameters": {"count": 1500, "size": 65536}}'
        target = b"POST /pipelines/pouring/invoke?mode=stream HTTP/1.1\r\nHost: localhost\r\n"
        length = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        before = resident(on)
        idle.sendall(target + length + body)
        head = idle.recv(1024)  # and no more
        job_id = head.partition(b"x-run-id: ")[2].partition(b"\r\n")[0].decode()
        good = follow(on, job_id)
        assert good.until("run_completed")  # 100 MB were said
        good.close()
        grown = resident(on) - before
        late = follow(on, job_id)
        told = list(iter(late.next, None))
        late.close()
    kept = [each for each in told if each.type == "data"]
    print(f"{server}: +{grown:.1f} MiB, {len(kept)} of 1500 words are kept")
    assert 1 <= len(kept) <= 256
    assert sum(len(each.data) for each in kept) <= 2**20
    assert [each.type for each in told if each.type != "data"][-3:] == ["missed", "step_completed", "run_completed"]
    assert grown <= 5
