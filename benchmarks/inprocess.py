"""Microseconds per request without a server: the ASGI callables driven directly, the tool for tuning the hot path.

    python benchmarks/inprocess.py                              # ours beside raw, medians of interleaved rounds
    python benchmarks/inprocess.py --only ours_direct --profile # where the time goes, by function

The scope is what uvicorn hands over for the requests of the benchmark, ``receive`` and ``send`` are coroutines that
do nothing, as cheap as they can be. Tuning is honest only with the servers' table beside it: what is saved here is
there divided by what the server itself costs.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import importlib
import json
import pstats
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

sys.path.append(str(Path(__file__).parents[1] / "src"))

from contenders import Contender, select
from servers import SERVER_CORE, headers, pin
from work import BODY, EXPECTED

DEFAULT = "raw,starlette_hand,fastapi_async,raw_mounted,ours_direct,ours_middleware,ours_wrapped,ours_mounted,ours_sync"
MESSAGE = {"type": "http.request", "body": BODY, "more_body": False}


class Driver:
    """One application, started by its lifespan, and one request that can be sent to it again and again."""

    def __init__(self, contender: Contender) -> None:
        self.name = contender.name
        self.app = importlib.import_module(f"contenders.{contender.name}").app
        self.path = contender.path
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers().items()]
        self.headers += [(b"host", b"127.0.0.1:8000"), (b"content-length", b"%d" % len(BODY))]
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Send the lifespan's startup, and see that a request is answered as it should be."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        started = asyncio.Event()

        async def send(message: dict[str, Any]) -> None:
            started.set()

        self.lifespan = asyncio.ensure_future(self.app(scope, self.messages.get, send))
        self.lifespan.add_done_callback(lambda _: started.set())
        self.messages.put_nowait({"type": "lifespan.startup"})
        await started.wait()
        sent: list[dict[str, Any]] = []

        async def collect(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(self.scope(), receive, collect)
        answer = b"".join(message.get("body", b"") for message in sent)
        if sent[0]["status"] != 200 or EXPECTED not in str(json.loads(answer)):
            raise SystemExit(f"{self.name} answered {sent[0]['status']} {answer!r}")

    async def stop(self) -> None:
        """Send the lifespan's shutdown."""
        self.messages.put_nowait({"type": "lifespan.shutdown"})
        await asyncio.gather(self.lifespan, return_exceptions=True)

    def scope(self) -> dict[str, Any]:
        """A fresh scope, as uvicorn makes one per request."""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 50000),
            "scheme": "http",
            "method": "POST",
            "root_path": "",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "headers": self.headers.copy(),
            "state": self.state.copy(),
        }

    async def drive(self, count: int) -> float:
        """Microseconds per request, the making of the scope (about 1) included, as a server makes one each time."""
        app, scope = self.app, self.scope
        began = time.perf_counter()
        for _ in range(count):
            await app(scope(), receive, send)
        return (time.perf_counter() - began) / count * 1e6


async def receive() -> dict[str, Any]:
    return MESSAGE


async def send(message: dict[str, Any]) -> None:
    pass


async def main(options: argparse.Namespace) -> None:
    drivers = [Driver(c) for c in select(options.only) if not c.peer]
    for driver in drivers:
        await driver.start()
    if options.profile:
        await profile(drivers[-1], options.count)
    else:
        await compare(drivers, options.count, options.rounds)
    for driver in drivers:
        await driver.stop()


async def compare(drivers: list[Driver], count: int, rounds: int) -> None:
    found: dict[str, list[float]] = {driver.name: [] for driver in drivers}
    for _ in range(rounds + 1):
        for driver in drivers:
            gc.collect()
            found[driver.name].append(await driver.drive(count))
    raw = statistics.median(found["raw"][1:])
    for name, times in found.items():
        took = statistics.median(times[1:])
        print(f"{name:18} {took:8.2f} us   raw {took - raw:+8.2f} us   best {min(times):8.2f} us")


async def profile(driver: Driver, count: int) -> None:
    await driver.drive(1000)
    profiler = cProfile.Profile()
    profiler.enable()
    await driver.drive(count)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Microseconds per request without a server.")
    parser.add_argument("--only", default=DEFAULT, help="contenders, comma-separated")
    parser.add_argument("--count", type=int, default=3000, help="requests per contender and round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--profile", action="store_true", help="profile the last of them instead")
    pin(SERVER_CORE)
    uvloop.run(main(parser.parse_args()))
