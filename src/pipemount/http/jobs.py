"""Jobs over HTTP: ``/submit`` and its likes accept one, ``/jobs`` tells of them, cancels, retries, forgets them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar, get_args

from pydantic_core import to_json

from ..errors import InvalidInputsError, NotAcceptableError, RunSuspendedError
from ..jobs.desk import Jobs, cancel_reason
from ..jobs.encoding import error_members
from ..jobs.models import Idempotency, Job, JobQuery, JobStatus, Submitted
from ..runtime.guard import guard
from ..runtime.lifecycle import Lifecycle
from ..settings import Settings
from ..types import JsonObject
from .asking import read_request
from .at_home import at_home
from .describe import link
from .exchange import Exchange
from .headers import accepts_json, check_body, parse_idempotency_key, parse_traceparent
from .invocation import Invocation
from .job_links import JobLinks
from .paths import locate
from .problems import Headers, document
from .query import read_query
from .reading import plain_json, read_body
from .records import DEFAULT_LIMIT, MAX_LIMIT

__all__ = ["JobRoutes", "Keyed", "Submission", "of_job", "record"]

T = TypeVar("T")

STATUSES: tuple[JobStatus, ...] = get_args(JobStatus)

REPLAYED = (b"idempotency-replayed", b"true")
"""Says that an earlier request did the work; as others call it, no standard has a name for it."""


class Submission:
    """``POST …/submit`` of one pipeline, and ``POST …/invoke?mode=async``: 202, and where to look for what comes of it.

    Whoever sends the same ``Idempotency-Key`` again gets the same answer, byte for byte, so ``status`` is that of the
    moment in which the job was accepted.
    """

    def __init__(self, invocation: Invocation, jobs: Jobs, links: JobLinks) -> None:
        self._invocation, self._jobs, self._links = invocation, jobs, links

    async def __call__(self, exchange: Exchange) -> None:
        """Answer ``exchange``; every failure is raised as a ``PipemountError``."""
        _check_accept(exchange)
        request = await read_request(self._invocation, exchange)
        submitted = await at_home(self._invocation.lifecycle, partial(self._jobs.submit, request))
        await _accept(exchange, submitted, self._links)


class Keyed:
    """``POST …/invoke`` with an ``Idempotency-Key``: run once, and wait.

    The run is a job, so that a second request finds what came of the first. A caller who leaves does not cancel it:
    to be able to ask again is what the key is for.
    """

    def __init__(self, invocation: Invocation, jobs: Jobs) -> None:
        self._invocation, self._jobs = invocation, jobs

    async def __call__(self, exchange: Exchange) -> None:
        """Answer ``exchange``; what the run raised is answered from its record."""
        _check_accept(exchange)
        request = await read_request(self._invocation, exchange)
        submitted = await at_home(self._invocation.lifecycle, partial(self._jobs.submit, request, wants_result=True))
        wait = partial(self._jobs.until_ended, submitted.job.id, exchange.principal, or_asks=True)
        job = await guard(at_home(self._invocation.lifecycle, wait), None, exchange.left)
        more = of_job(submitted)
        if job.status == "succeeded" and job.result is not None:
            body = self._invocation.body(job, job.result, job.request.parameters, job.execution_time or 0.0)
            await _answer(exchange, body, 200, more, data=True)
        else:
            error = job.error if job.question is None else _asks(job, job.question)
            instance = link(*locate(exchange.scope))
            await exchange.respond(*document(error or {}, instance=instance, more=more))


def _asks(job: Job, question: Mapping[str, Any]) -> JsonObject:
    """What is told to who waits for a job that waits for somebody else."""
    interrupts = [{"id": question["key"], "value": question}]
    error = RunSuspendedError(step=str(question.get("step") or "") or None, interrupts=interrupts)
    error.run_id = job.id
    return error_members(error)


class JobRoutes:
    """``/jobs`` and what is below it."""

    def __init__(self, jobs: Jobs, lifecycle: Lifecycle, links: JobLinks, settings: Settings) -> None:
        self._jobs, self._lifecycle, self._links, self._settings = jobs, lifecycle, links, settings

    async def list(self, exchange: Exchange) -> None:
        """``GET /jobs``: those that the caller may see, the youngest first."""
        _check_accept(exchange)
        query = _query(exchange)
        page = await self._at_home(partial(self._jobs.list, query, exchange.principal))
        found = {
            "jobs": [_summary(job, self._links.urls(job.id, exchange.base)) for job in page.jobs],
            "next_cursor": page.cursor,
        }
        await _answer(exchange, to_json(found), 200, [NO_STORE])

    async def job(self, exchange: Exchange) -> None:
        """``GET`` and ``DELETE /jobs/{job_id}``."""
        job_id, viewer = exchange.params["job_id"], exchange.principal
        if exchange.scope["method"] == "DELETE":
            await self._at_home(partial(self._jobs.delete, job_id, viewer))
            await exchange.respond(204, [], b"")
            return
        _check_accept(exchange)
        await self._tell(exchange, await self._at_home(partial(self._jobs.get, job_id, viewer)))

    async def cancel(self, exchange: Exchange) -> None:
        """``POST /jobs/{job_id}/cancel``: the record as it is then. What was cancelled before stays so."""
        _check_accept(exchange)
        job_id, viewer = exchange.params["job_id"], exchange.principal
        await self._tell(
            exchange, await self._at_home(partial(self._jobs.cancel, job_id, viewer, cancel_reason(viewer)))
        )

    async def retry(self, exchange: Exchange) -> None:
        """``POST /jobs/{job_id}/retry``: 202, as ``/submit``; with an ``Idempotency-Key`` once."""
        _check_accept(exchange)
        job_id, viewer, headers = exchange.params["job_id"], exchange.principal, exchange.headers
        trace = parse_traceparent(headers.get(b"traceparent"), headers.get(b"tracestate"))
        retry = partial(self._jobs.retry, job_id, viewer, idempotency=_retried(exchange, job_id), trace=trace)
        await _accept(exchange, await self._at_home(retry), self._links)

    async def resume(self, exchange: Exchange) -> None:
        """``POST /jobs/{job_id}/resume``: the body, any JSON, is the answer to what a suspended job asks."""
        _check_accept(exchange)
        job_id, viewer, limit = exchange.params["job_id"], exchange.principal, self._settings.max_body_bytes
        await self._at_home(partial(self._jobs.get, job_id, viewer))
        declared = check_body(exchange.headers, limit)
        answer = plain_json(await read_body(exchange, limit, declared, self._settings.body_timeout))
        await self._tell(exchange, await self._at_home(partial(self._jobs.resume, job_id, answer, viewer)))

    async def _tell(self, exchange: Exchange, job: Job) -> None:
        body = record(job, self._links.urls(job.id, exchange.base))
        await _answer(exchange, body, 200, [NO_STORE, (b"x-run-id", job.id.encode("ascii"))])

    async def _at_home(self, function: Callable[[], Awaitable[T]]) -> T:
        await self._lifecycle.ensure_ready()
        return await at_home(self._lifecycle, function)


NO_STORE = (b"cache-control", b"no-store")


def _check_accept(exchange: Exchange) -> None:
    if not accepts_json(exchange.headers.get(b"accept")):
        raise NotAcceptableError("this route answers application/json; name it in Accept, or send no Accept")


def _retried(exchange: Exchange, job_id: str) -> Idempotency | None:
    """What makes another request to retry the job the same one."""
    if (sent := exchange.headers.get(b"idempotency-key")) is None:
        return None
    return Idempotency.of(exchange.principal, job_id, "retry", key=parse_idempotency_key(sent))


async def _accept(exchange: Exchange, submitted: Submitted, links: JobLinks) -> None:
    job_id = submitted.job.id
    urls = links.urls(job_id, exchange.base)
    told = {name: urls[name] for name in ("poll_url", "stream_url")}
    body = to_json({"job_id": job_id, "run_id": job_id, "status": "queued", **told})
    await _answer(exchange, body, 202, [*links.location(job_id, exchange.base), *of_job(submitted)])


def of_job(submitted: Submitted) -> Headers:
    """Which job answers, and whether an earlier request began it."""
    own = (b"x-run-id", submitted.job.id.encode("ascii"))
    return [own, REPLAYED] if submitted.reused else [own]


async def _answer(exchange: Exchange, body: bytes, status: int, more: Headers, *, data: bool = False) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *more]
    await exchange.respond(status, headers, body, data=data)


# ----------------------------------------------------------------------------------------- records


def record(job: Job, urls: Mapping[str, str | None]) -> bytes:
    """All that is known of a job. Outputs and parameters are the very bytes that the record has."""
    head = to_json(_summary(job, urls), inf_nan_mode="null")
    return b'%b,"parameters":%b,"outputs":%b}' % (head[:-1], job.request.parameters, job.result or b"null")


def _summary(job: Job, urls: Mapping[str, str | None]) -> JsonObject:
    return {
        "job_id": job.id,
        "run_id": job.id,
        "pipeline": job.request.pipeline,
        "kind": job.request.kind,
        "status": job.status,
        "created_at": _moment(job.created),
        "started_at": _moment(job.started),
        "finished_at": _moment(job.finished),
        "execution_time": job.execution_time,
        "run_name": job.run_name or job.request.run_name,
        "run_index": job.run_index or None,
        "timeout": job.request.timeout,
        "expires_at": _moment(job.expires_at),
        "attempt": job.attempt,
        "question": job.question,
        "cancel_requested": job.cancel_requested,
        "reason": job.reason,
        "error": job.error,
        "first_event": job.first_event,
        "last_event": job.last_event,
        **urls,
    }


def _moment(seconds: float | None) -> str | None:
    """RFC 3339, in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


# ----------------------------------------------------------------------------------------- queries


def _query(exchange: Exchange) -> JobQuery:
    """What ``GET /jobs`` is asked for. Raises 422."""
    if not exchange.scope["query_string"]:
        return JobQuery(limit=DEFAULT_LIMIT)
    sent = read_query(exchange.scope)
    return JobQuery(
        pipeline=_one(sent, "pipeline"),
        status=_statuses(sent),
        limit=_limit(_one(sent, "limit")),
        cursor=_one(sent, "cursor"),
    )


def _statuses(sent: Mapping[str, list[str]]) -> tuple[JobStatus, ...]:
    """Of ``status=queued&status=running``, and of ``status=queued,running``."""
    named = [name for value in sent.get("status", ()) for name in value.split(",")]
    if not set(named) <= set(STATUSES):
        raise _fault("status", f"Input should be one or more of {', '.join(STATUSES)}", "enum")
    return tuple(status for status in STATUSES if status in named)


def _limit(sent: str | None) -> int:
    if sent is None:
        return DEFAULT_LIMIT
    if not (sent.isascii() and sent.isdigit() and len(sent) < 9 and 1 <= int(sent) <= MAX_LIMIT):
        raise _fault("limit", f"Input should be a number from 1 to {MAX_LIMIT}", "limit")
    return int(sent)


def _one(sent: Mapping[str, list[str]], name: str) -> str | None:
    values = sent.get(name)
    if values is not None and len(values) > 1:
        raise _fault(name, "Input should come once", "duplicate")
    return None if values is None else values[0]


def _fault(name: str, message: str, kind: str) -> InvalidInputsError:
    return InvalidInputsError(errors=[{"loc": ["query", name], "msg": message, "type": kind}])
