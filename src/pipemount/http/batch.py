"""``POST …/batch``: a list of inputs, and a result for each in its place."""

from __future__ import annotations

import json
from asyncio import get_running_loop
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from ..batching import Batch, Done, Outcome, Place
from ..errors import InvalidInputsError, MalformedRequestError, PipemountError
from ..errors.problems import members_of
from ..jobs.desk import Jobs
from ..jobs.models import JobRequest
from ..jobs.outcomes import Performed
from ..jobs.work import Work
from ..pipelines.flooding import guarded
from ..pipelines.schema import OUT_OF_RANGE, Schema, describe_errors
from ..runtime.call import Call
from ..runtime.guard import guard
from ..runtime.lifecycle import Lifecycle
from ..service import Service, new_run_id
from ..types import JsonObject, Principal, Trace
from .asking import idempotency_of
from .at_home import at_home
from .describe import link
from .exchange import Exchange
from .finite import refuse_non_finite
from .headers import parse_idempotency_key, parse_traceparent
from .invocation import Answers, check_json, lets_infinity_in
from .jobs import of_job
from .models import MIN_TIMEOUT
from .paths import locate
from .problems import document, log_failure
from .query import read_query
from .reading import Visit, read_body, tell_quota

__all__ = ["BatchEndpoint", "Items"]

UNEXPECTED = PipemountError("an unexpected error; see the log")

ITEM = 64
"""Bytes: where the items at the head of a long body are smaller than this on average, they are counted first."""

Sent = tuple[Any, bytes]
"""Inputs as validated, and as the JSON that says so."""


class BatchEndpoint:
    """The endpoint of one pipeline. A batch is admitted as any request is; how it shares, ``Batch`` tells."""

    def __init__(self, service: Service, lifecycle: Lifecycle, jobs: Jobs) -> None:
        self._service, self._lifecycle, self._jobs = service, lifecycle, jobs
        self._items = Items(service.compiled.input, service.settings.max_batch)
        self._body = Answers(service).body

    async def __call__(self, exchange: Exchange) -> None:
        """Answer ``exchange``; what fails as a whole is raised as a ``PipemountError``."""
        declared = check_json(exchange, self._service.settings.max_body_bytes)
        timeout = self._timeout(exchange)
        tell_quota(exchange, self._service.admission)
        if exchange.headers.get(b"idempotency-key") is not None:
            await self._answer_keyed(exchange, declared, timeout)
            return
        deadline = monotonic() + timeout
        await self._lifecycle.ensure_ready()
        admission, name, who = self._service.admission, self._service.name, exchange.principal
        await guard(admission.enter(name, who, timeout), timeout, deadline=deadline)
        visit, place = Visit(admission, name, who), None
        try:
            began = monotonic()
            if admission.queued:
                visit.step_aside()
            sent = await self._sent(exchange, declared, visit.step_aside)
            deadline += monotonic() - began  # how fast it sends is the caller's affair
            await visit.come_back(timeout, deadline)
            place = Place(admission, name, who)
            items = self._items.read(sent)
            admission.charge(who, len(items) - 1)
            batch = self._batch(self._calls(items, who, _trace(exchange)), timeout, deadline, place)
            outcomes = await self._performed(batch, exchange)
        finally:
            if place is None:
                visit.end()
            else:
                place.leave()
        await _answer(exchange, self._written(items, outcomes), new_run_id())

    async def _answer_keyed(self, exchange: Exchange, declared: int | None, timeout: float) -> None:
        """With an ``Idempotency-Key`` a batch is a job, which happens once, and goes on when its caller leaves."""
        parse_idempotency_key(exchange.headers.get(b"idempotency-key") or b"")
        await self._lifecycle.ensure_ready()
        self._service.admission.check(self._service.name, exchange.principal)
        sent = await self._sent(exchange, declared)
        items = self._items.read(sent)
        self._service.admission.charge(exchange.principal, len(items) - 1)
        request = JobRequest(
            job_id=new_run_id(),
            pipeline=self._service.name,
            fingerprint=self._service.compiled.info.fingerprint,
            kind="batch",
            inputs=sent,
            parameters=b"[%b]" % b",".join(b"null" if isinstance(i, PipemountError) else i[1] for i in items),
            timeout=timeout,
            principal=exchange.principal,
            trace=_trace(exchange),
            idempotency=idempotency_of(exchange, self._service, "batch", sent),
        )
        submitted = await at_home(self._lifecycle, partial(self._jobs.submit, request, wants_result=True))
        wait = partial(self._jobs.until_ended, submitted.job.id, exchange.principal)
        job = await guard(at_home(self._lifecycle, wait), None, exchange.left)
        more = of_job(submitted)
        if job.result is None:
            await exchange.respond(*document(job.error or {}, instance=link(*locate(exchange.scope)), more=more))
        else:
            await _answer(exchange, job.result, job.id, more[1:])

    async def perform(self, work: Work) -> Performed:
        """A batch that is a job. It keeps its place to its end, as any job does."""
        request, began = work.job.request, monotonic()
        items = self._items.read(request.inputs)
        calls = self._calls(items, request.principal, request.trace)
        own = [call for call in calls if isinstance(call, Call)]
        work.stopping = partial(_cancel, own)
        timeout = request.timeout or self._service.settings.request_timeout
        try:
            outcomes = await self._batch(calls, timeout, began + timeout, None).perform()
        finally:
            work.stragglers = next((call.stragglers for call in own if call.stragglers), None)
        return Performed(self._written(items, outcomes), monotonic() - began, 0, None)

    async def _sent(self, exchange: Exchange, declared: int | None, late: Callable[[], None] | None = None) -> bytes:
        settings = self._service.settings
        return await read_body(exchange, settings.max_body_bytes, declared, settings.body_timeout, late=late)

    def _batch(
        self, calls: Sequence[Call | PipemountError], timeout: float, deadline: float, place: Place | None
    ) -> Batch:
        width = self._service.settings.batch_concurrency
        return Batch(self._service, calls, place=place, width=width, timeout=timeout, deadline=deadline)

    def _timeout(self, exchange: Exchange) -> float:
        """Seconds for all of them together: the query's ``timeout``, or the app's own."""
        limit = self._service.settings.request_timeout
        found = read_query(exchange.scope).get("timeout") if exchange.scope["query_string"] else None
        if found is None:
            return limit
        try:
            seconds: float = TypeAdapter(Annotated[float, Field(ge=MIN_TIMEOUT, le=limit)]).validate_strings(found[-1])
        except ValidationError as error:
            faults = [{**fault, "loc": ["query", "timeout"]} for fault in describe_errors(error)]
            raise InvalidInputsError(errors=faults) from None
        return seconds

    def _calls(
        self, items: Sequence[Sent | PipemountError], principal: Principal | None, trace: Trace | None
    ) -> list[Call | PipemountError]:
        return [
            item if isinstance(item, PipemountError) else Call(item[0], new_run_id(), principal=principal, trace=trace)
            for item in items
        ]

    async def _performed(self, batch: Batch, exchange: Exchange) -> list[Outcome]:
        if get_running_loop() is self._lifecycle.home:
            return await guard(batch.perform(), None, exchange.left)
        return await guard(self._lifecycle.call(batch.perform), None, exchange.left)

    def _written(self, items: Sequence[Sent | PipemountError], outcomes: Sequence[Outcome]) -> bytes:
        numbered = enumerate(zip(items, outcomes, strict=True))
        return b"[%b]" % b",".join(self._result(index, item, outcome) for index, (item, outcome) in numbered)

    def _result(self, index: int, item: Sent | PipemountError, outcome: Outcome) -> bytes:
        if isinstance(outcome, Done) and not isinstance(item, PipemountError):
            return self._body(outcome.call, outcome.sealed[1], item[1], outcome.seconds)
        error = outcome if isinstance(outcome, PipemountError) else UNEXPECTED
        if isinstance(error, InvalidInputsError) and error is not item:  # found only when the run began
            error = _of_item(index, error)
        log_failure(error)
        failed = {"success": False, "outputs": None, "error": str(error)}
        problem = members_of(error) | failed | {"instance": f"#/{index}"}
        return json.dumps(problem, ensure_ascii=False, separators=(",", ":"), default=str).encode(errors="replace")


async def _answer(exchange: Exchange, body: bytes, batch_id: str, more: Sequence[tuple[bytes, bytes]] = ()) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await exchange.respond(200, [*headers, (b"x-run-id", batch_id.encode("ascii")), *more], body, data=True)


def _trace(exchange: Exchange) -> Trace | None:
    return parse_traceparent(exchange.headers.get(b"traceparent"), exchange.headers.get(b"tracestate"))


def _cancel(calls: Sequence[Call]) -> None:
    for call in calls:
        call.cancel()


def _of_item(index: int, error: InvalidInputsError) -> InvalidInputsError:
    """Faults in an item as those of the whole list."""
    return InvalidInputsError(errors=[{**fault, "loc": [index, *fault["loc"]]} for fault in error.errors])


class Items:
    """Reads a list of inputs: what can be run of it, and why the rest cannot.

    Args:
        inputs: The type of each.
        limit: How many there may be.
    """

    def __init__(self, inputs: Schema, limit: int) -> None:
        self._limit = limit
        self._validate_all = _list_of(inputs.annotation, limit)
        self._validate_list = _list_of(Any, limit)
        self._validate = guarded(inputs.adapter.validator, inputs.adapter.core_schema).validate_json
        self._lets_infinity_in = lets_infinity_in(inputs)
        self._dump = inputs.adapter.serializer.to_json

    def read(self, body: bytes) -> list[Sent | PipemountError]:
        """The items, in order; each valid one with the JSON of what it was validated to.

        Raises:
            MalformedRequestError: The body is not JSON.
            InvalidInputsError: It is no list, or one of too many.
        """
        self._refuse_crowd(body)
        try:
            items: list[Sent | PipemountError] = [self._with_json(inputs) for inputs in self._validate_all(body)]
        except (ValidationError, OverflowError):  # one of them at least: now each by itself
            items = [self._read_one(index, item) for index, item in enumerate(self._listed(body))]
        if self._lets_infinity_in:  # only now that it is known to be JSON, and not a bomb
            refuse_non_finite(body)
        return items

    def _refuse_crowd(self, body: bytes) -> None:
        """Of a long body look at the head first: a million small items are not built to be refused."""
        head = self._limit * ITEM
        if len(body) <= head:
            return
        try:
            begun = from_json(body[:head], allow_partial=True)
        except ValueError:
            return  # whoever reads it whole will say why
        if isinstance(begun, list) and len(begun) > self._limit:
            raise InvalidInputsError(errors=[_too_many(self._limit)])

    def _listed(self, body: bytes) -> list[Any]:
        try:
            items: list[Any] = self._validate_list(body)
        except ValidationError as error:
            fault = describe_errors(error)[0]
            if fault["type"] == "json_invalid":
                raise MalformedRequestError(f"the body is not JSON that this app reads: {fault['msg']}") from None
            raise InvalidInputsError(
                errors=[_too_many(self._limit) if fault["type"] == "too_long" else fault]
            ) from None
        return items

    def _read_one(self, index: int, item: Any) -> Sent | PipemountError:
        """As an invocation reads its parameters: from JSON, where a string may be a date."""
        try:
            return self._with_json(self._validate(to_json(item)))
        except ValidationError as error:
            faults = describe_errors(error)
        except OverflowError:  # pydantic lets it pass for a timedelta that is out of range
            faults = [OUT_OF_RANGE]
        return _of_item(index, InvalidInputsError(errors=faults))

    def _with_json(self, inputs: Any) -> Sent:
        return inputs, self._dump(inputs, by_alias=True)  # before a step can change them


def _list_of(annotation: Any, limit: int) -> Any:
    adapter = TypeAdapter(Annotated[list[annotation], Field(max_length=limit)])
    return guarded(adapter.validator, adapter.core_schema).validate_json


def _too_many(limit: int) -> JsonObject:
    return {
        "loc": [],
        "msg": f"List should have at most {limit} items; send the others in further requests",
        "type": "too_long",
    }
