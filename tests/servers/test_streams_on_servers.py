"""Streams over real sockets: on every server, through the hosts' middleware, dropped, resumed, not read, drained."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import random
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers.streaming import FORGED
from tests.support.events import EventReader, Told
from tests.support.servers import Server, serve, wait_until

pytestmark = pytest.mark.server

UVICORN = ("uvicorn", "--log-level", "warning", "--port", "{port}")
HYPERCORN = ("hypercorn", "--bind", "127.0.0.1:{port}")
GRANIAN = ("granian", "--interface", "asgi", "--no-access-log", "--port", "{port}")
GTHREAD = ("gunicorn", "--threads", "8", "--bind", "127.0.0.1:{port}", "--no-control-socket")
PAIRS = {
    "uvicorn": (UVICORN, "app"),
    "uvicorn, other middleware": (UVICORN, "middled"),
    "uvicorn, FastAPI": (UVICORN, "included"),
    "uvicorn, Django": (UVICORN, "django_asgi"),
    "hypercorn": (HYPERCORN, "app"),
    "granian": (GRANIAN, "app"),
    "gunicorn, Flask": (GTHREAD, "flask"),
    "gunicorn, Django": (GTHREAD, "django_wsgi"),
}
ASGI = ("uvicorn", "hypercorn", "granian")
LIMIT = 30.0


class Product(Server):
    """A server with what the program noted."""

    folder: Path

    def notes(self, event: str) -> list[dict[str, Any]]:
        path = self.folder / "notes"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [each for each in found if each["event"] == event]


@contextlib.contextmanager
def running(pair: str, folder: Path) -> Iterator[Product]:
    command, name = PAIRS[pair]
    target = f"tests.servers.streaming:{name}"
    with serve([*command, target], folder=folder, env={"STREAMING_NOTES": str(folder / "notes")}) as server:
        server.__class__ = Product
        assert isinstance(server, Product)
        server.folder = folder
        yield server


@pytest.fixture(scope="module")
def uvicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with running("uvicorn", tmp_path_factory.mktemp("uvicorn")) as server:
        yield server


class Stream:
    """A stream that is read from a socket of its own."""

    def __init__(self, port: int, target: str, parameters: Any = None, **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if parameters is None:
            self.connection.request("GET", target, headers=named)
        else:
            body = json.dumps({"parameters": parameters}).encode()
            self.connection.request("POST", target, body, {"content-type": "application/json", **named})
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.read()
        self.job_id = self.response.headers["x-run-id"]
        self.reader = EventReader()
        self._inflate = zlib.decompressobj(31) if self.response.headers["content-encoding"] == "gzip" else None
        self._told: list[Told] = []

    def next(self) -> Told | None:
        while not self._told:
            part = self.response.read1()
            if not part:
                return None
            self._told += self.reader.feed(part if self._inflate is None else self._inflate.decompress(part))
        return self._told.pop(0)

    def until(self, kind: str) -> Told:
        for told in iter(self.next, None):
            if told.type == kind:
                return told
        raise AssertionError(f"the stream ended without {kind}")

    def close(self) -> None:
        self.response.close()
        self.connection.close()


def begin(server: Server, pipeline: str, **parameters: Any) -> Stream:
    return Stream(server.port, f"/pipelines/{pipeline}/invoke?mode=stream", parameters)


def follow(server: Server, job_id: str, **headers: str) -> Stream:
    return Stream(server.port, f"/jobs/{job_id}/events", **headers)


# ---------------------------------------------------------------------------------------- H5: buffered


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_h5_each_event_comes_before_the_next_one_is_made(pair: str, encoding: str, tmp_path: Path) -> None:
    """No word is said before the client has the one before it: a stream that is held back anywhere stands still."""
    with running(pair, tmp_path) as server:
        stream = Stream(server.port, "/pipelines/gated/invoke?mode=stream", {"count": 5}, accept_encoding=encoding)
        stream.until("step_started")
        for number in range(5):
            (tmp_path / f"word-{number}").touch()
            assert stream.until("delta").json()["data"]["value"] == f"word {number}"
        assert [each.type for each in iter(stream.next, None)] == ["step_completed", "run_completed"]
        if pair == "uvicorn, other middleware":
            assert stream.response.headers["x-passed"] == "yes"
            assert stream.response.headers["content-encoding"] is None
        stream.close()
        server.terminate()


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
    return told, breaks


async def test_h4_two_hundred_readers_dropped_and_resumed_lose_nothing(uvicorn: Product) -> None:
    owner = await asyncio.to_thread(begin, uvicorn, "much", count=60, pause=0.01)
    chance = random.Random(4)
    readers = [_read_in_pieces(uvicorn.port, owner.job_id, random.Random(chance.random())) for _ in range(200)]
    found = await asyncio.gather(*readers)
    whole = await asyncio.to_thread(lambda: list(iter(owner.next, None)))
    owner.close()

    assert [each.id for each in whole] == [str(number) for number in range(1, len(whole) + 1)]
    assert [each.json()["data"]["value"] for each in whole if each.type == "delta"] == [
        f"{number} {FORGED}" for number in range(60)
    ]
    assert sum(breaks for _, breaks in found) > 600
    assert all(told == whole for told, _ in found)  # none lost, none twice, none forged


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


@pytest.mark.parametrize("pair", ASGI)
def test_h3_a_client_that_closes_its_socket_cancels_its_run(pair: str, tmp_path: Path) -> None:
    with running(pair, tmp_path) as server:
        stream = begin(server, "waiting")
        stream.until("step_started")
        wait_until(lambda: bool(server.notes("waits")))
        stream.close()
        left = time.monotonic()
        wait_until(lambda: bool(server.notes("stopped")))

        watcher = follow(server, stream.job_id)
        assert watcher.until("run_cancelled").json()["data"]
        watcher.close()
        print(f"{pair}: cancelled {(server.notes('stopped')[0]['time'] - left) * 1000:.1f} ms after the client left")
        server.terminate()


# --------------------------------------------------------------------------------------- D6: slow readers


def resident(server: Server) -> float:
    """MiB."""
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the kernel does not tell VmRSS")


@pytest.mark.parametrize("pair", ["uvicorn", pytest.param("hypercorn", marks=pytest.mark.full)])
def test_d6_a_reader_that_reads_nothing_costs_little_and_holds_nobody_up(pair: str, tmp_path: Path) -> None:
    with running(pair, tmp_path) as server:
        for stream in [begin(server, "much", count=300, size=65536)]:  # so that what is lasting is there
            stream.until("run_completed")
            stream.close()
        with socket.create_connection(("127.0.0.1", server.port)) as idle:
            idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            body = b'{"parameters": {"count": 3000, "size": 65536}}'
            target = b"POST /pipelines/much/invoke?mode=stream HTTP/1.1\r\nHost: localhost\r\n"
            length = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            before = resident(server)
            idle.sendall(target + length + body)
            head = idle.recv(1024)  # and no more
            job_id = head.partition(b"x-run-id: ")[2].partition(b"\r\n")[0].decode()
            good = follow(server, job_id)
            assert good.until("run_completed")  # 200 MB were said
            good.close()
            grown = resident(server) - before
        print(f"{pair}: +{grown:.1f} MiB")
        assert grown < 16  # 5 in quiet; what was said is ten times as much
        server.terminate()


# ------------------------------------------------------------------------------------------- L3: drain


@pytest.mark.parametrize("pair", ASGI)
def test_l3_a_hundred_streams_end_with_a_last_word_when_the_server_stops(pair: str, tmp_path: Path) -> None:
    with running(pair, tmp_path) as server:
        owner = begin(server, "waiting")
        streams = [owner, *(follow(server, owner.job_id) for _ in range(99))]
        for stream in streams:
            stream.until("step_started")
        began = time.monotonic()
        server.process.terminate()
        for stream in streams:
            assert stream.until("reconnect").json() == {"reason": "draining"}
            assert (stream.reader.last_id, stream.next()) == ("2", None)
            stream.close()
        server.wait_for_end()
        print(f"{pair}: ended after {time.monotonic() - began:.2f} s")
        assert "Traceback" not in server.log
