"""Steps have threads of their own: the host's pages do not wait for them. And the host's own code asks pipelines."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from ..clause import clause, same
from ..pairs import Pair, Running
from ..process import wait_until

__all__: list[str] = []

MANY = 120


def few_threads(pair: Pair) -> str:
    """Why it cannot hold many requests at the same time."""
    at_once = pair.server.at_once * pair.server.workers
    return f"{pair.server.name} as started here handles {at_once} requests at the same time" if at_once else ""


@clause(
    f"the host's page answers while {MANY} steps block; how long it takes, at the median",
    group="threads",
    unless=few_threads,
)
def blocking(running: Running) -> str:
    before = running.noted("held").total()
    running.setup.gate("hold").unlink(missing_ok=True)
    with ThreadPoolExecutor(MANY) as threads:
        held = [threads.submit(running.invoke, "hold") for _ in range(MANY)]
        try:
            wait_until(lambda: running.noted("held").total() == before + MANY)
            taken = [_seconds(running) for _ in range(20)]
        finally:
            running.open_gate("hold")
        same("answers", {reply.result().status for reply in held}, {200}, running)
    return f"{1000 * statistics.median(taken):.1f} ms"


def _seconds(running: Running) -> float:
    began = time.monotonic()
    same("the host's page", running.page().status, 200, running)
    return time.monotonic() - began


@clause("`run_sync` from a view of the host's", group="own code")
def run_sync_view(running: Running) -> None:
    reply = running.page("/run-sync")
    same("answer", (reply.status, reply.body), (200, b"Hello, Ada!"), running)


@clause("`run_sync` from a thread", group="own code")
def run_sync_thread(running: Running) -> None:
    reply = running.page("/run-sync-thread")
    same("answer", (reply.status, reply.body), (200, b"Hello, Ada!"), running)


@clause("`run_sync` on the home loop is refused, with the way out", group="own code")
def run_sync_home(running: Running) -> None:
    reply = running.get("/-/home-loop")
    same("status", reply.status, 200, running)
    same("answer", reply.json().partition(":")[0], "refused", running)
