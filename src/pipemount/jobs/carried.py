"""Jobs that an engine carries to its workers: what is the same whichever engine it is."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, time
from typing import Any, ClassVar, Generic, TypeVar

from ..errors import ConfigurationError, UnavailableError
from ..runtime.lifecycle import Lifecycle
from ..service import Service
from ..settings import Settings
from .alone import Alone
from .arrangement import check_address, check_values, store_at
from .local import LocalRunner
from .models import Job
from .rounds import Rounds
from .sending import Carrier, Sender, letter_of
from .store import Store

__all__ = ["UNTIL_STARTED", "Carried", "CarriedRunner", "is_first"]

C = TypeVar("C", bound=Carrier)

logger = logging.getLogger("pipemount")

LOOK = 1.0
"""Seconds between two looks for jobs that nobody came for."""

SHARE = 20
"""The pause between two looks is so many times as long as one takes, if that is more."""

AT_ONCE = 200
"""Jobs that are sent again in one go at most."""

UNTIL_STARTED = 60.0
"""Seconds that a job waits for ``on_init`` of its process; then it is left to whoever is told of it next."""

INSTALLED = "pipemount_app"
"""The attribute of an engine that names the app whose jobs its workers perform."""


class CarriedRunner(LocalRunner, Generic[C]):
    """Sends jobs through an engine, and in one of its workers performs those that come; see ``Runner`` for the verbs.

    Every process of the app, a web process or a worker, looks for jobs that nobody came for: their messages were lost,
    or their time has come, or who had them is no more.

    Args:
        store: Where the jobs are.
        services: The app's pipelines.
        settings: Of the app.
        carrier: The engine.
        resend_after: Seconds in which somebody should come for a job that was sent.
        alone: Performs a job in a process of its own.

    Attributes:
        carrier: As given.
        sender: Has the carrier do what is posted.
    """

    engine: ClassVar[str]
    """What carries the jobs, and how a worker of it is started, in a sentence."""

    def __init__(
        self,
        store: Store,
        services: Mapping[str, Service],
        settings: Settings,
        *,
        carrier: C,
        resend_after: float,
        alone: Alone,
    ) -> None:
        super().__init__(store, services, settings, alone=alone)
        self.takes = self.claims = False
        self.carrier, self.sender, self._resend_after = carrier, Sender(carrier), resend_after
        self._looks = Rounds()

    def take(self, *, concurrency: int | None = None, queues: Iterable[str] | None = None) -> None:
        """What performs jobs here is a worker of the engine, and nothing else. Raises ``ConfigurationError``."""
        raise ConfigurationError(self.engine)

    async def start(self) -> None:
        await super().start()
        self.sender.start()
        self._looks = Rounds()
        self._looks.keep(self._look, "jobs that nobody came for could not be looked for")
        if self._store.rescue_every and not self.takes:
            self._looks.every(self._store.rescue_every, self._store.rescue, "lost jobs could not be looked for")

    async def dispatch(self, job: Job) -> None:
        await super().dispatch(job)
        if job.run_at is None or job.run_at <= time():
            self._send(job)

    async def stop(self, reason: str) -> None:
        await self._looks.stop()
        await super().stop(reason)
        await asyncio.to_thread(self.sender.stop, self._settings.cleanup_timeout / 2)

    # ------------------------------------------------------------------------------------ in workers

    async def perform_when_ready(self, lifecycle: Lifecycle, job_id: str, pipeline: str) -> None:
        """Perform a job that came to this worker to its end, if nobody has it; on any loop."""
        if not self._takes_on(pipeline):
            return
        try:
            await lifecycle.ensure_ready(UNTIL_STARTED)
            await lifecycle.call(partial(self.perform, job_id))
        except UnavailableError as error:
            _left(job_id, error)

    def perform_from_thread(self, lifecycle: Lifecycle, job_id: str, pipeline: str) -> None:
        """The same, from a thread that waits for it."""
        if not self._takes_on(pipeline):
            return
        try:
            lifecycle.home_for_thread(UNTIL_STARTED)
            lifecycle.call_sync(partial(self.perform, job_id))
        except UnavailableError as error:
            _left(job_id, error)

    def _takes_on(self, pipeline: str) -> bool:
        """Whether a job of this pipeline can be performed in this worker; where not, the log says so."""
        if pipeline in self._services:
            self.takes = True
            return True
        have = ", ".join(self._services)
        logger.error(
            "a job of the pipeline %r came to a worker that does not have it (it has: %s); the job waits for another "
            "one. Give workers with different pipelines queues of their own",
            pipeline,
            have,
        )
        return False

    # ----------------------------------------------------------------------------------------- looks

    def _send(self, job: Job) -> None:
        letter = letter_of(job, self._settings.request_timeout)
        self.sender.post(job.id, partial(self.carrier.send, letter), job.expires_at)

    async def _look(self) -> None:
        while True:
            began = monotonic()
            if not self.sender.behind:  # what was posted is still on its way
                for job in await self._store.unclaimed(self._resend_after, AT_ONCE):
                    self._send(job)
                await self.look_further()
            await asyncio.sleep(max(LOOK, SHARE * (monotonic() - began)))

    async def look_further(self) -> None:
        """What else an engine can do for its jobs, again and again."""


def is_first(engine: object, pipelines: object) -> bool:
    """Whether ``pipelines`` is new to what carries its jobs, where it is said from now on.

    Raises:
        ConfigurationError: It carries those of another app. A message does not say of which one it is.
    """
    known = vars(engine).get(INSTALLED)
    if known is not None and known is not pipelines:
        raise ConfigurationError(
            f"install(…): this {type(engine).__name__} has the jobs of another app already; make one app of all "
            "pipelines, PipelineApp({'train': train, 'judge': judge}, …)"
        )
    vars(engine)[INSTALLED] = pipelines
    return known is None


@dataclass(frozen=True, kw_only=True, eq=False)
class Carried(ABC):
    """What an app's author says of jobs that are carried, whatever carries them.

    Attributes:
        store: As the address of ``Local``: ``sqlite:///jobs.db`` where all processes are on one machine, else
            ``postgresql://…``.
        resend_after: Seconds after which a job is sent again that no worker came for.
        target: Where the app is found, ``"shop.web:pipelines"``, by a process that performs a single job; needed where
            it is no module's attribute, as behind a factory.
        values: Where values are kept that are too large for the database, as in ``Local``.
    """

    store: str = field(repr=False)  # it may have a password in it
    resend_after: float = 15.0
    target: str | None = None
    values: str | None = field(default=None, repr=False)

    runner: ClassVar[type[CarriedRunner[Any]]]
    """Who sees to the jobs."""

    def __post_init__(self) -> None:
        said = type(self).__name__
        if not (isinstance(self.resend_after, int | float) and self.resend_after > 0):
            raise ConfigurationError(f"{said}(resend_after={self.resend_after!r}): must be above 0")
        if self.target is not None and ":" not in self.target:
            raise ConfigurationError(f"{said}(target={self.target!r}): write module:name")
        check_address(self.store, f"{said}(store=")
        check_values(self.values, f"{said}(")

    @abstractmethod
    def make_carrier(self, alone: Alone) -> Carrier:
        """The engine; nothing is opened yet. ``alone`` knows where the app is found."""

    def make_store(self, settings: Settings) -> Store:
        """The store; nothing is opened yet."""
        return store_at(self.store, settings, self.values)

    def make_runner(
        self, store: Store, services: Mapping[str, Service], settings: Settings, alone: Alone
    ) -> CarriedRunner[Any]:
        """Who sees to the jobs; nothing is started yet."""
        carrier = self.make_carrier(alone)
        return self.runner(store, services, settings, carrier=carrier, resend_after=self.resend_after, alone=alone)


def _left(job_id: str, error: UnavailableError) -> None:
    logger.error("job %s waits for another worker: %s", job_id, error)
