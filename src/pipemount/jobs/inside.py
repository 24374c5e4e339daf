"""A process for jobs that are performed alone, ``python -m pipemount.jobs.inside``, from within; see ``room``."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, Self

from .room import BEGUN, FREE, UNABLE

__all__ = ["load", "main"]

logger = logging.getLogger("pipemount")

LINGER = 10.0
"""Seconds that it waits for another job: when one process has crashed, others may."""


def main(arguments: list[str]) -> int:
    """Perform a job, and those that come after it. The exit code.

    Args:
        arguments: ``module:name``, the job's id, the lease's fence, the descriptor of a socket to whoever started this
            process, if there is one, and what is called before.
    """
    target, job_id, fence, line, *prepared = arguments
    try:
        theirs = socket.socket(fileno=int(line)) if line else None
        if theirs is not None:
            theirs.set_inheritable(False)  # by what the app starts
        for call in prepared:
            load(call)()
        app = load(target)
        return asyncio.run(_perform(app, job_id, int(fence), theirs))
    except Exception:
        logger.exception("this process could not begin with the job that it was given")
        return UNABLE


class _Door:
    """By which jobs come in, and it is told what becomes of them, if whoever started this process is still there."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, line: socket.socket | None) -> Self:
        if line is None:
            return cls(asyncio.StreamReader(), None)
        return cls(*await asyncio.open_unix_connection(sock=line))

    def say(self, word: bytes) -> None:
        if self._writer is not None:
            self._writer.write(word)

    async def another(self) -> tuple[str, int] | None:
        """The next job, if one comes soon, as there may be one now."""
        if self._writer is None:
            return None
        self.say(FREE)
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(LINGER):
                if line := await self._reader.readline():
                    job_id, fence = line.decode().split()
                    return job_id, int(fence)
        return None

    def close(self) -> None:
        """No other job comes in."""
        if self._writer is not None:
            self._writer.close()


async def _perform(app: Any, job_id: str, fence: int, line: socket.socket | None) -> int:
    """A job, and others, with the app started around them. A signal that ends processes gives a job back."""
    runner = app.runner
    runner.takes = False
    async with app.lifespan(app):
        door, loop = await _Door.open(line), asyncio.get_running_loop()

        def end() -> None:
            runner.cut()
            door.close()

        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(NotImplementedError):  # as on Windows
                loop.add_signal_handler(number, end)
        job: tuple[str, int] | None = (job_id, fence)
        while job is not None:
            door.say(BEGUN)
            job = await door.another() if await runner.perform_alone(*job) else None
        door.close()
    return 0


def load(target: str) -> Any:
    """What ``"module:name"`` names."""
    module, _, path = target.partition(":")
    found: Any = import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
