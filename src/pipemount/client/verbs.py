"""What can be asked of a served pipeline: each verb once, as a flow of effects. No I/O here, no loop, no thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from pydantic_core import PydanticSerializationError, to_json

from ..errors import (
    ConfigurationError,
    ForeignAnswerError,
    IdempotencyRunningError,
    InvalidInputsError,
    NoAnswerError,
    PipemountError,
    RunError,
)
from ..errors.problems import from_problem, is_problem
from ..pipelines.options import checked_key, checked_timeout
from ..runtime.events import Event
from ..types import JsonObject
from .address import Address
from .answers import answered
from .effects import Ask, Flow, Give, Request, Wait
from .following import follow
from .interface import Interface
from .records import Job, Result, as_job
from .retrying import Retries, may_repeat

__all__ = ["Terms", "Verbs"]

GRACE = 5.0
"""Seconds beyond a run's timeout, for the server to say so."""

QUICK = 30.0
"""Seconds that what runs nothing may take."""

LEAVING = 5.0
"""Seconds for telling the server that nobody waits any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a call says beside the pipeline's inputs; see ``Client.calling``."""

    timeout: float | None = None
    run_name: str | None = None
    steps: Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    expires: float | None = None

    def __post_init__(self) -> None:
        checked_timeout(self.timeout)
        checked_timeout(self.expires, "expires")
        checked_key(self.idempotency_key)


@dataclass(frozen=True, slots=True)
class Verbs:
    """The verbs, for one address.

    Attributes:
        address: Of the app and the pipeline.
        interface: What is known of the pipeline.
        retries: What is tried again.
        terms: Of each call.
    """

    address: Address
    interface: Interface
    retries: Retries
    terms: Terms = Terms()

    # -------------------------------------------------------------------------------------------- running

    def invoke(self, args: Sequence[Any], inputs: Mapping[str, Any]) -> Flow[Result[Any]]:
        """Run and wait."""
        url, key = self.address.of_pipeline("invoke"), self.terms.idempotency_key
        answer = yield from self._post(url, self._body(args, inputs), key, dict)
        return self._result(answer)

    def submit(self, args: Sequence[Any], inputs: Mapping[str, Any]) -> Flow[Job]:
        """Have a job made. It has an idempotency key, so that asking twice makes one."""
        url, key = self.address.of_pipeline("submit"), self.terms.idempotency_key or uuid4().hex
        return as_job((yield from self._post(url, self._body(args, inputs), key)))

    def batch(self, inputs: Iterable[Mapping[str, Any]]) -> Flow[list[Result[Any] | PipemountError]]:
        """Run once for each, and wait for all."""
        terms = self.terms
        if any(said is not None for said in (terms.run_name, terms.steps, terms.expires)):
            raise ConfigurationError(
                "a batch takes a timeout and an idempotency key; it has no run_name, no steps, and does not expire"
            )
        items = [self._item(one) for one in inputs]
        body = [item for item in items if isinstance(item, bytes)]
        query = "" if terms.timeout is None else urlencode({"timeout": terms.timeout})
        url = self.address.of_pipeline("batch", query)
        found = (yield from self._post(url, b"[%b]" % b",".join(body), terms.idempotency_key, list)) if body else []
        if len(found) != len(body):
            raise ForeignAnswerError(f"{url} answers {len(found)} results for {len(body)} inputs", status=200)
        results = iter(found)
        return [item if isinstance(item, PipemountError) else self._one_of_batch(next(results)) for item in items]

    def stream(self, args: Sequence[Any], inputs: Mapping[str, Any]) -> Flow[None]:
        """Run, and give what happens; what the run fails with is raised after its last event."""
        job = yield from self.submit(args, inputs)
        try:
            last = yield from follow(
                self.address.of_job(job.id, "/events"),
                retries=self.retries,
                until=self._until(GRACE),
                told=self._typed,
                known=True,
            )
        except BaseException:  # whoever reads is gone, and the run with it: so it is in the process, too
            yield from self._leave(job.id)
            raise
        if last is None or last.kind != "run_completed":
            raise (yield from self._why(job.id, last))

    # ----------------------------------------------------------------------------------------------- jobs

    def events(self, job_id: str, after: int) -> Flow[None]:
        """Give the events of a job, from its first or from where a reader was."""
        url, until = self.address.of_job(job_id, "/events"), self._until()
        if not isinstance(after, int) or after < 0:
            raise ConfigurationError(f"after={after!r}: give the sequence of an event, or 0")
        yield from follow(url, retries=self.retries, after=after, until=until, told=self._typed)

    def result(self, job_id: str) -> Flow[Result[Any]]:
        """Wait for a job's end; what it gave, or what it failed with."""
        until, attempt = self._until(), 0
        while not (job := (yield from self.job(job_id))).ended:
            try:
                yield from follow(
                    self.address.of_job(job_id, "/events"),
                    retries=self.retries,
                    after=_last_event(job),
                    until=until,
                    known=True,
                )
            except PipemountError as error:
                pruned = error.status == 410  # it told more since than is kept; what it is now, is known
                seconds = self.retries.pause(attempt, error, until) if pruned else None
                if seconds is None:
                    raise
                attempt += 1
                yield Wait(seconds)
        return self._result_of_job(job)

    def job(self, job_id: str) -> Flow[Job]:
        """A job's record."""
        return as_job((yield from self._ask("GET", self.address.of_job(job_id))))

    def jobs(self, status: Sequence[str], limit: int) -> Flow[None]:
        """Give the jobs, the youngest first, page by page as they are asked for."""
        query: list[tuple[str, str | int]] = [*(("status", each) for each in status), ("limit", limit)]
        cursor: str | None = None
        while True:
            more = [] if cursor is None else [("cursor", cursor)]
            page = yield from self._ask("GET", self.address.of_app("jobs", urlencode([*query, *more])))
            for found in page.get("jobs", ()):
                yield Give(as_job(found))
            cursor = page.get("next_cursor")
            if not isinstance(cursor, str):
                return

    def cancel(self, job_id: str) -> Flow[Job]:
        """Ask to cancel a job; asking again changes nothing, so it is safe to."""
        return as_job((yield from self._ask("POST", self.address.of_job(job_id, "/cancel"))))

    def retry(self, job_id: str) -> Flow[Job]:
        """Have a new job made of one that failed or was cancelled; with a key, so that asking twice makes one."""
        headers = _keyed(self.terms.idempotency_key or uuid4().hex)
        return as_job((yield from self._ask("POST", self.address.of_job(job_id, "/retry"), headers)))

    def resume(self, job_id: str, answer: Any) -> Flow[Job]:
        """Answer what a suspended job asks: once, for a second answer is refused."""
        url, headers = self.address.of_job(job_id, "/resume"), {"content-type": "application/json"}
        return as_job((yield from self._ask("POST", url, headers, _written(answer, "the answer"), repeatable=False)))

    def delete(self, job_id: str) -> Flow[None]:
        """Have a job forgotten that has ended."""
        yield from self._ask("DELETE", self.address.of_job(job_id))

    def pipelines(self) -> Flow[list[JsonObject]]:
        """The pipelines of the app."""
        found = (yield from self._ask("GET", self.address.of_app("pipelines"))).get("pipelines")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    def info(self) -> Flow[JsonObject]:
        """What the server tells of the pipeline."""
        told: JsonObject = yield from self._ask("GET", self.address.of_pipeline("info"))
        return told

    def status(self) -> Flow[JsonObject]:
        """What the server tells of itself."""
        told: JsonObject = yield from self._ask("GET", self.address.of_app("status"))
        return told

    # -------------------------------------------------------------------------------------------- requests

    def _body(self, args: Sequence[Any], inputs: Mapping[str, Any]) -> bytes:
        """A request's body. The same in all attempts: another one under the same key is a conflict."""
        terms, parameters = self.terms, self.interface.inputs(args, inputs)
        said = {"timeout": terms.timeout, "run_name": terms.run_name, "steps": terms.steps}
        said["expires"] = terms.expires
        rest = _written({name: value for name, value in said.items() if value is not None}, "what it is called with")
        return b'{"parameters":%b%b' % (parameters, b"," + rest[1:] if rest != b"{}" else b"}")

    def _item(self, inputs: Mapping[str, Any]) -> bytes | PipemountError:
        """One of a batch; what cannot be sent is its own failure, and none of the others'."""
        try:
            return self.interface.inputs((), inputs)
        except PipemountError as error:
            return error

    def _until(self, grace: float = 0.0) -> float | None:
        """When a call must have ended, on the clock of the retries."""
        timeout = self.terms.timeout
        return None if timeout is None else self.retries.clock() + timeout + grace

    def _post(self, url: str, body: bytes, key: str | None, runs: type | None = None) -> Flow[Any]:
        """Post JSON. ``runs`` is the type of the answer of what runs meanwhile, and takes as long as it takes."""
        headers = {"content-type": "application/json", **({} if key is None else _keyed(key))}
        wait = QUICK if runs is None else None
        return (yield from self._ask("POST", url, headers, body, key is not None, wait, runs or dict))

    def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        repeatable: bool = True,
        wait: float | None = QUICK,
        kind: type = dict,
    ) -> Flow[Any]:
        """An answer's JSON, patiently: what the server refused, or never got, is sent again."""
        until, attempt, now = self._until(GRACE), 0, self.retries.now
        sent = {"accept": "application/json, application/problem+json", **(headers or {})}
        while True:
            try:
                reply = yield Ask(Request(method, url, sent, body, self._patience(url, until, wait)))
                return answered(reply, now(), kind)
            except PipemountError as error:
                ours = isinstance(error, IdempotencyRunningError)  # got through before its connection broke
                again = may_repeat(error, repeatable=repeatable, before=attempt > 0)
                seconds = self.retries.pause(0 if ours else attempt, error, until) if again else None
                if seconds is None:
                    raise
            attempt += not ours
            yield Wait(seconds)

    def _patience(self, url: str, until: float | None, wait: float | None) -> float | None:
        if until is None:
            return wait
        left = until - self.retries.clock()
        if left <= 0:
            raise NoAnswerError(url=url)
        return left if wait is None else min(left, wait)

    def _leave(self, job_id: str) -> Flow[None]:
        """Tell the server that nobody waits any more: once, and whatever comes of it."""
        url, headers = self.address.of_job(job_id, "/cancel"), {"accept": "application/json"}
        try:
            yield Ask(Request("POST", url, headers, None, LEAVING))
        except PipemountError:
            return

    # --------------------------------------------------------------------------------------------- answers

    def _result(self, answer: Mapping[str, Any]) -> Result[Any]:
        outputs, told = answer.get("outputs"), answer.get("metadata")
        metadata = told if isinstance(told, Mapping) else {}
        values, value = self._outputs(outputs, metadata.get("run_id"))
        return Result(
            value=value,
            outputs=values,
            run_id=str(metadata.get("run_id") or ""),
            run_name=str(metadata.get("run_name") or ""),
            execution_time=float(answer.get("execution_time") or 0),
            document=answer,
        )

    def _outputs(self, outputs: object, run_id: object) -> tuple[Mapping[str, Any], Any]:
        try:
            return self.interface.outputs(outputs if isinstance(outputs, Mapping) else {})
        except RunError as error:
            error.run_id = run_id if isinstance(run_id, str) else None
            raise

    def _one_of_batch(self, answer: Any) -> Result[Any] | PipemountError:
        if is_problem(answer):
            return from_problem(answer)
        try:
            return self._result(answer if isinstance(answer, Mapping) else {})
        except RunError as error:
            return error

    def _result_of_job(self, job: Job) -> Result[Any]:
        """What a job that has ended gave. Raises what it failed with."""
        document = job.document
        if job.status != "succeeded":
            raise _failure(job)
        values, value = self._outputs(document.get("outputs"), job.id)
        name, seconds = str(document.get("run_name") or ""), float(document.get("execution_time") or 0)
        return Result(value, values, job.id, name, seconds, document)

    def _why(self, job_id: str, last: Event | None) -> Flow[PipemountError]:
        """What a run failed with: as the job's record has it, or as far as the event tells, if that is gone."""
        try:
            return _failure((yield from self.job(job_id)))
        except PipemountError as error:
            if last is None:
                return error
            code = "run-cancelled" if last.kind == "run_cancelled" else "run"
            return from_problem({"code": code, **last.data, "run_id": job_id, "detail": last.data.get("error")})

    def _typed(self, event: Event) -> Event:
        """An event as in the process: the outputs of the last one are values."""
        if event.kind != "run_completed":
            return event
        values, _ = self._outputs(event.data.get("outputs"), event.run_id)
        return replace(event, data={**event.data, "outputs": values})


def _written(value: Any, what: str) -> bytes:
    try:
        return to_json(value)
    except PydanticSerializationError as error:
        fault = {"loc": [], "msg": f"JSON cannot say {what}: {error}", "type": "json_type"}
        raise InvalidInputsError(errors=[fault]) from None


def _keyed(key: str) -> Mapping[str, str]:
    """The header for ``key``, a string of RFC 8941."""
    return {"idempotency-key": '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'}


def _failure(job: Job) -> PipemountError:
    """What a job failed with, or was cancelled for."""
    told = job.document.get("error")
    code = "run-cancelled" if job.status == "cancelled" else "run"
    document = {"code": code, "detail": f"the job {job.status}", "run_id": job.id}
    return from_problem({**document, **told} if isinstance(told, Mapping) else document)


def _last_event(job: Job) -> int:
    found = job.document.get("last_event")
    return found if isinstance(found, int) else 0
