"""``scripts/benchmark overload``: what is left of a server that is asked for more than it can do.

The load is open: requests are sent when they are due, whether earlier ones were answered or not, as those of many
people are. Each run computes for 20 ms outside of the loop and has a second from when it is sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from sys import executable
from typing import Any

from servers import CLIENT_CORE, Server, pin

__all__ = ["main"]

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


async def measure(port: int, seconds: float, factors: Sequence[float]) -> list[dict[str, Any]]:
    """A row for each load."""
    connections, others = Connections(port), Connections(port)
    await capacity(connections, 1.0)
    able = await capacity(connections, seconds)
    rows = []
    for factor in factors:
        await others.ask(get("/lag"))
        host = Seen()
        probing = asyncio.create_task(probe(others, host))
        seen = await offer(connections, able * factor, seconds)
        probing.cancel()
        recovered = await recovery(connections)
        lag = json.loads((await Connections(port).ask(get("/lag")))[1])
        rows.append(
            {
                "load": factor,
                "offered": able * factor,
                "goodput": seen.good() / seconds,
                "late": sum(seen.counts().values()) - seen.counts()[429] - seen.good(),
                "429 p99": seen.p99(429),
                "200 p99": seen.p99(200),
                "recovery": recovered,
                "host p99": host.p99(200),
                "lag p99": lag["p99"] * 1000,
            }
        )
    connections.close()
    others.close()
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    peak = max(row["goodput"] for row in rows)
    lines = [
        "| load | offered/s | answered in time/s | of the peak | admitted and late | 429 p99 | 200 p99 | recovery "
        "| host p99 | loop lag p99 |",
        "|---:|" + "---:|" * 9,
    ]
    for row in rows:
        lines.append(
            f"| {row['load']:g} × | {row['offered']:.0f} | {row['goodput']:.1f} | {row['goodput'] / peak:.0%} "
            f"| {row['late']} | {row['429 p99']:.0f} ms | {row['200 p99']:.0f} ms | {row['recovery']:.2f} s "
            f"| {row['host p99']:.0f} ms | {row['lag p99']:.0f} ms |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="per load (default 10)")
    parser.add_argument("--settings", type=json.loads, default=SETTINGS, help="of the app, as JSON")
    options = parser.parse_args(arguments)
    os.environ["OVERLOAD_SETTINGS"] = json.dumps(options.settings)
    server = Server("overloaded:app", Path(executable), ("/ai/invoke", BODY))
    try:
        pin(CLIENT_CORE)
        print(f"Settings({', '.join(f'{name}={value!r}' for name, value in options.settings.items())})\n")
        print(table(asyncio.run(measure(server.port, options.seconds, FACTORS))))
    finally:
        server.close()


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
