"""Rows H3 and D5 of the hardening matrix over real sockets: callers who leave, and bodies that trickle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from tests.support.servers import Server, serve, wait_until

pytestmark = pytest.mark.server

UVICORN = ("uvicorn", "--log-level", "warning", "--port", "{port}")
HYPERCORN = ("hypercorn", "--bind", "127.0.0.1:{port}")
GRANIAN = ("granian", "--interface", "asgi", "--no-access-log", "--port", "{port}")
SERVERS = [
    pytest.param(UVICORN, id="uvicorn"),
    pytest.param(HYPERCORN, id="hypercorn", marks=pytest.mark.full),
    pytest.param(GRANIAN, id="granian", marks=pytest.mark.full),
]
NEIGHBOURS = 4
"""What others on the machine may slow us down by; it holds for what most take, not for what one does."""


class Limited(Server):
    """The server, and what its steps have noted."""

    notes: Path

    def noted(self, name: str) -> float:
        """When it was."""
        wait_until((self.notes / name).exists)
        return float((self.notes / name).read_text())

    def invoke(self, pipeline: str, name: str) -> socket.socket:
        """A request whose run has begun."""
        body = json.dumps({"parameters": {"name": name}})
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        head = f"POST /ai/{pipeline}/invoke HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        self.noted(f"{name}-begun")
        return connection

    def places(self) -> dict[str, int]:
        told = self.get("/ai/status").json()["concurrency"]
        return {name: told[name] for name in ("active", "cancelling")}

    def results(self, pipeline: str) -> dict[str, int]:
        found: dict[str, int] = self.get("/ai/status").json()["pipelines"][pipeline]["runs"]
        return {result: count for result, count in found.items() if count}


@contextlib.contextmanager
def limited(command: tuple[str, ...], notes: Path, **settings: Any) -> Iterator[Limited]:
    environment = {"NOTES": str(notes), "SETTINGS": json.dumps(settings)}
    with serve([*command, "tests.servers.limited:app"], folder=notes, env=environment) as server:
        server.__class__ = Limited
        assert isinstance(server, Limited)
        server.notes = notes
        yield server
        assert "Traceback" not in server.log


@pytest.mark.parametrize("command", SERVERS)
def test_h3_a_socket_that_closes_cancels_the_run(command: tuple[str, ...], tmp_path: Path) -> None:
    with limited(command, tmp_path) as server:
        delays = []
        for number in range(5):
            connection = server.invoke("waiting", f"run{number}")
            closed = time.monotonic()
            connection.close()
            delays.append(server.noted(f"run{number}-cancelled") - closed)
        wait_until(lambda: server.places() == {"active": 0, "cancelling": 0})
        assert server.results("waiting") == {"cancellation": 5}, "it is recorded"
        assert min(delays) <= 0.25
        assert median(delays) <= 0.25 * NEIGHBOURS

        server.invoke("holding", "thread").close()
        server.noted("thread-cancelled")  # context.cancelled
        wait_until(lambda: server.places() == {"active": 1, "cancelling": 1})
        (tmp_path / "thread-go").touch()
        wait_until(lambda: server.places() == {"active": 0, "cancelling": 0})
        assert server.results("holding") == {"cancellation": 1}
        assert not list(tmp_path.glob("*-after")), "the next step never begins"


@pytest.mark.parametrize("command", SERVERS)
def test_h3_a_run_may_go_on_to_its_end(command: tuple[str, ...], tmp_path: Path) -> None:
    with limited(command, tmp_path, invoke_disconnect="continue") as server:
        server.invoke("waiting", "run").close()
        time.sleep(0.3)  # as long as it took to be cancelled
        assert server.places() == {"active": 1, "cancelling": 0}
        (tmp_path / "run-go").touch()
        server.noted("run-after")
        wait_until(lambda: server.places() == {"active": 0, "cancelling": 0})
        assert server.results("waiting") == {"success": 1}
        assert not (tmp_path / "run-cancelled").exists()


# -------------------------------------------------------------------------------------------- slow bodies


async def trickle(port: int, path: str) -> tuple[int, float]:
    """A body of one byte a second, until the server hangs up: the status of the answer, and when it came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n".encode()
    )
    began = time.monotonic()
    answer = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
    while not answer.done():
        writer.write(b" ")
        await asyncio.wait([answer], timeout=1.0)
    took = time.monotonic() - began
    head = (await answer).lower()
    assert b"connection: close" in head
    with contextlib.suppress(ConnectionResetError):  # by a byte that came when it had hung up
        told = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        assert json.loads(told)["code"] == "request-timeout"
        assert await reader.read() == b""
    writer.close()
    return int(head.split()[1]), took


async def probe(port: int, path: str, delays: list[float]) -> None:
    """One connection that is kept, asked twenty times a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            began = time.monotonic()
            writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            assert head.startswith(b"HTTP/1.1 200"), head
            delays.append(time.monotonic() - began)
            await asyncio.sleep(0.05)
    finally:
        writer.close()


def p99(delays: list[float]) -> float:
    return sorted(delays)[int(len(delays) * 0.99)]


@pytest.mark.parametrize(
    ("callers", "timeout"), [(100, 2.0), pytest.param(1000, 30.0, marks=[pytest.mark.full, pytest.mark.timeout(300)])]
)
def test_d5_bodies_that_trickle_are_408_and_probes_are_unhurt(callers: int, timeout: float, tmp_path: Path) -> None:
    quiet: dict[str, list[float]] = {"/host": [], "/ai/health/live": []}
    under: dict[str, list[float]] = {path: [] for path in quiet}

    async def measure(port: int) -> list[tuple[int, float]]:
        for found, seconds in ((quiet, timeout / 2), (under, 0.0)):
            probes = [asyncio.create_task(probe(port, path, found[path])) for path in found]
            await asyncio.sleep(seconds)
            answers = []
            if found is under:
                paths = ("/ai/waiting/invoke", "/ai/waiting/submit", "/ai/waiting/batch")
                answers = await asyncio.gather(*(trickle(port, paths[n % 3]) for n in range(callers)))
            assert not any(task.done() for task in probes)
            for task in probes:
                task.cancel()
            await asyncio.wait(probes)
        return answers

    with limited(UVICORN, tmp_path, body_timeout=timeout, max_concurrency=4, max_queue=2000) as server:
        answers = asyncio.run(measure(server.port))
        assert server.places() == {"active": 0, "cancelling": 0}
    times = [took for _, took in answers]
    print("p99:", {path: (p99(quiet[path]), p99(under[path])) for path in quiet}, "408:", min(times), max(times))
    assert {status for status, _ in answers} == {408}
    assert min(times) >= timeout - 1
    assert median(times) <= timeout + 1
    for path, delays in under.items():
        assert p99(delays) <= max(2 * p99(quiet[path]), 0.05 * NEIGHBOURS)
