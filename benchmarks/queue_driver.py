"""Submits the jobs of one queue and sees them end, in that library's own environment: ``python queue_driver.py NAME``.

Starts the workers, reads a JSON line per order, and answers each with a line, its times in seconds: ``{"do": "many",
"jobs": …}`` submits jobs as fast as it can, ``{"do": "one by one", "jobs": …}`` each when the one before has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

CALLERS = 16
"""Who submit at the same time, where many jobs are submitted."""

PATIENCE = 30.0
"""Seconds in which all jobs must have ended."""


class Driver:
    """The queue's client and its workers."""

    def __init__(self, name: str) -> None:
        self.module = importlib.import_module(f"queues.{name}")
        self.body = importlib.import_module("queues.body")
        self.client: Any = None
        self.workers: list[subprocess.Popen[bytes]] = []
        self.threads = ThreadPoolExecutor(CALLERS)
        self.number = 0

    async def open(self) -> dict[str, Any]:
        """Returns when the first jobs have ended; how many a second that was."""
        self.client = self.module.Client()
        await self._call("open")
        self._start_workers()
        await self.many(2)
        return await self.many(20)

    def _start_workers(self) -> None:
        with (self.body.FOLDER / "workers.log").open("ab") as log:
            for command in self.module.WORKERS:
                self.workers.append(subprocess.Popen([sys.executable, *command], stdout=log, stderr=log))

    async def close(self) -> None:
        """The workers end, then the client."""
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            try:
                worker.wait(15)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        await self._call("close")

    async def one_by_one(self, jobs: int) -> dict[str, Any]:
        """Each when the one before has ended and nothing else is to do: how long until it begins."""
        found: dict[str, list[float]] = {"submit": [], "begun": [], "event": []}
        for _ in range(jobs):
            before, began = len(self.body.done()), time.monotonic()
            job = await self._submit()
            found["submit"].append(time.monotonic() - began)
            if hasattr(self.client, "first_event"):
                await self.client.first_event(job)
                found["event"].append(time.monotonic() - began)
            while not (entries := self.body.done(before)):
                await asyncio.sleep(0.0005)
            found["begun"].append(entries[0][1] - began)
            await self._until_ended(time.monotonic() + PATIENCE)
            await asyncio.sleep(0.005)
        return found

    async def many(self, jobs: int) -> dict[str, Any]:
        """Submit them while the workers work, and see all end."""
        times: list[float] = []
        left = iter(range(jobs))
        began, cpu = time.monotonic(), self._cpu()

        async def caller() -> None:
            for _ in left:
                before = time.monotonic()
                await self._submit()
                times.append(time.monotonic() - before)

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        submitted = time.monotonic() - began
        await self._until_ended(began + PATIENCE)
        ended = time.monotonic() - began
        return {"jobs": jobs, "submit": times, "submitted": submitted, "ended": ended, "cpu": self._cpu() - cpu}

    async def _until_ended(self, deadline: float) -> None:
        while await self._ended() < self.number:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{await self._ended()} of {self.number} jobs ended in {PATIENCE:g} s")

    async def _ended(self) -> int:
        if hasattr(self.client, "ended"):
            return int(await self.client.ended())
        await asyncio.sleep(0.002)
        return len({number for number, _, _ in self.body.done()})

    async def _submit(self) -> Any:
        self.number += 1
        number = self.number
        if inspect.iscoroutinefunction(self.client.submit):
            return await self.client.submit(number)
        return await asyncio.get_running_loop().run_in_executor(self.threads, self.client.submit, number)

    async def _call(self, name: str) -> None:
        if (verb := getattr(self.client, name, None)) is not None:
            found = verb()
            if inspect.isawaitable(found):
                await found

    def _cpu(self) -> float:
        """Seconds of a processor that this process, the workers and theirs have used; the database's are not in it."""
        own = os.times()
        return own.user + own.system + sum(_cpu_of(worker.pid) for worker in self.workers)


def _cpu_of(pid: int) -> float:
    """Of a process and those that it has begun."""
    process = Path(f"/proc/{pid}")
    try:
        fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
        children = [int(child) for task in (process / "task").iterdir() for child in _children(task)]
    except OSError:  # it has ended
        return 0.0
    own = sum(int(each) for each in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return own + sum(_cpu_of(child) for child in children)


def _children(task: Path) -> list[str]:
    return (task / "children").read_text().split()


async def main(name: str, answers: Any) -> None:
    """Obey until there are no more orders."""
    driver = Driver(name)
    try:
        print(json.dumps(await driver.open()), file=answers, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            verb = {"one by one": driver.one_by_one, "many": driver.many}[order["do"]]
            print(json.dumps(await verb(order["jobs"])), file=answers, flush=True)
    except Exception as error:
        print(json.dumps({"reason": f"{type(error).__name__}: {error}"[:200]}), file=answers, flush=True)
    finally:
        await driver.close()


if __name__ == "__main__":
    own = os.fdopen(os.dup(1), "w")
    with contextlib.redirect_stdout(sys.stderr):  # what libraries print is no answer
        asyncio.run(main(sys.argv[1], own))
