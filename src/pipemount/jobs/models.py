"""What is known of a job: frozen values, the same in every store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from pydantic_core import from_json, to_json

from ..types import Principal, Trace

__all__ = [
    "ENDED",
    "STATUSES",
    "Claim",
    "Idempotency",
    "Job",
    "JobEvent",
    "JobQuery",
    "JobRequest",
    "JobStatus",
    "Lease",
    "LeaseState",
    "Outcome",
    "Page",
    "Submitted",
    "expiry_of",
    "owner_of",
]

T = TypeVar("T")

JobStatus: TypeAlias = Literal["queued", "running", "suspended", "cancelling", "succeeded", "failed", "cancelled"]
"""``suspended``: it asks something, and holds no place until it is answered.

``cancelling``: a cancel was asked for, and a step that cannot be stopped has not returned yet.
"""

STATUSES: tuple[JobStatus, ...] = (
    "queued",
    "running",
    "suspended",
    "cancelling",
    "succeeded",
    "failed",
    "cancelled",
)

ENDED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})
"""A job that has one of these never changes again."""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """What makes two requests the same one (draft-ietf-httpapi-idempotency-key-header).

    Attributes:
        scope: Whose key it is: two callers may use the same one.
        key: As the caller chose it.
        digest: Of what was asked for; another one under the same key is a conflict.
    """

    scope: str
    key: str
    digest: str

    @classmethod
    def of(cls, who: Principal | None, *what: str, key: str, digest: str = "") -> Idempotency:
        """Of ``what`` somebody asks for: a pipeline and the kind of job, or a job and the verb."""
        return cls(to_json([owner_of(who), *what]).decode(), key, digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job that is asked for. Everything in it but ``principal.user`` can be written down.

    Attributes:
        job_id: A UUID, the run's as well.
        pipeline: Its name in the app.
        fingerprint: Of the pipeline that the inputs were validated by.
        kind: ``"run"``, or ``"batch"``: ``inputs`` is a list then, and so is the result.
        inputs: JSON: the inputs by name, as they were sent, found valid. They are validated once more when the run
            begins: what validation makes of them need not be what JSON can say.
        parameters: JSON: the inputs as validated, defaults included: what readers of the job see. Of a batch a list.
        overrides: JSON: of steps' own parameters, or ``None``.
        run_name: For people; placeholders are filled in when the run begins.
        timeout: Seconds that the run may take, or ``None`` for the app's limit.
        principal: On whose behalf; who else may see the job says ``Jobs``.
        trace: The caller's trace.
        idempotency: What a second request of the same would say.
        queue: Its name, for limits of its own and for workers that take only some.
        priority: Those with a greater one are begun first; the oldest first among equals.
        run_at: Not to be begun before, in seconds since the epoch; ``None`` is at once, whatever the clock says.
        max_attempts: How often it is begun at most if its run fails.
        expires: Seconds from its submission in which it is to be begun; later it is not, and has failed.
    """

    job_id: str
    pipeline: str
    fingerprint: str
    inputs: bytes
    parameters: bytes = b"null"
    kind: Literal["run", "batch"] = "run"
    overrides: bytes | None = None
    run_name: str | None = None
    timeout: float | None = None
    principal: Principal | None = None
    trace: Trace | None = None
    idempotency: Idempotency | None = None
    queue: str = "default"
    priority: int = 0
    run_at: float | None = None
    max_attempts: int = 1
    expires: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job's record, as it is at one moment. Times are seconds since the epoch.

    Attributes:
        request: What was asked for.
        status: Where it is.
        created: When it was accepted.
        started: When its run began.
        finished: When it ended.
        attempt: How many times a runner has begun it; what an orderly stop cut short is begun again as the same.
        crashes: How many runners came to their end while they performed it.
        run_at: Not to be begun before, in seconds since the epoch: as it was asked for, or for its next attempt.
        expires_at: Not to be begun later, in seconds since the epoch; ``None`` once somebody has claimed it.
        run_index: The how-manieth run of its pipeline in its process.
        run_name: For people, once the run has begun.
        question: What a suspended job asks, as JSON-compatible values: ``key``, where the answer belongs, ``step``,
            ``reason``, ``schema``, and ``faults`` of an answer that did not fit.
        cancel_requested: Whether somebody asked to cancel it.
        reason: Why it was cancelled: who asked, or what happened.
        result: JSON: the outputs of a job that succeeded.
        execution_time: Seconds that the run took.
        error: Of a job that failed, the members of its problem document; of one that was cancelled as well.
        last_event: The number of its last event; 0 before the first.
        first_event: From this number on all events are kept; 1 unless some were pruned.
    """

    request: JobRequest
    status: JobStatus
    created: float
    started: float | None = None
    finished: float | None = None
    attempt: int = 0
    crashes: int = 0
    run_at: float | None = None
    expires_at: float | None = None
    run_index: int = 0
    run_name: str | None = None
    question: Mapping[str, Any] | None = None
    cancel_requested: bool = False
    reason: str | None = None
    result: bytes | None = None
    execution_time: float | None = None
    error: Mapping[str, Any] | None = None
    last_event: int = 0
    first_event: int = 1

    @property
    def id(self) -> str:
        """Its UUID."""
        return self.request.job_id

    @property
    def run_id(self) -> str:
        """The run's: the same."""
        return self.request.job_id

    @property
    def pipeline(self) -> str:
        """The name of its pipeline in the app."""
        return self.request.pipeline

    @property
    def parameters(self) -> Any:
        """JSON: its inputs as validated, by name; of a batch a list of such."""
        return from_json(self.request.parameters)

    @property
    def outputs(self) -> Any:
        """JSON: what it gave, by name; of a batch a list of results. ``None`` unless it has succeeded."""
        return None if self.result is None else from_json(self.result)

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.status in ENDED


class JobEvent(NamedTuple):
    """An event of a job's run as it is kept: written once, read by every subscriber.

    Attributes:
        sequence: As in ``Event``; the id of a server-sent event.
        kind: As in ``Event``.
        body: The whole event as one line of JSON: ``kind``, ``sequence``, ``run_id``, ``time``, ``step``, ``attempt``,
            ``data``. The outputs of ``run_completed`` are as in an invocation's response.
    """

    sequence: int
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """Which jobs a worker takes: the most urgent ones that are queued and due, the oldest among equals.

    Attributes:
        worker: Whose they are then.
        pipelines: Only those of these.
        count: At most so many.
        queues: Only those in these; empty for all.
        but_of: None of these principals' (``owner_of``; ``""`` is nobody).
        crashed: At most so many that crashed before. With 0 they are passed over; more of them than that are left, and
            another claim may have others in their stead. ``None`` for any number.
    """

    worker: str
    pipelines: Sequence[str]
    count: int
    queues: Sequence[str] = ()
    but_of: Sequence[str] = ()
    crashed: int | None = None

    def chosen(self, found: Iterable[T], has_crashed: Callable[[T], bool]) -> Sequence[T]:
        """Of those that come first, ``count`` at most, those that are taken."""
        left = self.count if self.crashed is None else self.crashed
        chosen = []
        for each in islice(found, self.count):
            if not (crashed := has_crashed(each)) or left:
                left -= crashed
                chosen.append(each)
        return chosen


class Lease(NamedTuple):
    """The right to perform a job, until it is finished or taken away.

    Attributes:
        job: As it was when it was claimed.
        fence: Grows with every claim; a store refuses what carries an older one.
    """

    job: Job
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: ``succeeded``, ``failed`` or ``cancelled``.
        result, execution_time, run_index, run_name, error, reason: As in ``Job``.
    """

    status: Literal["succeeded", "failed", "cancelled"]
    result: bytes | None = None
    execution_time: float | None = None
    run_index: int = 0
    run_name: str | None = None
    error: Mapping[str, Any] | None = None
    reason: str | None = None


LeaseState: TypeAlias = Literal["held", "cancel", "lost"]
"""Of a lease: it holds, its job is to be cancelled, or somebody else has it."""


class Submitted(NamedTuple):
    """What became of a request: its job, which an earlier, equal request may have made."""

    job: Job
    reused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Which jobs are listed, the youngest first.

    Attributes:
        owner: Only those of this principal (``owner_of``); ``None`` for all, ``""`` for those of nobody.
        pipeline: Only those of this pipeline.
        status: Only those that have one of these; empty for all.
        limit: At most so many.
        cursor: Where an earlier page ended.
    """

    owner: str | None = None
    pipeline: str | None = None
    status: Sequence[JobStatus] = ()
    limit: int = 50
    cursor: str | None = None


class Page(NamedTuple):
    """Some jobs, and where the next ones begin; ``None`` where there are no more."""

    jobs: Sequence[Job]
    cursor: str | None


def expiry_of(request: JobRequest, created: float) -> float | None:
    """``Job.expires_at`` of a job that came at ``created``."""
    return None if request.expires is None else created + request.expires


def owner_of(principal: Principal | None) -> str | None:
    """To whom a job belongs: ``"key:ci"``, ``"django:ada"``; ``None`` is nobody."""
    return None if principal is None else f"{principal.source}:{principal.name}"
