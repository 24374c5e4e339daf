"""The events of runs: one by one, soon, the same to every reader, and no run for a reader that has gone."""

from __future__ import annotations

import statistics
import time

from ..clause import clause, same
from ..client import OpenStream, Told
from ..pairs import Pair, Running
from ..process import wait_until

__all__: list[str] = []


def several_processes(pair: Pair) -> str:
    """Why a job cannot be read by another request."""
    if pair.server.workers == 1:
        return ""
    return f"{pair.server.name} has several processes, and jobs in memory are known to one"


@clause("events of a run arrive one by one: each before the next is produced", group="streams")
def one_by_one(running: Running) -> None:
    close_gates(running, "part", 10)
    with running.recite(parts=10, gate="part") as stream:
        same("status", stream.status, 200, running)
        for number in range(10):
            same("event", next_delta(stream).kind, "delta", running)
            running.open_gate(f"part-{number + 1}")
        same("the end", [told.kind for told in stream.all_told()], ["step_completed", "run_completed"], running)


def next_delta(stream: OpenStream) -> Told:
    """The next event that is no start."""
    while (told := stream.told()).kind.endswith("_started"):
        pass
    return told


def close_gates(running: Running, name: str, count: int) -> None:
    """As long as they are closed, parts wait there."""
    for number in range(count + 1):
        running.setup.gate(f"{name}-{number}").unlink(missing_ok=True)


@clause("how long an event takes from the step to the client, at the median", group="streams")
def flush(running: Running) -> str:
    with running.recite(parts=10) as stream:
        lags = [time.monotonic() - told.value for told in iter(stream.told, Told.of("")) if told.kind == "delta"]
    same("events", len(lags), 10, running)
    return f"{1000 * statistics.median(lags):.1f} ms"


@clause(
    "every reader of a run sees all its events: the one who asked for it, another, and one who comes when it has ended",
    group="streams",
    unless=several_processes,
)
def every_subscriber(running: Running) -> None:
    close_gates(running, "shared", 5)
    with running.recite(parts=5, gate="shared") as first:
        job_id = first.headers["x-run-id"]
        with running.follow(job_id) as second:
            same("status", second.status, 200, running)
            begun = [first.told(), first.told(), first.told()]
            same("the start, to another", [second.told() for _ in begun], begun, running)
            for number in range(1, 6):
                running.open_gate(f"shared-{number}")
            whole = [*begun, *first.all_told()]
            same("to another", [*begun, *second.all_told()], whole, running)
    same("numbers", [told.number for told in whole], list(range(1, len(whole) + 1)), running)
    with running.follow(job_id) as late:
        same("to one who comes late", late.all_told(), whole, running)


@clause(
    "a reader that is cut off comes back behind its last event: none is lost, none comes twice",
    group="streams",
    unless=several_processes,
)
def resume(running: Running) -> None:
    close_gates(running, "resumed", 6)
    with running.recite(parts=6, gate="resumed") as asking:
        job_id, told = asking.headers["x-run-id"], list[Told]()
        for number in range(1, 7):
            with running.follow(job_id, told[-1].number if told else None) as stream:  # left after each part
                told += [stream.told() for _ in range(1 if told else 3)]
            running.open_gate(f"resumed-{number}")
        whole = asking.all_told()
    with running.follow(job_id, told[-1].number) as stream:
        told += stream.all_told()
    same("what it has seen", told, whole, running)


@clause("three runs whose readers leave have been cancelled soon after", group="streams")
def aborted(running: Running) -> None:
    before = running.noted("recital ends").total()
    for _ in range(3):
        with running.recite(parts=100_000) as stream:
            same("first event", stream.told().kind, "run_started", running)
            same("next event", next_delta(stream).kind, "delta", running)
    wait_until(lambda: running.noted("recital ends").total() == before + 3)
