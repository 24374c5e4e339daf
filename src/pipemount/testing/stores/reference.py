"""What jobs ought to become, whatever store they are in: a few lines that know no disk, no process and no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...jobs.models import ENDED, STATUSES, JobRequest, JobStatus

__all__ = ["AFTER", "Known", "Reference"]

AFTER: Mapping[JobStatus, frozenset[str]] = {
    "queued": frozenset({"running", "failed", "cancelled"}),
    "running": frozenset({"queued", "suspended", "cancelling"}) | ENDED,
    "suspended": frozenset({"queued", "cancelled"}),
    "cancelling": ENDED,
    **{status: frozenset[str]() for status in STATUSES if status in ENDED},
}
"""What a job may become by one verb; after its end nothing."""

CRASHES = 3
"""So many, with nothing new kept meanwhile, are a job's end."""


@dataclass(slots=True)
class Known:
    """A job as it ought to be.

    Attributes:
        request: What was asked for.
        number: The how-manieth it is.
        begin_by: Until when it may be claimed, as the store has said; ``None`` once it was.
        orphaned: Whether its worker is no more, and nobody has found that out yet.
        outlived: The crashes that it had when it last kept something new.
        begun: Whether its worker has begun it; one that crashed before is begun when it is handed over.
        ended: The how-manieth that has come to its end.
    """

    request: JobRequest
    number: int
    run_at: float | None
    status: JobStatus = "queued"
    fence: int = 0
    worker: str | None = None
    begin_by: float | None = None
    orphaned: bool = False
    attempt: int = 0
    crashes: int = 0
    outlived: int = 0
    begun: bool = True
    cancel_requested: bool = False
    reason: str | None = None
    last_event: int = 0
    question: Mapping[str, Any] | None = None
    steps: dict[str, bytes] = field(default_factory=dict)
    ended: int = 0

    @property
    def id(self) -> str:
        """Its UUID."""
        return self.request.job_id


class Reference:
    """All jobs, and what each verb makes of them.

    Attributes:
        jobs: By id, the oldest first; those that are forgotten are not there.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Known] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._numbers, self._ends = 0, 0

    def submit(self, request: JobRequest) -> Known | None:
        """The job: a new one, or the one that an equal request made. ``None``: its key came with something else."""
        same = request.idempotency
        if same is not None and (found := self._keys.get((same.scope, same.key))) is not None:
            first = self.jobs[found]
            assert first.request.idempotency is not None
            return first if first.request.idempotency.digest == same.digest else None
        self._numbers += 1
        known = self.jobs[request.job_id] = Known(request, self._numbers, request.run_at)
        if same is not None:
            self._keys[same.scope, same.key] = known.id
        return known

    def waiting(self, pipelines: Sequence[str], queues: Sequence[str] = ()) -> list[Known]:
        """Those that may be claimed if they are due, in the order in which they are."""
        found = [
            known
            for known in self.jobs.values()
            if known.status == "queued"
            and known.request.pipeline in pipelines
            and (not queues or known.request.queue in queues)
        ]
        return sorted(found, key=lambda known: (-known.request.priority, known.number))

    def claim(self, known: Known, worker: str) -> None:
        """It is this worker's."""
        known.status, known.worker, known.orphaned, known.begin_by = "running", worker, False, None
        known.fence += 1
        known.attempt += 1
        known.begun = not known.crashes

    def hand_over(self, known: Known, worker: str) -> None:
        """It is another worker's, and begun."""
        known.worker, known.begun = worker, True

    def held(self, job_id: str, fence: int) -> Known | None:
        """The job of a lease that holds."""
        known = self.jobs.get(job_id)
        return known if known is not None and known.worker is not None and known.fence == fence else None

    def of(self, worker: str) -> list[Known]:
        """What a worker has."""
        return [known for known in self.jobs.values() if known.worker == worker]

    def wait_again(
        self, known: Known, run_at: float | None = None, *, crashed: bool = False, cut_short: bool = False
    ) -> None:
        """It is nobody's, and queued; unless it is to be cancelled, or has been the end of too many."""
        known.crashes += crashed
        if known.cancel_requested:
            self.end(known, "cancelled", known.reason, known.last_event + 1)
        elif crashed and known.crashes - known.outlived >= CRASHES:
            self.end(known, "failed", None, known.last_event + 1)
        else:
            known.status, known.worker, known.run_at, known.orphaned = "queued", None, run_at, False
            known.attempt -= cut_short or not (known.begun or crashed)

    def rescue(self) -> int:
        """Orphans wait again; how many there were."""
        orphans = [known for known in self.jobs.values() if known.orphaned]
        for known in orphans:
            self.wait_again(known, crashed=known.begun)
        return len(orphans)

    def save_step(self, known: Known, key: str, output: bytes) -> None:
        """What a step gave is kept."""
        if key not in known.steps:
            known.outlived = known.crashes
        known.steps[key] = output

    def suspend(self, known: Known, question: Mapping[str, Any]) -> None:
        """It asks, unless it is to be cancelled."""
        if known.cancel_requested:
            self.wait_again(known)
        else:
            known.status, known.worker, known.question, known.orphaned = "suspended", None, question, False

    def resume(self, known: Known, answer: bytes) -> None:
        """It has its answer."""
        assert known.question is not None
        known.steps[known.question["key"]] = answer
        known.status, known.question, known.run_at = "queued", None, None
        known.attempt -= 1

    def cancel(self, known: Known, reason: str) -> str:
        """What a store says of that."""
        if known.status in ENDED:
            return "ended"
        if known.status in ("queued", "suspended"):
            self.end(known, "cancelled", reason, known.last_event + 1)
            return "cancelled"
        if not known.cancel_requested:
            known.status, known.cancel_requested, known.reason = "cancelling", True, reason
        return "requested"

    def end(self, known: Known, status: JobStatus, reason: str | None, last_event: int) -> None:
        """It has ended, and is never changed again."""
        self._ends += 1
        known.status, known.reason, known.last_event, known.ended = status, reason, last_event, self._ends
        known.worker, known.question, known.orphaned, known.steps = None, None, False, {}
        known.begin_by = None

    def ended_at(self, times: Mapping[str, float]) -> None:
        """Of jobs that one verb has ended the store says which came first."""
        together = sorted((self.jobs[job_id] for job_id in times), key=lambda known: (times[known.id], known.number))
        for known, number in zip(together, sorted(known.ended for known in together), strict=True):
            known.ended = number

    def too_many(self, limit: int) -> list[Known]:
        """Of the ended ones those that need not be kept: the oldest, those with a key last."""
        ended = [known for known in self.jobs.values() if known.ended]
        ended.sort(key=lambda known: (known.request.idempotency is not None, known.ended))
        return ended[: max(0, len(ended) - limit)]

    def forget(self, gone: Iterable[Known]) -> None:
        """They were never there; nor were their keys."""
        for known in list(gone):
            del self.jobs[known.id]
            same = known.request.idempotency
            if same is not None and self._keys.get((same.scope, same.key)) == known.id:
                del self._keys[same.scope, same.key]
