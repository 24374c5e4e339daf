"""A process for jobs that are performed alone, seen from the one that has started it; ``inside`` is the other end.

Each has one end of a pair of sockets. What comes in is a line per job, its id and the fence of its lease; what comes
out is ``BEGUN`` when it begins with one, and ``FREE`` when that has ended and another may come.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from .models import Lease

__all__ = ["BEGUN", "FREE", "UNABLE", "Room"]

BEGUN, FREE = b"!", b"."

COMMAND = [sys.executable, "-m", "pipemount.jobs.inside"]

UNABLE = 75
"""The exit code of a process that could not begin (``EX_TEMPFAIL``), if it could say so."""


class Room:
    """A process that performs jobs, one at a time. For the event loop on which it was opened.

    Attributes:
        begun: Whether it has begun with the job that it was given last.
        closed: Done once no other job can be given to it.
        ended: Its exit code, once it has ended.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], line: socket.socket | None, ended: asyncio.Future[int]
    ) -> None:
        self._process, self._line, self.ended = process, line, ended
        self._loop = asyncio.get_running_loop()
        self._nobody: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.begun = line is None  # as on Windows, where nothing can be heard of it
        if line is not None:
            self._loop.add_reader(line, self._hear)
        ended.add_done_callback(self._over)

    @classmethod
    async def open(cls, target: str, lease: Lease) -> Self:
        """Start it with its first job.

        Raises:
            OSError, RuntimeError: It cannot be started, for want of memory, processes, threads or files.
        """
        loop = asyncio.get_running_loop()
        threads = ThreadPoolExecutor(1, "pipemount-alone")
        try:
            process, line = await loop.run_in_executor(threads, _started, target, lease)
            return cls(process, line, loop.run_in_executor(threads, process.wait))
        finally:
            threads.shutdown(wait=False)

    async def perform(self, lease: Lease) -> bool:
        """Another job. As ``until_free``; ``False`` as well if it was not begun, as the process had begun to end."""
        self.begun, self._nobody = False, self._loop.create_future()
        if self._line is not None:
            with suppress(OSError):  # it has just ended
                self._line.send(b"%b %d\n" % (lease.job.id.encode(), lease.fence))
        await asyncio.wait([self._nobody, self.closed], return_when=asyncio.FIRST_COMPLETED)
        return self.begun and await self.until_free()

    async def until_free(self) -> bool:
        """Whether the job that it was given has ended, and another may come; ``False``: the process has ended."""
        either: list[asyncio.Future[Any]] = [self._nobody, self.ended]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return self._nobody.done()

    def stop(self, patience: float) -> None:
        """Tell it to end, and see that it does within ``patience`` seconds."""
        self._process.terminate()  # one that has ended is told nothing
        self._loop.call_later(patience, self._process.kill)

    async def leave(self, patience: float) -> None:
        """Give it no more jobs. It ends by itself, or is killed after ``patience`` seconds."""
        self.close()
        await asyncio.wait({self.ended}, timeout=patience)
        self.kill()
        await self.ended

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def close(self) -> None:
        """Give it no more jobs: it ends when it is free."""
        if not self.closed.done():
            self.closed.set_result(None)
        if self._line is not None:
            self._loop.remove_reader(self._line)
            with suppress(OSError):  # it has gone
                self._line.shutdown(socket.SHUT_RDWR)  # a child of this process may have our end
            self._line.close()
            self._line = None

    def _hear(self) -> None:
        try:
            said = self._line.recv(16) if self._line is not None else b""
        except BlockingIOError:
            return
        except OSError:  # it ended without having read what it was told
            said = b""
        self.begun = self.begun or BEGUN in said
        if FREE in said and not self._nobody.done():
            self._nobody.set_result(None)
        if not said:
            self.close()

    def _over(self, _: asyncio.Future[int]) -> None:
        self._hear()  # what it said last; a child of it may have its end, and outlive it
        self.close()


def _started(target: str, lease: Lease) -> tuple[subprocess.Popen[bytes], socket.socket | None]:
    ours, theirs = socket.socketpair() if os.name == "posix" else (None, None)
    files = [] if theirs is None else [theirs.fileno()]
    told = [target, lease.job.id, str(lease.fence), str(files[0] if files else ""), *_preparations()]
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
    command, environment = [*COMMAND, *told], {**os.environ, "PYTHONPATH": path}
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, pass_fds=files)  # noqa: S603  ours
    except BaseException:
        if ours is not None:
            ours.close()
        raise
    finally:
        if theirs is not None:
            theirs.close()
    if ours is not None:
        ours.setblocking(False)
    return process, ours


def _preparations() -> list[str]:
    """What is called in the process before the app is imported, as it was in this one."""
    django, conf = sys.modules.get("django.apps"), sys.modules.get("django.conf")
    if django is None or conf is None or not django.apps.ready:  # other libraries import it as well
        return []
    return ["django:setup"] if conf.settings.SETTINGS_MODULE else []  # else the app's module configures it itself
