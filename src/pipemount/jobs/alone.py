"""A job in a process of its own, ``python -m pipemount.jobs.alone``: what it does to that harms no other.

The process that claimed the job starts one that imports the app, opens the same store, and performs this one job, under
the same lease and as a worker of its own: only what ends that process is counted as the job's doing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from .models import Lease
from .work import Work

__all__ = ["Alone", "find_target", "load", "main"]

logger = logging.getLogger("pipemount")

UNABLE = 75
"""The exit code of a process that could not begin (``EX_TEMPFAIL``), if it could say so."""

TOLD = (-signal.SIGTERM, -signal.SIGINT)
"""Of a process that somebody told to end, as all of a terminal or a service are, before it could begin."""

AT_ONCE = os.cpu_count() or 1
"""Such processes at the same time: when one with many jobs has crashed, each of them is performed alone."""

FIRST, LONGEST = 1.0, 60.0
"""Seconds that a job waits whose process could not begin: twice as long after each one in a row that could not."""

Ended: TypeAlias = Literal["done", "crashed", "unable"]


class Alone:
    """Performs jobs alone, each in a process of its own.

    Args:
        find: Where the app is found, ``"module:name"``; ``None`` where it is no module's attribute.
        patience: Seconds that a process has to end when it is told to.

    Attributes:
        at_once: Jobs that are performed at the same time; others wait.
    """

    def __init__(self, find: Callable[[], str | None], patience: float) -> None:
        self._find, self._patience = find, patience
        self.begin()

    def begin(self) -> None:
        """The runner starts, perhaps on another loop."""
        self.at_once, self._in_vain = AT_ONCE, 0
        self._turns = asyncio.Semaphore(self.at_once)

    @property
    def pause(self) -> float:
        """Seconds until a job is tried again whose process could not begin: what keeps one from it keeps all."""
        return min(LONGEST, FIRST * 2.0 ** min(60, max(0, self._in_vain - 1)))

    @property
    def target(self) -> str | None:
        """Where the app is found."""
        return self._find()

    async def perform(self, lease: Lease, work: Work) -> Ended:
        """Have it performed; how the process ended, if there was one.

        ``"done"``: it has written down what came of the job. ``"unable"``: it could not begin, or was told to end.
        """
        if (target := self.target) is None:
            return "unable"
        logger.warning("job %s was in a process that ended, and is performed alone in one", lease.job.id)
        if not await self._has_turn(work):
            return "crashed"
        try:
            return await self._perform(target, lease, work)
        finally:
            self._turns.release()

    async def _has_turn(self, work: Work) -> bool:
        """Wait until there are not too many; ``False`` for a job that was let go of meanwhile, or before."""
        if work.let_go:
            return False
        let_go = asyncio.Event()
        work.stopping = let_go.set
        turn = asyncio.ensure_future(self._turns.acquire())
        told = asyncio.ensure_future(let_go.wait())
        try:
            await asyncio.wait({turn, told}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            if work.let_go and turn.done():
                self._turns.release()
            elif not turn.done():
                turn.cancel()
        return not work.let_go

    async def _perform(self, target: str, lease: Lease, work: Work) -> Ended:
        code, begun = await self._end_of(target, lease, work)
        if code in TOLD:
            if work.reason is None:  # else it was cancelled, or has ended
                logger.warning("job %s: its process was told to end, and the job waits again", lease.job.id)
            return "unable"
        if code == UNABLE or not (begun or work.let_go):
            self._in_vain += 1
            logger.warning(
                "job %s: its process could not begin (%d), nor could %d before it; the log of that process says why. "
                "The job waits %g s",
                lease.job.id,
                code,
                self._in_vain - 1,
                self.pause,
            )
            return "unable"
        self._in_vain = 0
        if code:
            logger.error("job %s: its process ended with %d", lease.job.id, code)
        return "crashed" if code or not begun else "done"

    async def _end_of(self, target: str, lease: Lease, work: Work) -> tuple[int, bool]:
        """Have it performed: the exit code of the process, and whether the job was begun in it."""
        with ThreadPoolExecutor(1, "pipemount-alone") as threads, _Ear() as ear:
            loop = asyncio.get_running_loop()
            try:
                process = await loop.run_in_executor(threads, _started, target, lease, ear)
            except (OSError, RuntimeError) as error:  # no memory, or too many processes, threads or files
                logger.warning("job %s: no process could be started: %s", lease.job.id, error)
                return UNABLE, False
            work.stopping = lambda: _stop(process, loop, self._patience)
            if work.let_go:  # while it was started
                _stop(process, loop, self._patience)
            try:
                code = await loop.run_in_executor(threads, process.wait)
            finally:
                process.kill()  # the loop ends; else it is no more
            return code, ear.heard


class _Ear:
    """Hears from a process that it begins with its job: what ends it before is no doing of the job.

    Attributes:
        mouth: The descriptor that the process tells it by; ``None`` where none can be given to it, as on Windows.
    """

    def __init__(self) -> None:
        self._ear: int | None = None
        self.mouth: int | None = None

    def open(self) -> None:
        """Begin to listen."""
        if os.name == "posix":
            self._ear, self.mouth = os.pipe()
            os.set_blocking(self._ear, False)  # a child of the process may have its end, and outlive it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._ear, self.mouth):
            if file is not None:
                os.close(file)

    @property
    def heard(self) -> bool:
        """Whether it has begun, as far as can be known; asked once, when it has ended."""
        if self._ear is None:
            return True
        try:
            return bool(os.read(self._ear, 1))
        except BlockingIOError:
            return False


def _started(target: str, lease: Lease, ear: _Ear) -> subprocess.Popen[bytes]:
    ear.open()
    mouths = [] if ear.mouth is None else [ear.mouth]
    told = [target, lease.job.id, str(lease.fence), str(mouths[0] if mouths else ""), *_preparations()]
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
    command, environment = [sys.executable, "-m", __name__, *told], {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, pass_fds=mouths)  # noqa: S603  ours


def _preparations() -> list[str]:
    """What is called in the process before the app is imported, as it was in this one."""
    django, conf = sys.modules.get("django.apps"), sys.modules.get("django.conf")
    if django is None or conf is None or not django.apps.ready:  # other libraries import it as well
        return []
    return ["django:setup"] if conf.settings.SETTINGS_MODULE else []  # else the app's module configures it itself


def _stop(process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop, patience: float) -> None:
    """Tell it to end, and see that it does."""
    process.terminate()  # one that has ended is told nothing
    loop.call_later(patience, process.kill)


def find_target(app: object) -> str | None:
    """The name of a module and of its attribute that is ``app``; ``None`` where there is none."""
    for name, module in list(sys.modules.items()):
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is app:
                return f"{_importable(name)}:{attribute}"
    return None


def _importable(name: str) -> str:
    """The name by which another process can import a module; the one that was run has a file's."""
    if name != "__main__":
        return name
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    return str(spec.name) if spec is not None else Path(getattr(main, "__file__", None) or "__main__").stem


# ------------------------------------------------------------------------------------- the other end


def main(arguments: list[str]) -> int:
    """Perform a job. The exit code.

    Args:
        arguments: ``module:name``, its id, the lease's fence, a descriptor by which to tell that it is begun, if there
            is one, and what is called before.
    """
    target, job_id, fence, mouth, *prepared = arguments
    if mouth:
        os.set_inheritable(int(mouth), False)
    try:
        for call in prepared:
            load(call)()
        app = load(target)
        return asyncio.run(_perform(app, job_id, int(fence), int(mouth) if mouth else None))
    except Exception:
        logger.exception("job %s could not be begun in a process of its own", job_id)
        return UNABLE


async def _perform(app: Any, job_id: str, fence: int, mouth: int | None) -> int:
    """The job, with the app started around it. A signal that ends processes gives the job back."""
    app.runner.takes = False
    async with app.lifespan(app):
        if mouth is not None:
            with suppress(BrokenPipeError):  # who started this process is no more
                os.write(mouth, b"!")
            os.close(mouth)
        work = asyncio.ensure_future(app.runner.perform_alone(job_id, fence))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(NotImplementedError):  # as on Windows
                loop.add_signal_handler(number, app.runner.cut)
        await work
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
