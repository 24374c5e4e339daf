"""The runner of this process: jobs are performed on the app's home loop, in the places that its limits give."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from contextvars import Context
from functools import partial
from random import uniform
from time import monotonic, time
from typing import Any
from uuid import uuid4

from ..errors import StoreError
from ..pipelines.options import checked_queue
from ..runtime.admission import OWN, Admission
from ..runtime.stragglers import Stragglers
from ..service import Service
from ..settings import Settings
from .alone import Alone
from .claiming import Claiming
from .leases import Leases
from .models import Job, Lease
from .performing import Perform, Performing
from .rounds import Rounds
from .store import Store
from .work import Work, prefer

__all__ = ["LocalRunner"]

WHY = "it was refused"
EXPIRED = "it was not begun in time"

NO_TURN = 1.0, 4.0
"""Seconds until a job is brought again for which there was no turn; left to chance, that not all come at once."""

logger = logging.getLogger("pipemount")

WORKER, REFUSED = "local", "refused"
"""Names of workers: of the only one where jobs end with the process, and of one that claims what nobody is to begin."""


class LocalRunner:
    """Performs the jobs of an app in its process; see ``Runner`` for the verbs.

    A job that came to this process stands in the same line for a place as those who wait for their answer. Where jobs
    outlive their process others are claimed beside these as long as there are places: what other processes have no
    place for, and what is delayed, tried again, or left behind. Where jobs have queues, or a number of their own, all
    wait in the store.

    Args:
        store: Where the jobs are.
        services: The app's pipelines.
        settings: Of the app.
        concurrency: Jobs at the same time; ``None``: as many as there are places.
        queues: Those that jobs are taken from, with limits of their own; empty: all.
        alone: Performs a job in a process of its own; ``None`` where that cannot be.

    Attributes:
        performing: How a job is performed that is claimed.
        takes: Whether jobs are performed here; else other processes do it.
        claims: Whether it looks for jobs itself; else it is told of each one (``perform``).
        worker: The name under which this process claims jobs.
    """

    def __init__(
        self,
        store: Store,
        services: Mapping[str, Service],
        settings: Settings,
        *,
        concurrency: int | None = None,
        queues: Mapping[str, int | None] | None = None,
        alone: Alone | None = None,
    ) -> None:
        self._store, self._services, self._settings = store, services, settings
        self.concurrency, self.queues = concurrency, dict(queues or {})
        self.performing = Performing(store, settings, alone)
        self.takes = self.claims = True
        self.worker = ""
        self.undecided: dict[str, asyncio.Future[None]] = {}
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._works: dict[str, Work] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self._rounds, self._claims = Rounds(), Rounds()
        self._claiming: Claiming | None = None
        self._urgent = self._cuts = False
        self.performing.stopping = False
        if self.performing.alone is not None:
            self.performing.alone.begin()

    @property
    def performers(self) -> dict[str, Perform]:
        """How jobs are performed, by their kind; ``"run"`` is known."""
        return self.performing.performers

    @property
    def _admission(self) -> Admission:
        return next(iter(self._services.values())).admission

    def take(self, *, concurrency: int | None = None, queues: Iterable[str] | None = None) -> None:
        """Perform jobs here, whatever the app's author said, before the app starts.

        Args:
            concurrency: At the same time, if not as he said.
            queues: Only jobs in these.

        Raises:
            ConfigurationError: That can be no queue's name.
        """
        self.takes = True
        self.concurrency = concurrency or self.concurrency
        if queues:
            self.queues = {checked_queue(name): self.queues.get(name) for name in queues}

    # ------------------------------------------------------------------------------- start and stop

    async def start(self) -> None:
        self._begin_anew()
        if not (self._store.durable and self.takes):
            return
        self.worker = self.performing.worker = uuid4().hex
        await self._store.join(self.worker)
        self._claiming = Claiming(
            self._store,
            self._admission,
            self._services,
            self.worker,
            begin=self._hold,
            held=lambda: self.leased,
            concurrency=self.concurrency,
            queues=self.queues,
            alone=self.performing.alone,
        )
        if self.claims:
            self._claims.keep(self._claiming.run, "jobs could not be claimed")
        leases = Leases(self._store, lambda: self.leased)
        leases.look_after(self._rounds, self._settings.job_heartbeat)
        leases.look_for_lost(self._rounds, partial(self._tell, None))

    async def dispatch(self, job: Job) -> None:
        if self._store.durable and not self._lines_up(job):
            self._admission.charge(job.request.principal, 1)
            self._tell(job.run_at)
        elif job.run_at is not None and job.run_at > time():
            self._admission.charge(job.request.principal, 1)
            self._later(job, job.run_at)
        elif job.id in self._works:  # it was claimed before we came to it
            self._admission.charge(job.request.principal, 1)
        else:
            await self._line_up(job)

    def _lines_up(self, job: Job) -> bool:
        """Whether a job that came here waits in this process's line, rather than in the store alone."""
        return self.takes and self.claims and job.run_at is None and self.concurrency is None and not self.queues

    async def refuse(self, job: Job) -> bool:
        if job.run_at is not None and job.run_at > time():
            await self._store.request_cancel(job.id, WHY)
            return True
        lease = await self._store.claim_job(job.id, REFUSED)
        if lease is None and self._claiming is not None:
            await self._claiming.settled()
        work = self._works.get(job.id)
        lease = lease or (None if work is None else work.lease)
        if lease is None:
            return False
        await self._store.request_cancel(job.id, WHY)
        await self._store.requeue(lease)
        if work is not None:
            work.cancel(WHY)
        return True

    async def revoke(self, job_id: str, reason: str) -> None:
        if (work := self._works.get(job_id)) is not None:
            work.cancel(reason)

    def leave_line(self) -> None:
        now = time()
        for work in list(self._works.values()):
            if work.waits and work.lease is None and (work.job.expires_at or now) < now:
                work.cancel(EXPIRED)

    async def drain(self, reason: str) -> None:
        for timer in self._timers:
            timer.cancel()
        await self._claims.stop()
        waiting = [work for work in self._works.values() if work.waits]
        if self._store.durable:
            for work in waiting:
                work.cut()
        else:
            await self._cancel(reason, waiting)

    async def stop(self, reason: str) -> None:
        await self._claims.stop()
        works = list(self._works.values())
        if self._store.durable:
            await self._take_back(works)
            self.cut()
        else:
            await self._cancel(reason, works)
        if tasks := [work.task for work in works if work.task is not None]:
            await asyncio.wait(tasks, timeout=self._settings.cleanup_timeout / 2)
        self.performing.stopping = True
        await self._rounds.stop()
        if self.worker:
            await self._store.leave(self.worker)
            self.worker = ""
        if self.performing.alone is not None:
            await self.performing.alone.end()

    async def _take_back(self, works: list[Work]) -> None:
        """Jobs performed alone are this process's again: it is no crash if theirs are killed. Free ones end."""
        if self.performing.alone is not None:
            self.performing.alone.close()
            with suppress(StoreError):
                for lease in [work.lease for work in works if work.lease is not None and work.job.crashes]:
                    await self._store.hand_over(lease, self.worker)

    async def _cancel(self, reason: str, works: list[Work]) -> None:
        for work in works:
            logger.warning("job %s of %s is cancelled: %s", work.job.id, work.job.request.pipeline, reason)
            await self._store.request_cancel(work.job.id, reason)
            work.cancel(reason)

    # ------------------------------------------------------------------------------------- rounds

    @property
    def leased(self) -> list[Work]:
        """The jobs that this process has claimed and not ended."""
        return [work for work in self._works.values() if work.lease is not None]

    def _tell(self, run_at: float | None) -> None:
        """There may be something to claim; ``run_at``: not before."""
        if self._claiming is not None:
            self._claiming.tell(run_at)

    # ----------------------------------------------------------------------------------- taking on

    async def _line_up(self, job: Job) -> None:
        """Take on a job of this process's own. Raises ``OverloadedError``."""
        work = Work(job)
        self._urgent = self._urgent or job.request.priority != 0
        self._see_to(work, self._work(work))
        await asyncio.sleep(0)  # by now it has a place or stands in line, if there is room in it
        task = work.task
        if task is not None and task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def perform(self, job_id: str) -> bool:
        """Perform this job to its end here, functions in threads included, once there is a place for it.

        For what brings jobs to this process. ``False``: it is not to be had, as somebody else has it, or it has ended;
        or it crashed before, and there is no turn here to be performed alone: it waits, and is brought to whom has one.
        """
        await self._admission.line_up("", OWN, again=True).place()
        try:
            lease = await self._store.claim_job(job_id, self.worker)
        finally:  # what is claimed takes a place of its pipeline and its caller
            self._admission.leave(0, "", OWN)
        if lease is None:
            return False
        if self._has_no_turn(lease):
            await self.performing.give_back(lease, pause=uniform(*NO_TURN))  # noqa: S311
            return False
        work = self._hold(lease)
        if work.task is not None:
            await asyncio.wait([work.task])
        if work.stragglers is not None:
            await self.until_gone(work.stragglers)
        return True

    def _has_no_turn(self, lease: Lease) -> bool:
        """Whether it is a job that crashed before, and others are performed alone: it would keep a place and wait."""
        return lease.job.crashes > 0 and self._claiming is not None and self._claiming.turns == 0

    async def until_gone(self, stragglers: Stragglers) -> None:
        """Return when the functions have returned that were still at it when their job had ended."""
        await stragglers.gone()

    def _later(self, job: Job, run_at: float) -> None:
        """Take it on at its time, or when there is room for it."""

        def line_up() -> None:
            self._timers.discard(timer)
            work = Work(job)
            self._see_to(work, self._work(work, again=True))

        timer = asyncio.get_running_loop().call_later(max(0.0, run_at - time()), line_up)
        self._timers.add(timer)

    def _hold(self, lease: Lease) -> Work:
        """Take on a job that was claimed; if it stood in line here, it need not any more."""
        earlier = self._works.get(lease.job.id)
        if earlier is not None and earlier.waits and earlier.task is not None:
            earlier.task.cancel()
        work = Work(lease.job, lease)
        self._see_to(work, self._work_on(work, lease))
        return work

    def _see_to(self, work: Work, seeing: Coroutine[Any, Any, None]) -> None:
        self._works[work.job.id] = work
        # Not in the context of the request: that would be kept alive, and lends its thread only while it lasts.
        work.task = asyncio.get_running_loop().create_task(seeing, context=Context())
        work.task.add_done_callback(partial(self._done, work))

    def _done(self, work: Work, task: asyncio.Task[None]) -> None:
        if self._works.get(work.job.id) is work:
            del self._works[work.job.id]
        if not task.cancelled():
            task.exception()  # told to whoever dispatched it, or logged
        self._tell(None)

    async def _work(self, work: Work, *, again: bool = False) -> None:
        """A job that stands in line."""
        service, who = self._services[work.job.request.pipeline], work.job.request.principal
        if again:
            await service.admission.line_up(service.name, who, again=True).place()
        else:
            await service.admission.enter(service.name, who)
        if self._urgent:
            prefer(work, self._works)
        await self._perform(work, service)

    async def _work_on(self, work: Work, lease: Lease) -> None:
        """A job that is claimed."""
        service, who = self._services[work.job.request.pipeline], work.job.request.principal
        try:
            if (deciding := self.undecided.get(lease.job.id)) is not None:
                await asyncio.wait([deciding])
            await service.admission.line_up(service.name, who, again=True).place()
        except asyncio.CancelledError:
            if not work.let_go:
                raise
            await self.performing.give_back(lease, cut_short=work.cut_short)
            return
        await self._perform(work, service)

    async def _perform(self, work: Work, service: Service) -> None:
        """With a place, which is given back."""
        began, who = monotonic(), work.job.request.principal
        work.placed()
        if self._claiming is not None:
            self._claiming.placed()
        try:
            lease = work.lease or await self._store.claim_job(work.job.id, self.worker or WORKER)
            if lease is not None and work.lease is None and self._has_no_turn(lease):  # another one had it meanwhile
                await self.performing.give_back(lease)
                return
            run_at = None if lease is None else await self.performing.perform(lease, work, service)
            if run_at is not None:
                self._again(work.job, run_at)
        except Exception:
            logger.exception("job %s could not be performed to its end", work.job.id)
        finally:
            service.admission.leave_behind(work.stragglers, began, service.name, who)

    def _again(self, job: Job, run_at: float) -> None:
        if self._store.durable:
            self._tell(run_at)
        else:
            self._later(job, run_at)

    # ------------------------------------------------------------------- in a process of a job's own

    async def perform_alone(self, job_id: str, fence: int) -> bool:
        """Perform a job that another process has claimed, as a worker of its own: what ends that one ends nothing.

        Whether another job may follow in this process; not if it was told to end, or functions of this one still run.
        """
        if not self.worker:
            await self._begin_alone()
        job = await self._store.get(job_id)
        if job is None or not await self._store.hand_over(lease := Lease(job, fence), self.worker):
            return not self._cuts
        work = self._works[job_id] = Work(job, lease)
        work.placed()
        if self._cuts:  # while it was taken on
            work.cut()
        await self.performing.perform(lease, work, self._services[job.request.pipeline])
        del self._works[job_id]
        return not (self._cuts or work.stragglers)

    async def _begin_alone(self) -> None:
        self.worker = uuid4().hex
        await self._store.join(self.worker)
        Leases(self._store, lambda: self.leased).look_after(self._rounds, self._settings.job_heartbeat)
        self.performing.alone = None  # this is the process

    def cut(self) -> None:
        """Let go of all jobs: other processes, or another time, will do."""
        self._cuts = True
        for work in self._works.values():
            work.cut()
