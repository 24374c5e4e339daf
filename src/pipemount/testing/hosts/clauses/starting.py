"""``on_init`` once and ``on_cleanup`` once per process, however it starts and ends."""

from __future__ import annotations

from pathlib import Path

from ..clause import clause, expect, same
from ..pairs import Pair

__all__: list[str] = []


@clause(
    "20 first requests at once, then SIGTERM: `on_init` once and `on_cleanup` once per process",
    group="start and stop",
    alone=True,
    unless=lambda pair: "" if pair.server.orderly else f"{pair.server.name} lets nothing run at SIGTERM",
)
def first_requests(pair: Pair, folder: Path) -> None:
    with pair.start(folder) as running:
        replies = running.server.at_once(20, lambda: running.invoke("process"))
        same("statuses", {reply.status for reply in replies}, {200}, running)
        answered = {reply.json()["outputs"]["pid"] for reply in replies}
        running.server.terminate()
        started = running.noted("init")
        expect(answered <= set(started), f"{answered} answered, {set(started)} have started", running)
        same("starts of each process", set(started.values()), {1}, running)
        same("cleanups by process", running.noted("cleanup"), started, running)
