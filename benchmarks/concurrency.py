"""Demonstrations on a real server: what blocking steps do to each other and to the host."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from sys import executable

from servers import Server

__all__ = ["demonstrate"]


def demonstrate() -> dict[str, float]:
    """Seconds by what was tried."""
    server = Server("demo:app", Path(executable), ("/host", b""), core=None)
    try:
        return {
            "16 concurrent requests to a 0.5 s sync step, until the last answer": _sixteen(server),
            "one request to three independent 0.4 s sync steps": _three(server),
            "120 blocking 0.5 s steps under way, the host's slowest answer": _probe(server, _blocking),
            "the same 120 as FastAPI `def` endpoints, the host's slowest answer": _probe(server, _by_hand),
        }
    finally:
        server.close()


def _blocking(server: Server, value: int) -> None:
    body = json.dumps({"parameters": {"value": value}}).encode()
    status, answer = server.request("/ai/pipelines/blocking/invoke", body, timeout=30)
    if status != 200 or json.loads(answer)["outputs"] != {"value": value}:
        raise SystemExit(f"request {value} was answered {status} {answer!r}")


def _by_hand(server: Server, value: int) -> None:
    server.request("/by-hand", b"{}", timeout=30)


def _sixteen(server: Server) -> float:
    with ThreadPoolExecutor(16) as clients:
        began = time.perf_counter()
        for done in [clients.submit(_blocking, server, value) for value in range(16)]:
            done.result()
        return time.perf_counter() - began


def _three(server: Server) -> float:
    began = time.perf_counter()
    status, _ = server.request("/ai/pipelines/three/invoke", b'{"parameters":{"value":1}}')
    if status != 200:
        raise SystemExit(f"the three steps were answered {status}")
    return time.perf_counter() - began


def _probe(server: Server, work: Callable[[Server, int], None]) -> float:
    with _under_way(server, work) as running:
        worst = 0.0
        while not all(done.done() for done in running):
            began = time.perf_counter()
            server.request("/host", timeout=30)
            worst = max(worst, time.perf_counter() - began)
            time.sleep(0.02)
        return worst


@contextmanager
def _under_way(server: Server, work: Callable[[Server, int], None]) -> Iterator[list[Future[None]]]:
    with ThreadPoolExecutor(120) as clients:
        running = [clients.submit(work, server, value) for value in range(120)]
        time.sleep(0.2)  # until all have been sent: the probe is about the steps, not about connecting
        yield running
        for done in running:
            done.result()


if __name__ == "__main__":
    for what, took in demonstrate().items():
        print(f"{what:70} {took:.3f} s")
