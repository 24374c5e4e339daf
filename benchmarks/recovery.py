"""How long a job waits whose worker was killed: from ``kill -9`` until its step has begun again.

    python benchmarks/recovery.py

Three workers; the one that has a job is killed, and replaced. The job is begun again alone in a process, as every job
whose process has ended, so the start of a Python with the product in it is in the figure. Then the same with many jobs.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "src"))

from peers import HERE, PeerUnavailableError
from services import postgres

__all__ = ["RecoveryReport", "measure_recovery"]

KILLS = 20
LEASE = 5.0
"""Seconds, of the product in ``held.py``; 30 unless a product says otherwise."""

JOBS, TIMES = 48, 5
"""In three workers at the same time, and how often the one that has most of them is killed."""

LINGERS = 12.0
"""Seconds after which no process is left that is free for jobs that crashed."""

PATIENCE = 60.0


@dataclass
class RecoveryReport:
    """Seconds after each kill, by store and by what had happened."""

    found: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.found)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Half, and all."""
        yield "after `kill -9`", "half within, s", "all within, s", "times"
        for (store, what), found in self.found.items():
            yield f"{store}: {what}", f"{statistics.median(found):.2f}", f"{max(found):.2f}", str(len(found))


def measure_recovery(*, kills: int = KILLS) -> RecoveryReport:
    """Both stores."""
    report = RecoveryReport()
    with tempfile.TemporaryDirectory(prefix=".benchmark-", dir=HERE.parent) as name:
        folder = Path(name)
        _measure("SQLite", f"sqlite:///{folder}/jobs.db", folder / "sqlite", kills, report)
        try:
            with postgres() as url:
                _measure(f"PostgreSQL, a lease of {LEASE:g} s", url, folder / "postgres", kills, report)
        except PeerUnavailableError as error:
            print(f"no PostgreSQL: {error}", file=sys.stderr)
    return report


def _measure(store: str, url: str, folder: Path, kills: int, report: RecoveryReport) -> None:
    print(f"jobs, recovery: {store}", file=sys.stderr, flush=True)
    folder.mkdir()
    places = {"BENCHMARK_FOLDER": str(folder), "BENCHMARK_STORE": url}
    code = f"import asyncio, recovery; asyncio.run(recovery.kill_workers({kills}))"
    with _workers(3, places) as replace:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_environment(places),
            cwd=HERE,
        )
        assert process.stdout is not None
        for line in process.stdout:
            what, _, seconds = line.strip().rpartition(" ")
            if what == "killed":
                replace(int(seconds))
            else:
                report.found.setdefault((store, what), []).append(float(seconds))
        if process.wait():
            raise RuntimeError("the jobs of killed workers could not be measured; see above")


async def kill_workers(kills: int) -> None:
    """In a process with the product, which performs no jobs: print what was found, a line each."""
    body, held = importlib.import_module("queues.body"), importlib.import_module("held")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(held.pipelines.lifespan(None))
        for number in range(kills):
            accepted = await held.pipelines.submit(number=number)
            [(_, _, pid)] = await _until(partial(_begun, body, number, 1))
            await asyncio.sleep(0.1)  # its first events are in the store
            before = (await held.pipelines.get(accepted)).last_event
            os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()
            print("killed", pid, flush=True)
            async with contextlib.aclosing(held.pipelines.events(accepted, after=before)) as events:
                await anext(events)
            told = time.monotonic()
            entries = await _until(partial(_begun, body, number, 2))
            print("its step has begun again", entries[1][1] - killed, flush=True)
            print("a reader in another process has its next event", told - killed, flush=True)
        for time_ in range(TIMES):
            await _kill_one_of_three(body, held, 10_000 + time_ * JOBS)


async def _kill_one_of_three(body: Any, held: Any, first: int) -> None:
    """All have many jobs."""
    may_end = body.FOLDER / "all-may-end"
    may_end.unlink(missing_ok=True)
    numbers = range(first, first + JOBS)
    accepted = [await held.pipelines.submit(number=number) for number in numbers]
    found = {number: (await _until(partial(_begun, body, number, 1)))[0][2] for number in numbers}
    ((pid, _),) = Counter(found.values()).most_common(1)
    await asyncio.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    print("killed", pid, flush=True)
    for number in (number for number in numbers if found[number] == pid):
        entries = await _until(partial(_begun, body, number, 2))
        print("each of its thirty jobs or so has begun again", entries[1][1] - killed, flush=True)
    may_end.touch()
    for job in accepted:
        await held.pipelines.jobs.until_ended(job.id, None)
    await asyncio.sleep(LINGERS)


def _begun(body: Any, number: int, times: int) -> list[tuple[int, float, int]]:
    found = [entry for entry in body.done() if entry[0] == number]
    return found if len(found) >= times else []


async def _until(look: Callable[[], list[tuple[int, float, int]]]) -> list[tuple[int, float, int]]:
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing within {PATIENCE:g} s")
        await asyncio.sleep(0.02)  # when it was is written down by the job
    return found


@contextlib.contextmanager
def _workers(count: int, places: dict[str, str]) -> Iterator[Callable[[int], None]]:
    """So many; what is given takes one that was killed away and starts another."""
    running: dict[int, subprocess.Popen[bytes]] = {}

    def start() -> None:
        command = [sys.executable, "-m", "pipemount.cli", "worker", "held:pipelines"]
        with (Path(places["BENCHMARK_FOLDER"]) / "workers.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=_environment(places), cwd=HERE)
        running[process.pid] = process

    def replace(pid: int) -> None:
        running.pop(pid).wait()
        start()

    for _ in range(count):
        start()
    try:
        yield replace
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait(30)


def _environment(places: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **places, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent / "src")])}


if __name__ == "__main__":
    for row in measure_recovery().rows():
        print(" | ".join(row))
