"""A store in a process of its own, that a test can ask, stop and kill."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import sleep
from typing import IO, Any

from pipemount import Settings
from pipemount.jobs.models import Claim
from pipemount.jobs.sqlite import SQLiteStore
from pipemount.jobs.sqlite.transaction import Transaction

__all__ = ["Remote", "remote"]

ROOT = Path(__file__).parents[2]


class Remote:
    """The store of a child process. What it is asked goes through pipes; one thing at a time."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.remote", str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._send(settings)

    async def __call__(self, verb: str, *arguments: Any) -> Any:
        """What the store's verb gives, or raises."""
        self._send((verb, arguments))
        return await self.answer()

    def _send(self, what: Any) -> None:
        assert self._process.stdin is not None
        pickle.dump(what, self._process.stdin)  # our own bytes
        self._process.stdin.flush()

    def begin(self, verb: str, *arguments: Any) -> None:
        """As a call, but for the answer."""
        self._send((verb, arguments))

    async def answer(self) -> Any:
        """Of what was begun."""
        assert self._process.stdout is not None
        answer = await asyncio.to_thread(pickle.load, self._process.stdout)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def kill(self) -> None:
        """As ``kill -9`` does."""
        self._process.kill()
        await asyncio.to_thread(self._process.wait)

    def pause(self) -> None:
        """As ``kill -STOP`` does; returns when it stands still."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        """After ``pause``."""
        self._process.send_signal(signal.SIGCONT)

    async def end(self) -> None:
        """If it is not at its end yet. Its store is not closed."""
        await self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


@asynccontextmanager
async def remote(path: Path, **settings: Any) -> AsyncIterator[Remote]:
    """A child process whose store is open."""
    child = Remote(path, settings)
    try:
        assert await child.answer() == "open"
        yield child
    finally:
        await child.end()


# ------------------------------------------------------------------------------------------ the child


class Child:
    """What a child can be asked beside the verbs of its store."""

    def __init__(self, store: SQLiteStore, out: IO[bytes]) -> None:
        self._store, self._out = store, out

    def tell(self, answer: Any) -> None:
        pickle.dump(answer, self._out)
        self._out.flush()

    async def submit_all(self, requests: list[Any]) -> list[Any]:
        return await asyncio.gather(*(self._store.submit(request) for request in requests))

    async def claim_all(self, worker: str, count: int) -> list[Any]:
        leases: list[Any] = []
        while found := await self._store.claim(Claim(worker, ["sum"], count)):
            leases += found
        return leases

    async def flood(self, requests: list[Any]) -> None:
        """Submit one after the other, and tell of each that was accepted."""
        for request in requests:
            await self._store.submit(request)
            self.tell(request.job_id)

    async def hang(self, request: Any) -> None:
        """Write half of something, and come to no end."""

        def half(transaction: Transaction) -> None:
            transaction.insert("events", {"job": 1, "sequence": 77, "kind": "delta", "size": 2, "body": b"{}"})
            transaction.payloads.put(transaction.connection, 1, "half", b"x" * 1_000_000)
            self.tell("inside")
            sleep(600)

        assert self._store._writer is not None
        await self._store._writer.do(half)


async def serve(path: Path) -> None:
    settings = Settings(**pickle.load(sys.stdin.buffer))
    store = SQLiteStore(path, settings)
    await store.open()
    child = Child(store, sys.stdout.buffer)
    child.tell("open")
    while True:
        verb, arguments = await asyncio.to_thread(pickle.load, sys.stdin.buffer)
        try:
            answer = await getattr(child if hasattr(child, verb) else store, verb)(*arguments)
        except Exception as error:
            answer = error
        child.tell(answer)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
