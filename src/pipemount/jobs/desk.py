"""The verbs: what can be asked of jobs, whoever asks. Who may see which job is decided here, and nowhere else."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pydantic_core import from_json

from ..errors import (
    EventsPrunedError,
    IdempotencyRunningError,
    JobEndedError,
    JobNotEndedError,
    JobNotSuspendedError,
    NotFoundError,
    PipemountError,
    StoreError,
    UnavailableError,
)
from ..runtime.events import TERMINAL
from ..service import new_run_id
from ..types import Principal, Trace
from .answers import check_answer
from .cursors import check_query
from .encoding import SHUTDOWN, missed
from .expiring import Expiring
from .models import STATUSES, Idempotency, Job, JobEvent, JobQuery, JobRequest, JobStatus, Page, Submitted, owner_of
from .outcomes import as_asked_for
from .runner import Runner
from .store import Store

__all__ = ["UNKNOWN_JOB", "Jobs", "Subscription", "cancel_reason", "owner_of"]

logger = logging.getLogger("pipemount")

UNKNOWN_JOB = "no such job; what has ended is forgotten after a while"

GOES_ON = "the app stops, and the job goes on without it; ask again"

AT_ONCE = 64
"""Events that are read at once, and kilobytes of them, roughly."""

PATIENCE = 60.0
"""Seconds between two looks at a job that somebody waits for; it is woken when it ends."""

SWEEP = 60.0
"""Seconds between two looks for what can be forgotten."""


class Jobs:
    """The jobs of an app. All methods belong to its home loop.

    A job belongs to the principal who submitted it, by name and source; admins see all. What somebody else's key
    submitted is not there: it is answered exactly as an id that never was.

    Args:
        store: Where they are kept.
        runner: Who performs them.
        fingerprints: The app's pipelines, by name, as they are now: what a job that is retried is run by.
    """

    def __init__(self, store: Store, runner: Runner, fingerprints: Mapping[str, str] | None = None) -> None:
        self.store, self._runner, self.fingerprints = store, runner, fingerprints
        self._closing = False
        self._expiring = Expiring(store, runner.leave_line)
        self._timer: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._deciding: dict[str, asyncio.Future[None]] = runner.undecided

    # ------------------------------------------------------------------------------- start and stop

    async def start(self) -> None:
        """The app starts."""
        self._closing = False
        await self.store.open()
        await self._runner.start()
        self._expiring.start()
        self._sweep_later()

    async def drain(self) -> None:
        """The app is about to stop: nothing is accepted, and what runs goes on; see ``Runner`` for what only waits."""
        self._closing = True
        await self._runner.drain(SHUTDOWN)

    async def stop(self) -> None:
        """The app stops: no job runs here any more. Those that end with the process have ended, and tell so."""
        self._closing = True
        for pending in (self._timer, self._sweeping):
            if pending is not None:
                pending.cancel()
        await self._expiring.stop()
        try:
            await self._runner.stop(SHUTDOWN)
        finally:  # also where the time that a stop may take is over
            await self.store.close()

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SWEEP, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep_now())
        self._sweep_later()

    async def _sweep_now(self) -> None:
        try:
            await self.store.sweep()
        except StoreError as error:  # the next one may do
            logger.warning("old jobs could not be forgotten: %s", error)

    # ---------------------------------------------------------------------------------------- verbs

    async def check(self) -> None:
        """Whether jobs can be kept at the moment. Raises ``StoreError``."""
        await self.store.check()

    async def submit(self, request: JobRequest, *, wants_result: bool = False) -> Submitted:
        """Accept a job, or find the one that an equal request made.

        Args:
            request: What is asked for; its inputs are valid.
            wants_result: Whether the caller waits: then the first request with its key must not still run.

        Raises:
            IdempotencyMismatchError: The key came with something else before.
            IdempotencyRunningError: See ``wants_result``.
            OverloadedError, RateLimitedError: There is no place and no room to wait for one; its caller asks too often.
            UnavailableError: The app stops.
        """
        with self._decision(request.job_id):
            submitted = await self.store.submit(request)
            if not submitted.reused:
                if request.expires is not None:
                    self._expiring.tell()
                await self._dispatch(submitted.job)
                return submitted
        if (deciding := self._deciding.get(submitted.job.id)) is not None:
            await asyncio.shield(deciding)
        if wants_result and not submitted.job.ended:
            raise IdempotencyRunningError(job_id=submitted.job.id)
        return submitted

    @contextmanager
    def _decision(self, job_id: str) -> Iterator[None]:
        """Whether a job is accepted is decided in the block; who finds it meanwhile is told the same."""
        deciding = self._deciding[job_id] = asyncio.get_running_loop().create_future()
        try:
            yield
        except PipemountError as error:
            deciding.set_exception(error)
            deciding.exception()  # perhaps nobody else asks
            raise
        finally:
            del self._deciding[job_id]
            if not deciding.done():
                deciding.set_result(None)

    async def _dispatch(self, job: Job) -> None:
        try:
            if self._closing:
                raise UnavailableError("the app is shutting down; no job is accepted any more", code="draining")
            await self._runner.dispatch(job)
        except PipemountError:  # there is no room, or the caller's quota is used up
            if await self._runner.refuse(job):
                await self.store.delete(job.id)
                raise  # else another process has begun it: there was room for it

    async def get(self, job_id: str, viewer: Principal | None) -> Job:
        """The record. Raises ``NotFoundError``, also for somebody else's."""
        job = await self.store.get(job_id)
        if job is None or not may_see(viewer, job):
            raise NotFoundError(UNKNOWN_JOB)
        return job

    async def list(self, query: JobQuery, viewer: Principal | None) -> Page:
        """A page of the jobs that ``viewer`` may see, the youngest first. Raises ``InvalidInputsError``."""
        check_query(query)
        if viewer is None or not viewer.may("admin"):
            query = replace(query, owner=owner_of(viewer) or "")
        return await self.store.list(query)

    async def counts(self) -> dict[JobStatus, int]:
        """How many jobs there are, by their status, whosever they are."""
        return dict.fromkeys(STATUSES, 0) | dict(await self.store.counts())

    async def cancel(self, job_id: str, viewer: Principal | None, reason: str) -> Job:
        """End a job early; one that was cancelled before stays so. The record as it is now.

        A step that runs in a thread is not stopped: the job is ``cancelling`` until it returns, no other step begins.

        Raises:
            NotFoundError: As ``get``.
            JobEndedError: It has succeeded or failed.
        """
        await self.get(job_id, viewer)
        reason = reason.encode(errors="replace").decode()  # a text may hold what no store can write
        if await self.store.request_cancel(job_id, reason) in ("requested", "cancelled"):
            await self._runner.revoke(job_id, reason)
        job = await self.get(job_id, viewer)
        if job.ended and job.status != "cancelled":
            raise JobEndedError(job_status=job.status)
        return job

    async def resume(self, job_id: str, answer: bytes, viewer: Principal | None) -> Job:
        """Answer what a suspended job asks; it goes on as soon as there is a place. The record as it is now.

        An answer that cannot fit, by the question's schema, is refused. What the schema does not tell is found when the
        step that asks is called again; then the job asks again.

        Args:
            job_id: The job.
            answer: JSON.
            viewer: Who answers.

        Raises:
            NotFoundError: As ``get``.
            JobNotSuspendedError: It asks nothing; of two answers one is taken.
            InvalidInputsError: It asks for something else.
        """
        job = await self.get(job_id, viewer)
        if job.question is not None:
            check_answer(job.question, answer)
        resumed = await self.store.resume(job_id, answer) == "resumed"
        job = await self.get(job_id, viewer)
        if not resumed:
            raise JobNotSuspendedError(job_status=job.status)
        logger.info("job %s has its answer of %s", job_id, owner_of(viewer) or "nobody known")
        return job

    async def retry(
        self,
        job_id: str,
        viewer: Principal | None,
        *,
        idempotency: Idempotency | None = None,
        trace: Trace | None = None,
    ) -> Submitted:
        """A new job, of what was asked for with one that failed or was cancelled, to be begun at once.

        It belongs to whom the first one belongs to, whoever asks: an admin retries in that one's name.

        Args:
            job_id: The job that has ended; it stays as it is.
            viewer: Who asks.
            idempotency: What makes another request to retry it the same one.
            trace: The caller's.

        Raises:
            NotFoundError: As ``get``; or the app has its pipeline no more.
            JobNotEndedError: It has not ended.
            JobEndedError: It has succeeded.
            ValueLostError: What was asked for is lost.
            OverloadedError, RateLimitedError, UnavailableError: As ``submit``.
        """
        job = await self.get(job_id, viewer)
        if not job.ended:
            raise JobNotEndedError(job_status=job.status, wish="retry")
        if job.status == "succeeded":
            raise JobEndedError(job_status=job.status, wish="be retried")
        first = as_asked_for(job)
        request = replace(
            first,
            job_id=new_run_id(),
            fingerprint=self._fingerprint(first),
            principal=viewer if owner_of(viewer) == owner_of(first.principal) else first.principal,
            trace=trace,
            idempotency=idempotency,
            run_at=None,
        )
        return await self.submit(request)

    def _fingerprint(self, request: JobRequest) -> str:
        """Of the pipeline as it is now: it may not be the one that the inputs were sent to."""
        if self.fingerprints is None:
            return request.fingerprint
        if request.pipeline not in self.fingerprints:
            raise NotFoundError(f"the app has no pipeline {request.pipeline!r} any more; the job cannot be retried")
        return self.fingerprints[request.pipeline]

    async def delete(self, job_id: str, viewer: Principal | None) -> None:
        """Forget a job, its events, and its idempotency key.

        Raises:
            NotFoundError: As ``get``.
            JobNotEndedError: It has not ended.
        """
        job = await self.get(job_id, viewer)
        if not await self.store.delete(job_id):
            raise JobNotEndedError(job_status=job.status)

    async def subscribe(self, job_id: str, viewer: Principal | None, after: int = 0) -> Subscription:
        """Read a job's events, those before now as well.

        Args:
            job_id: The job.
            viewer: Who reads.
            after: The number of the last event that the reader has; 0 to begin at the start. Who begins there gets a
                ``missed`` event in place of those that are not kept any more.

        Raises:
            NotFoundError: As ``get``.
            EventsPrunedError: Some behind ``after`` are not kept any more.
        """
        job = await self.get(job_id, viewer)
        if 0 < after < job.first_event - 1:
            raise EventsPrunedError(after=after, first_event=job.first_event)
        return Subscription(self.store, job_id, max(0, min(after, job.last_event)))

    async def until_ended(self, job_id: str, viewer: Principal | None, *, or_asks: bool = False) -> Job:
        """The record, once the job has ended. Raises ``NotFoundError``, also when it is forgotten meanwhile.

        Raises ``UnavailableError`` when the app stops and the job does not.

        Args:
            job_id: The job.
            viewer: Who waits.
            or_asks: Whether to return as well when it is suspended, which only jobs are that outlive the process.

        Raises:
            UnavailableError: The app stops; the job goes on elsewhere, or later.
        """
        looks = or_asks and self.store.durable
        try:
            while not (job := await self.get(job_id, viewer)).ended and not (or_asks and job.status == "suspended"):
                await self.store.wait(job_id, job.last_event if looks else sys.maxsize, 1.0 if looks else PATIENCE)
        except StoreError:
            if not self._closing:
                raise
            raise UnavailableError(GOES_ON, code="draining") from None
        return job


class Subscription:
    """A reader's place in a job's events: nothing is kept for it but this. Belongs to the home loop.

    Attributes:
        job_id: The job.
        after: The number of the last event that was given.
        ended: Whether the last event of the job was given, or there will be none.
    """

    __slots__ = ("_store", "after", "ended", "job_id")

    def __init__(self, store: Store, job_id: str, after: int) -> None:
        self._store, self.job_id, self.after, self.ended = store, job_id, after, False

    async def next(self, timeout: float) -> Sequence[JobEvent]:
        """The events behind the last one, at most 64 KiB or so; ``()`` after ``timeout`` seconds of silence.

        In place of events that are not kept any more there is one ``missed`` event.
        """
        if self.ended:
            return ()
        found = await self._read()
        if not found and await self._store.wait(self.job_id, self.after, timeout):
            found = await self._read()
            self.ended = self.ended or not found  # forgotten, or ended before
        return found

    async def _read(self) -> Sequence[JobEvent]:
        found: list[JobEvent] = []
        size = 0
        for event in await self._store.read_events(self.job_id, self.after, AT_ONCE):
            if event.sequence > self.after + 1 or event.kind == "missed":
                self._tell_missed(found, event)
            if event.kind != "missed":
                found.append(event)
            self.after = event.sequence
            size += len(event.body)
            if size >= AT_ONCE * 1024:
                break
        self.ended = bool(found) and found[-1].kind in TERMINAL
        return found

    def _tell_missed(self, found: list[JobEvent], before: JobEvent) -> None:
        """Put one ``missed`` event at the end of ``found``, for all that is missing there."""
        first = self.after + 1
        if found and found[-1].kind == "missed":
            first = from_json(found.pop().body)["data"]["first"]
        found.append(missed(first, before))


def may_see(viewer: Principal | None, job: Job) -> bool:
    """Whether a job is there for ``viewer``; a token shows no more than who signed it may see."""
    if viewer is not None and viewer.job_id not in (None, job.id):
        return False
    if viewer is not None and (viewer.sees_all or viewer.may("admin")):
        return True
    return owner_of(viewer) == owner_of(job.request.principal)


def cancel_reason(viewer: Principal | None) -> str:
    """What the record of a job says that ``viewer`` cancels without a word."""
    return f"cancelled on request of {viewer.name}" if viewer is not None and viewer.name else "cancelled on request"
