"""The way to an engine that carries jobs: one thread, which tries until the engine takes what it is given."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from time import time
from typing import NamedTuple, Protocol

from .models import Job

__all__ = ["DEFAULT", "RUN_JOB", "Carrier", "Letter", "Sender", "letter_of"]

logger = logging.getLogger("pipemount")

DEFAULT = "default"
"""The queue of jobs that were given none: the engine's own default one, whatever its name."""

RUN_JOB = "pipemount.run_job"
"""The name of the task by which a worker is told of a job, where the engine knows tasks by their names."""

ROOM = 10_000
"""Messages that wait while the broker cannot be reached; what does not fit is sent later, when nobody came for it."""

SHORTEST, LONGEST = 0.1, 5.0
"""Seconds between two attempts at a broker that cannot be reached."""


class Letter(NamedTuple):
    """That there is a job to do.

    Attributes:
        job_id: The job; the id of the engine's own task as well, where it can be chosen.
        pipeline: Its name, for workers that do not have it.
        queue: The engine's, or ``None`` for its default one.
        seconds: That the job may take.
    """

    job_id: str
    pipeline: str
    queue: str | None
    seconds: float


def letter_of(job: Job, usual: float) -> Letter:
    """What is sent of a job; ``usual``: the seconds that one may take of which nothing else is said."""
    request = job.request
    queue = None if request.queue == DEFAULT else request.queue
    return Letter(job.id, request.pipeline, queue, request.timeout or usual)


class Carrier(Protocol):
    """An engine, as far as jobs are sent by it. Called by the sender's thread, but for ``begin``."""

    broker: str
    """What it is called in the log."""

    @property
    def passing(self) -> tuple[type[BaseException], ...]:
        """What says that the broker, or the way to it, does not work at the moment."""
        ...

    def begin(self) -> None:
        """The app starts, on the loop that is running: what a forked process's parent had open is the parent's."""
        ...

    def send(self, letter: Letter) -> None:
        """Have the broker take it. What fails and is not ``passing`` is logged, and not tried again at once."""
        ...

    def hang_up(self) -> None:
        """Let go of what is open: the broker cannot be reached, or no more is sent."""
        ...


class Errand(NamedTuple):
    """Something to do for a job, once the broker lets it.

    Attributes:
        job_id: The job.
        act: Does it.
        until: Not to be done later, in seconds since the epoch.
        failed_at: How much the broker had taken when it did not take this; negative if it was not tried yet.
    """

    job_id: str
    act: Callable[[], None]
    until: float | None = None
    failed_at: int = -1


class Sender:
    """Does errands in a thread that is started by ``start``: in the order in which they are posted, while that goes.

    While the broker cannot be reached the thread tries again and again, with all of them in turn; nobody waits for it.
    One that the broker does not take, though it takes others, is given up: the job is sent again when nobody came.

    Args:
        carrier: The engine.

    Attributes:
        stuck: Whether the broker cannot be reached at the moment.
    """

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._errands: queue.Queue[Errand | None] = queue.Queue(ROOM)
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self.stuck, self._taken, self._pause = False, 0, SHORTEST

    def start(self) -> None:
        """The thread begins; what was posted to the parent of a forked process is the parent's."""
        self._errands, self._stopping = queue.Queue(ROOM), threading.Event()
        self.stuck, self._taken, self._pause = False, 0, SHORTEST
        self._carrier.begin()
        # A broker that does not answer keeps no process from its end: the thread is a daemon.
        self._thread = threading.Thread(target=self._run, name="pipemount-sender", daemon=True)
        self._thread.start()

    @property
    def behind(self) -> bool:
        """Whether the broker cannot be reached, and something waits that was not even tried."""
        if not self.stuck:
            return False
        with self._errands.mutex:
            return any(errand is not None and errand.failed_at < 0 for errand in self._errands.queue)

    def post(self, job_id: str, act: Callable[[], None], until: float | None = None) -> None:
        """Have it done for this job, but not later than ``until``, in seconds since the epoch. Never waits."""
        self._put(Errand(job_id, act, until))

    def _put(self, errand: Errand | None) -> None:
        with suppress(queue.Full):
            self._errands.put_nowait(errand)

    def stop(self, timeout: float) -> None:
        """What was posted is done, if the broker takes it within ``timeout`` seconds."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self.stuck:
            self._stopping.set()
        self._put(None)
        thread.join(timeout)
        self._stopping.set()

    # ------------------------------------------------------------------------------- in the thread

    def _run(self) -> None:
        while (errand := self._errands.get()) is not None and not self._stopping.is_set():
            self._do(errand)
        self._carrier.hang_up()

    def _do(self, errand: Errand) -> None:
        broker = self._carrier.broker
        if errand.until is not None and errand.until <= time():
            return
        try:
            errand.act()
        except self._carrier.passing as error:
            self._carrier.hang_up()
            if 0 <= errand.failed_at < self._taken:
                says = "job %s: %s takes others, but not this one, which is tried again later: %s"
                logger.error(says, errand.job_id, broker, error)
                return
            if not self.stuck:
                logger.warning("%s cannot be reached; jobs wait in the database: %s", broker, error)
            self.stuck = True
            self._put(errand._replace(failed_at=self._taken))
            self._stopping.wait(self._pause)
            self._pause = min(2 * self._pause, LONGEST)
        except Exception:
            logger.exception("job %s could not be given to %s; it is tried again later", errand.job_id, broker)
        else:
            if self.stuck:
                logger.warning("%s can be reached again", broker)
            self.stuck, self._taken, self._pause = False, self._taken + 1, SHORTEST
