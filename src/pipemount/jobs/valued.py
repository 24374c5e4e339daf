"""A store whose large values are kept elsewhere: in its database there is only what stands for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import time
from typing import Any

from ..errors import StoreError, ValueLostError
from ..runtime.events import PASSING
from .models import Claim, Job, JobEvent, JobQuery, JobRequest, Lease, Outcome, Page, Submitted
from .outcomes import outcome_of_lost
from .store import Store
from .values import Values, is_reference

__all__ = ["LARGE", "ValuedStore"]

logger = logging.getLogger("pipemount")

LARGE = 256 * 1024
"""Bytes from which on a value is kept elsewhere."""

ABANDONED = 6 * 3600.0
"""Seconds after which the values of a job that nobody knows are taken for those of a process that was ended before it
had the job written down; clocks of hosts may differ by less."""

BETWEEN = 600.0
"""Seconds between two looks for such."""

PAUSE = 5.0
"""Seconds for which a job waits whose values cannot be read at the moment."""

REQUEST = ("inputs", "parameters", "overrides")


class ValuedStore:
    """Has another store keep all but values of ``LARGE`` bytes or more: see ``Store`` for the verbs.

    A value is written before the row that names it; the row is removed before the value. What a process leaves behind
    that is ended between the two is removed by ``sweep``. Values of a job are in a folder that goes with the job, those
    of its steps in one that goes when it has ended.

    Whatever is not told here is the other store's.

    Args:
        store: Where jobs are; one that outlives the process.
        values: Where the large values are.
    """

    def __init__(self, store: Store, values: Values) -> None:
        self._store, self._values = store, values
        self._looked = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def forget(self) -> None:
        """As ``Store.forget``."""
        self._store.forget()
        self._values.forget()

    async def open(self) -> None:
        """As ``Store.open``."""
        await self._store.open()
        self._values.open()

    async def close(self) -> None:
        """As ``Store.close``."""
        await self._store.close()
        await self._values.close()

    # ---------------------------------------------------------------------------------------- coming

    async def submit(self, request: JobRequest) -> Submitted:
        """As ``Store.submit``."""
        try:
            kept = await self._request_kept(request)
        except BaseException:
            await self._values.drop(request.job_id)
            raise
        if kept is request:
            return await self._unkept(await self._store.submit(request))
        try:
            submitted = await self._store.submit(kept)
        except StoreError:  # it may have been taken all the same: a sweep will know
            raise
        except BaseException:
            await self._values.drop(request.job_id)
            raise
        if submitted.reused:
            await self._values.drop(request.job_id)
            return await self._unkept(submitted)
        whole = {name: getattr(request, name) for name in REQUEST}
        return Submitted(replace(submitted.job, request=replace(submitted.job.request, **whole)), False)

    async def _unkept(self, submitted: Submitted) -> Submitted:
        return Submitted(await self._whole(submitted.job), submitted.reused) if submitted.reused else submitted

    async def _request_kept(self, request: JobRequest) -> JobRequest:
        kept: dict[str, Any] = {}
        for name in REQUEST:
            value: bytes | None = getattr(request, name)
            if value is not None and _is_large(value):
                same = name == "parameters" and value == request.inputs
                kept[name] = kept["inputs"] if same else await self._values.put(request.job_id, name, value)
        return replace(request, **kept) if kept else request

    async def get(self, job_id: str) -> Job | None:
        """As ``Store.get``. Raises ``ValueLostError`` where the job has succeeded and its result is lost."""
        job = await self._store.get(job_id)
        return None if job is None else await self._whole(job)

    async def list(self, query: JobQuery) -> Page:
        """As ``Store.list``; what is lost of a job is null there, and told in the log."""
        page = await self._store.list(query)
        return Page(await asyncio.gather(*(self._whole(job, strict=False) for job in page.jobs)), page.cursor)

    async def _whole(self, job: Job, *, strict: bool = True) -> Job:
        """A record with its values; of one that cannot be begun any more inputs may be lost."""
        request, result = job.request, job.result
        found = {name: value for name in REQUEST if is_reference(value := getattr(request, name) or b"")}
        if found:
            values = await asyncio.gather(*(self._or_null(value) for value in found.values()))
            whole: dict[str, Any] = dict(zip(found, values, strict=True))
            request = replace(request, **whole)
        if result is not None and is_reference(result):
            result = await (self._values.get(result) if strict else self._or_null(result))
        return job if request is job.request and result is job.result else replace(job, request=request, result=result)

    async def _or_null(self, reference: bytes) -> bytes:
        try:
            return await self._values.get(reference)
        except ValueLostError as error:
            logger.warning("%s", error)
            return b"null"

    async def delete(self, job_id: str) -> bool:
        """As ``Store.delete``."""
        deleted = await self._store.delete(job_id)
        if deleted:
            await self._values.drop(job_id)
        return deleted

    # ---------------------------------------------------------------------------------------- leases

    async def claim(self, claim: Claim) -> Sequence[Lease]:
        """As ``Store.claim``; a job whose inputs are lost has failed then, and is not among them."""
        leases = await self._store.claim(claim)
        found = await asyncio.gather(*(self._leased(lease) for lease in leases))
        return [lease for lease in found if lease is not None]

    async def claim_job(self, job_id: str, worker: str) -> Lease | None:
        """As ``Store.claim_job``; the same."""
        lease = await self._store.claim_job(job_id, worker)
        return None if lease is None else await self._leased(lease)

    async def _leased(self, lease: Lease) -> Lease | None:
        request = lease.job.request
        found = {name: value for name in REQUEST if is_reference(value := getattr(request, name) or b"")}
        values: dict[str, Any]
        try:
            values = {name: await self._values.get(value) for name, value in found.items()}
        except ValueLostError as error:
            await self._store.finish(lease, *outcome_of_lost(lease.job, error))
            return None
        except StoreError:
            await self._store.requeue(lease, time() + PAUSE)
            return None
        return Lease(replace(lease.job, request=replace(request, **values)), lease.fence) if values else lease

    async def unclaimed(self, patience: float, limit: int) -> Sequence[Job]:
        """As ``Store.unclaimed``; what carries a job needs none of its values."""
        return await self._store.unclaimed(patience, limit)

    # ------------------------------------------------------------------------------------ performing

    async def save_step(self, lease: Lease, key: str, output: bytes) -> bool:
        """As ``Store.save_step``."""
        kept = await self._values.put(lease.job.id, "steps", output) if _is_large(output) else output
        return await self._store.save_step(lease, key, kept)

    async def read_steps(self, lease: Lease) -> Mapping[str, bytes]:
        """As ``Store.read_steps``; a step whose output is lost is left out: it runs again."""
        steps = await self._store.read_steps(lease)
        values = await asyncio.gather(*(self._step(value) for value in steps.values()))
        return {key: value for key, value in zip(steps, values, strict=True) if value is not None}

    async def _step(self, value: bytes) -> bytes | None:
        if not is_reference(value):
            return value
        try:
            return await self._values.get(value)
        except ValueLostError as error:
            logger.warning("%s; the step runs again", error)
            return None

    async def append(self, lease: Lease, events: Sequence[JobEvent]) -> bool:
        """As ``Store.append``."""
        return await self._store.append(lease, await self._events_kept(lease, events))

    async def suspend(self, lease: Lease, question: Mapping[str, Any], events: Sequence[JobEvent] = ()) -> bool:
        """As ``Store.suspend``."""
        return await self._store.suspend(lease, question, await self._events_kept(lease, events))

    async def requeue(
        self, lease: Lease, run_at: float | None = None, events: Sequence[JobEvent] = (), **ended: bool
    ) -> bool:
        """As ``Store.requeue``."""
        return await self._store.requeue(lease, run_at, await self._events_kept(lease, events), **ended)

    async def finish(self, lease: Lease, outcome: Outcome, events: Sequence[JobEvent] = ()) -> bool:
        """As ``Store.finish``."""
        kept = outcome
        if outcome.result is not None and _is_large(outcome.result):
            kept = replace(outcome, result=await self._values.put(lease.job.id, "result", outcome.result))
        finished = await self._store.finish(lease, kept, await self._events_kept(lease, events))
        if finished:
            await self._values.drop(lease.job.id, "steps")
        return finished

    async def _events_kept(self, lease: Lease, events: Sequence[JobEvent]) -> Sequence[JobEvent]:
        """What passes stays where it makes way for more of it."""
        if not any(map(_goes_elsewhere, events)):
            return events
        return [
            event._replace(body=await self._values.put(lease.job.id, "events", event.body))
            if _goes_elsewhere(event)
            else event
            for event in events
        ]

    async def read_events(self, job_id: str, after: int, limit: int) -> Sequence[JobEvent]:
        """As ``Store.read_events``. Raises ``ValueLostError``: a log has no gaps."""
        events = await self._store.read_events(job_id, after, limit)
        if not any(is_reference(event.body) for event in events):
            return events
        return [
            event._replace(body=await self._values.get(event.body)) if is_reference(event.body) else event
            for event in events
        ]

    # ------------------------------------------------------------------------------------ forgetting

    async def sweep(self) -> None:
        """As ``Store.sweep``; and values of jobs that are forgotten, or were never written down, are removed."""
        await self._store.sweep()
        if time() - self._looked < BETWEEN:
            return
        self._looked = time()
        for job_id in await self._values.jobs():
            if await self._store.get(job_id) is None and await self._values.youngest(job_id) < time() - ABANDONED:
                await self._values.drop(job_id)


def _is_large(value: bytes) -> bool:
    return len(value) >= LARGE or is_reference(value)


def _goes_elsewhere(event: JobEvent) -> bool:
    return event.kind not in PASSING and _is_large(event.body)
