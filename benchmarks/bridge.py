"""The bridge from WSGI to ASGI beside a2wsgi, in one process: no server, no network.

    python benchmarks/bridge.py                 # five rounds, half a minute
    python benchmarks/bridge.py --rounds 1

Both stand in front of the same ASGI app and are called as a server would call them. The rounds are interleaved; what is
told is the median over them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import io
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "src"))

from work import BODY

from pipemount import PipelineApp, pipeline, step
from pipemount.bridge import WSGIBridge

__all__ = ["BridgeReport", "measure_bridge"]

THREADS = 16
PARTS = 200

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    await send(START)
    await send({"type": "http.response.body", "body": message["body"]})


async def stream(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    for _ in range(PARTS):
        await send({"type": "http.response.body", "body": b"x" * 64, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@step
def process_weather(city: str, temperature: float) -> str:
    return f"The weather in {city} is {temperature} degrees Celsius."


@pipeline
def weather(city: str = "Paris", temperature: float = 25.0) -> Any:
    return process_weather(city, temperature)


def environ(path: str, body: bytes) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "40000",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": "127.0.0.1:8000",
        "HTTP_ACCEPT": "*/*",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def call(app: Wsgi, path: str = "/", body: bytes = b"x" * 100) -> bytes:
    """One request, as a server makes it."""
    started: list[str] = []
    answered = app(environ(path, body), lambda status, headers, exc_info=None: started.append(status))
    try:
        whole = b"".join(answered)
    finally:
        if (close := getattr(answered, "close", None)) is not None:
            close()
    if started != ["200 OK"]:
        raise ValueError(f"answered {started} {whole!r:.200}")
    return whole


def latency(app: Wsgi, seconds: float, **request: Any) -> float:
    """Microseconds, the median of calls one after the other."""
    took, end = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        call(app, **request)
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e6


def throughput(app: Wsgi, seconds: float) -> float:
    """Microseconds per call, with threads side by side."""
    counts: list[int] = []
    end = time.perf_counter() + seconds

    def work() -> None:
        count = 0
        while time.perf_counter() < end:
            call(app)
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds * 1e6 / sum(counts)


@dataclass(frozen=True)
class Case:
    """What is measured, and of which app."""

    title: str
    app: Any
    measure: Callable[[Wsgi, float], float]


def cases() -> list[Case]:
    pipelines = PipelineApp(weather)
    call(pipelines.wsgi, "/invoke", BODY)
    return [
        Case("a call, 100 bytes there and back", echo, latency),
        Case(f"the same from {THREADS} threads, per call", echo, throughput),
        Case(f"a response in {PARTS} parts", stream, latency),
        Case(
            "a pipeline of one sync step",
            pipelines,
            lambda app, seconds: latency(app, seconds, path="/invoke", body=BODY),
        ),
    ]


@dataclass
class BridgeReport:
    """What was found.

    Attributes:
        found: By case: ours and a2wsgi's, microseconds, one per round.
        rounds: How many medians are over.
        reason: Why there is nothing to compare with.
    """

    found: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    rounds: int = 0
    reason: str = ""

    def __bool__(self) -> bool:
        return bool(self.found)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Microseconds; the last column is the median of the ratios within the rounds."""
        yield "µs", "the bridge", "a2wsgi", "a2wsgi / the bridge"
        for title, (ours, theirs) in self.found.items():
            ratio = statistics.median(other / own for own, other in zip(ours, theirs, strict=True)) if theirs else None
            yield (
                title,
                f"{statistics.median(ours):,.0f}",
                f"{statistics.median(theirs):,.0f}" if theirs else "-",
                f"{ratio:.1f}" if ratio else "-",
            )

    def notes(self) -> Iterable[str]:
        """The version, or why it is not there."""
        yield self.reason or f"a2wsgi {importlib.metadata.version('a2wsgi')}."


def measure_bridge(*, rounds: int = 5, seconds: float = 0.5) -> BridgeReport:
    """Every case over both bridges, in interleaved rounds."""
    report = BridgeReport(rounds=rounds)
    try:
        from a2wsgi import ASGIMiddleware
    except ImportError:
        report.reason = "a2wsgi is not in the table: it is not installed."
        ASGIMiddleware = None  # noqa: N806  the class, or nothing
    contestants = [
        (case, WSGIBridge(case.app), ASGIMiddleware and ASGIMiddleware(case.app), ([], [])) for case in cases()
    ]
    for turn in range(rounds):
        print(f"bridge, round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
        for case, ours, theirs, found in contestants:
            for app, times in zip((ours, theirs), found, strict=True):
                if app is not None:
                    case.measure(app, seconds / 10)  # warm
                    times.append(case.measure(app, seconds))
            report.found[case.title] = found
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description="The bridge beside a2wsgi.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="per case, bridge and round")
    options = parser.parse_args()
    found = measure_bridge(rounds=options.rounds, seconds=options.seconds)
    rows = list(found.rows())
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for name, *cells in rows:
        print(name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)))
    print(*found.notes(), sep="\n")


if __name__ == "__main__":
    main()
