"""What is left of a server that is asked for more than it can do.

The load is open: requests are sent when they are due, whether earlier ones were answered or not, as those of many
people are. Each run computes for 20 ms outside of the loop and has a second from when it is sent.

scripts/benchmark overload            # all, a minute
scripts/benchmark overload --quick    # two seconds a load, to see that all is well
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from servers import CLIENT_CORE, Server, pin

__all__ = ["OverloadReport", "measure_overload"]

DEADLINE = 1.0
FACTORS = (1.0, 2.0, 4.0, 8.0)
SETTINGS = {"max_concurrency": 2, "max_queue": 8, "request_timeout": DEADLINE}
BODY = b'{"parameters":{"seed":7}}'
INVOKE = (
    b"POST /ai/invoke HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
) + BODY


def get(path: str) -> bytes:
    """A request."""
    return b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % path.encode()


@dataclass(slots=True)
class Seen:
    """Answers by status, with the seconds from when each was due; status 0 for none."""

    times: dict[int, list[float]] = field(default_factory=dict)

    def add(self, status: int, seconds: float) -> None:
        """One more."""
        self.times.setdefault(status, []).append(seconds)

    def p99(self, status: int) -> float:
        """Milliseconds; 0 where there are no such answers."""
        found = sorted(self.times.get(status, ()))
        return found[int(len(found) * 0.99)] * 1000 if found else 0.0

    def good(self) -> int:
        """Runs that were answered in time."""
        return sum(seconds <= DEADLINE for seconds in self.times.get(200, ()))

    def counts(self) -> Counter[int]:
        """By status."""
        return Counter({status: len(times) for status, times in self.times.items()})


class Connections:
    """Connections that are kept alive; as many as are needed at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body; 0 where the connection broke or nothing came within ten seconds."""
        try:
            async with asyncio.timeout(10):
                while self._idle and self._idle[-1][0].at_eof():  # the server has hung up after seconds of silence
                    self._idle.pop()[1].close()
                reader, writer = (
                    self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
                )
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(length)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return 0, b""
        self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1]), body

    def close(self) -> None:
        """All of them."""
        for _, writer in self._idle:
            writer.close()


async def offer(connections: Connections, rate: float, seconds: float) -> Seen:
    """Send ``rate`` requests a second."""
    seen, tasks = Seen(), set()

    async def one(due: float) -> None:
        status, _ = await connections.ask(INVOKE)
        seen.add(status, time.perf_counter() - due)

    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        task = asyncio.create_task(one(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(set(tasks))
    return seen


async def capacity(connections: Connections, seconds: float) -> float:
    """Runs a second with as many callers as places, each of whom asks again when it was answered."""
    until, done = time.perf_counter() + seconds, 0

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < until:
            status, _ = await connections.ask(INVOKE)
            done += status == 200

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(int(SETTINGS["max_concurrency"]))))
    return done / (time.perf_counter() - began)


async def probe(connections: Connections, seen: Seen) -> None:
    """The host's own endpoint, twenty times a second."""
    while True:
        due = time.perf_counter()
        status, _ = await connections.ask(get("/host"))
        seen.add(status, time.perf_counter() - due)
        await asyncio.sleep(max(0.0, due + 0.05 - time.perf_counter()))


async def recovery(connections: Connections) -> float:
    """Seconds until three runs in a row are answered as if nothing had been."""
    began, well = time.perf_counter(), 0
    while well < 3:
        due = time.perf_counter()
        status, _ = await connections.ask(INVOKE)
        well = well + 1 if status == 200 and time.perf_counter() - due < 0.2 else 0
    return time.perf_counter() - began


@dataclass(slots=True)
class Row:
    """What was found under one load.

    Attributes:
        factor: What was offered, as a multiple of the capacity.
        offered: Requests a second.
        goodput: Runs a second that were answered in time.
        late: Requests that were neither answered in time nor refused.
        refused, answered, host: 99 % were answered within so many milliseconds: 429, 200, and the host's own.
        recovered: Seconds after the last request until runs are answered as ever.
        lag: 99 % of the time the loop is so many milliseconds late at most.
    """

    factor: float
    offered: float
    goodput: float
    late: int
    refused: float
    answered: float
    host: float
    recovered: float
    lag: float


@dataclass
class OverloadReport:
    """A row for each load.

    Attributes:
        found: The rows.
        busy: The machine's load average before.
    """

    found: list[Row] = field(default_factory=list)
    busy: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.found)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """One load a row; the goals are the last."""
        yield (
            *("load", "offered/s", "in time/s", "of the peak", "admitted, late", "429 p99", "200 p99", "recovery"),
            *("host p99", "loop lag p99"),
        )
        peak = max(row.goodput for row in self.found)
        for row in self.found:
            yield (
                *(f"{row.factor:g} ×", f"{row.offered:.0f}", f"{row.goodput:.1f}", f"{row.goodput / peak:.0%}"),
                *(str(row.late), f"{row.refused:.0f} ms", f"{row.answered:.0f} ms", f"{row.recovered:.2f} s"),
                *(f"{row.host:.0f} ms", f"{row.lag:.0f} ms"),
            )
        yield "goal", "", "", "≥ 90 %", "0", "≤ 50 ms", "≤ 1,000 ms", "≤ 1 s", "≤ 50 ms", ""


def measure_overload(*, seconds: float = 10.0) -> OverloadReport:
    """All of it.

    Args:
        seconds: For each load.
    """
    os.environ["OVERLOAD_SETTINGS"] = json.dumps(SETTINGS)
    report, cores = OverloadReport(busy=os.getloadavg()[0]), os.sched_getaffinity(0)
    server = Server("overloaded:app", Path(sys.executable), ("/ai/invoke", BODY))
    pin(CLIENT_CORE)
    try:
        report.found = asyncio.run(_measure(server.port, seconds))
    finally:
        os.sched_setaffinity(0, cores)
        server.close()
    return report


async def _measure(port: int, seconds: float) -> list[Row]:
    connections, others = Connections(port), Connections(port)
    await capacity(connections, 1.0)
    able = await capacity(connections, seconds)
    rows = []
    for factor in FACTORS:
        await others.ask(get("/lag"))
        host = Seen()
        probing = asyncio.create_task(probe(others, host))
        seen = await offer(connections, able * factor, seconds)
        probing.cancel()
        recovered = await recovery(connections)
        lag = json.loads((await Connections(port).ask(get("/lag")))[1])
        late = sum(seen.counts().values()) - seen.counts()[429] - seen.good()
        row = Row(
            factor,
            able * factor,
            seen.good() / seconds,
            late,
            refused=seen.p99(429),
            answered=seen.p99(200),
            host=host.p99(200),
            recovered=recovered,
            lag=lag["p99"] * 1000,
        )
        print(f"overload: {factor:g} ×: {row.goodput:.1f} runs a second", file=sys.stderr)
        rows.append(row)
    connections.close()
    others.close()
    return rows
