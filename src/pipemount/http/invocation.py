"""``POST …/invoke``: the hot path. Nothing here is done twice, and nothing that nobody asked for."""

from __future__ import annotations

from asyncio import _get_running_loop
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from os import getpid
from typing import Any, Protocol
from uuid import NAMESPACE_URL, uuid5

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from ..errors import (
    DeadlineExceededError,
    InvalidInputsError,
    JobExpiredError,
    MalformedRequestError,
    NotAcceptableError,
    RunError,
)
from ..pipelines.schema import OUT_OF_RANGE, Schema, describe_errors
from ..runtime.call import Call
from ..runtime.guard import guard
from ..runtime.lending import NotInlineError
from ..runtime.lifecycle import Lifecycle
from ..service import Sealed, Service, new_run_id
from ..types import Principal, Scope, Trace
from .continuing import to_the_end
from .exchange import Exchange
from .finite import refuse_non_finite
from .headers import (
    accepts_json,
    check_body,
    parse_traceparent,
    wants_event_stream,
)
from .models import request_model
from .query import read_query
from .reading import Resumed, Visit, pacer, read_body, tell_quota

__all__ = ["Answers", "Invocation", "check_json", "lets_infinity_in"]

JSON = (b"content-type", b"application/json")
MODES = ("sync", "async", "stream")


class Invocation:
    """The endpoint of one pipeline: from the body's bytes to the response's bytes.

    Attributes:
        service: The pipeline.
        lifecycle: Of the app.
        others: Who answers a request that does not want to run and wait at once, by how it wants to be answered:
            ``async``, ``stream``, and ``keyed``, which is to wait for what happens only once.
    """

    def __init__(self, service: Service, lifecycle: Lifecycle) -> None:
        self.service, self.lifecycle = service, lifecycle
        self.others: dict[str, Callable[[Exchange], Awaitable[None]]] = {}
        self._service, self._lifecycle = service, lifecycle
        settings = service.settings
        self._admission, self._limit, self._name = service.admission, settings.max_body_bytes, service.name
        self._timeout, self._body_timeout = settings.request_timeout, settings.body_timeout
        self._continues = settings.invoke_disconnect == "continue"
        request = request_model(service.name, service.compiled, max_timeout=settings.request_timeout)
        self._validate_json = request.adapter.validator.validate_json
        self._lets_infinity_in = lets_infinity_in(service.compiled.input)
        self.dump_inputs = service.compiled.input.adapter.serializer.to_json
        self.body = Answers(service).body

    def answers_inline(self, scope: Scope) -> bool:
        """Whether a request can be answered without a loop, as far as that can be told beforehand."""
        lifecycle = self._lifecycle
        if not (self._service.inline and lifecycle.ready and lifecycle.pid == getpid()) or scope["query_string"]:
            return False
        return not any(
            (name == b"accept" and b"event-stream" in value) or name == b"idempotency-key"
            for name, value in scope["headers"]
        )

    async def __call__(self, exchange: Exchange) -> None:
        """Answer ``exchange``; every failure is raised as a ``PipemountError``."""
        headers = exchange.headers
        plain = headers.get(b"accept") in PLAIN
        special = not plain or b"idempotency-key" in headers or exchange.scope["query_string"]
        if special and (other := self.others.get(_mode(exchange))) is not None:
            await other(exchange)
            return
        declared = check_body(headers, self._limit) if plain else check_json(exchange, self._limit)
        lifecycle, admission, who = self._lifecycle, self._admission, exchange.principal
        if admission.rates is not None:
            tell_quota(exchange, admission)
        loop, call, visit = _get_running_loop(), None, None
        up = lifecycle.ready and (loop is lifecycle.home or lifecycle.pid == getpid())  # no loop outlives a fork
        if not (up and admission.try_enter(self._name, who)):
            visit = await self._enter(who, loop)
        try:
            if loop is None and not (lifecycle.ready and self._service.inline):
                raise NotInlineError  # it was stopped before we had a place, for which a stop waits
            hearing, pending = exchange.hear().__await__(), None
            for suspended in hearing:  # most bodies are here, and pay for no watch
                pending = Resumed(suspended, hearing)
                break
            message = exchange.message
            sent: bytes = message.get("body", b"")
            if len(sent) != declared or message.get("more_body"):  # not here, not announced, not whole, or not true
                sent = await self._read(
                    exchange, pending, declared, visit := visit or Visit(admission, self._name, who)
                )
            call = self.read(sent, who)
            if b"traceparent" in headers:
                call.trace = parse_traceparent(headers.get(b"traceparent"), headers.get(b"tracestate"))
            if visit is not None and visit.waited:
                self._count_wait(call, visit.waited, sent)
            used = self.dump_inputs(call.inputs, by_alias=True)  # before a step can change them
            here = (loop is lifecycle.home or loop is None) and not self._continues
            _, outputs = await (self._service.invoke(call, exchange.left) if here else self._apart(call, exchange))
        except InvalidInputsError as error:
            if call is None:
                raise
            raise InvalidInputsError(errors=[_in_body(fault) for fault in error.errors]) from error
        finally:
            if call is not None and call.stragglers is not None:
                admission.leave_behind(call.stragglers, call.began, self._name, who)
            elif visit is None or visit.has_place:
                admission.leave(0.0 if call is None else call.seconds, self._name, who)
            else:
                visit.end()
        body = self.body(call, outputs, used, call.seconds)
        told = [JSON, (b"content-length", b"%d" % len(body)), (b"x-run-id", call.run_id.encode("ascii"))]
        await exchange.respond(200, told, body, data=True)

    async def _enter(self, who: Principal | None, loop: object) -> Visit | None:
        """A place where there is none at once, or the app is not up; ``None``: there was one after all."""
        if loop is None:
            raise NotInlineError
        await self._lifecycle.ensure_ready()
        if self._admission.try_enter(self._name, who):
            return None
        visit = Visit(self._admission, self._name, who)
        await visit.wait(self._timeout)
        return visit

    def _count_wait(self, call: Call, waited: float, body: bytes) -> None:
        """The time that a run may take includes that for which it waited. Raises if none is left."""
        timeout, expires = call.timeout or self._timeout, from_json(body).get("expires")
        call.deadline = call.began + timeout - waited
        error: RunError | None = None
        if waited >= timeout:
            error = DeadlineExceededError(timeout=timeout)
        elif expires is not None and waited >= expires:
            error = JobExpiredError(expires=expires)
        if error is not None:
            error.run_id = call.run_id
            raise error

    async def _read(self, exchange: Exchange, first: Resumed | None, declared: int | None, visit: Visit) -> bytes:
        """A body that is not there yet, or not whole; back with a place."""
        if _get_running_loop() is None:
            if first is not None:
                await first
            return await exchange.read(self._limit, declared, pacer(self._body_timeout))
        if self._admission.queued:
            visit.step_aside()
        sent = await read_body(exchange, self._limit, declared, self._body_timeout, first, visit.step_aside)
        await visit.come_back(self._timeout)
        return sent

    async def _apart(self, call: Call, exchange: Exchange) -> Sealed:
        """A run that is not simply awaited: it lives on another loop, or goes on when its caller leaves."""
        run = self._lifecycle.call(partial(self._service.invoke, call))
        return await (to_the_end(call, run) if self._continues else guard(run, None, exchange.left))

    def read(self, body: bytes, principal: Principal | None, trace: Trace | None = None) -> Call:
        """The body as what is to be run; validated once, in one pass. Raises 400 and 422."""
        try:
            sent = self._validate_json(body)
        except ValidationError as error:
            raise _explain(error) from None
        except OverflowError:  # pydantic lets it pass for a timedelta that is out of range
            raise InvalidInputsError(errors=[OUT_OF_RANGE]) from None
        if self._lets_infinity_in:
            refuse_non_finite(body)
        return Call(
            sent["parameters"],
            new_run_id(),
            sent.get("run_name"),
            sent.get("timeout"),
            sent.get("steps") or None,
            principal,
            trace,
        )


class Ran(Protocol):
    """What an answer tells of a run."""

    @property
    def run_id(self) -> str: ...
    @property
    def run_index(self) -> int: ...
    @property
    def run_name(self) -> str | None: ...


class Answers:
    """The response of every run of a pipeline, with places for what differs."""

    def __init__(self, service: Service) -> None:
        self._template = _template(service)

    def body(self, run: Ran, outputs: bytes, used: bytes, seconds: float) -> bytes:
        """The response in the fields of HTTP.md; only what differs from run to run is written anew."""
        return self._template % (
            outputs,
            seconds,
            run.run_id.encode("ascii"),
            run.run_index,
            to_json(run.run_name),
            used,
        )


PLAIN = frozenset({None, b"*/*", b"application/json"})
"""What most callers accept: JSON, and no stream."""

FINITE = frozenset(
    {"model", "model-fields", "model-field", "default", "nullable", "str", "int", "float", "bool", "none", "literal"}
    | {"enum", "list", "dict", "date", "datetime", "time", "timedelta", "uuid", "bytes"}
)
"""Kinds of schema that take no infinity where the model that holds them says ``allow_inf_nan=False``."""


def lets_infinity_in(inputs: Schema) -> bool:
    """Whether a number in the inputs may be one that JSON does not have, without validation finding it.

    The generated model finds those in its own fields; models inside it, and values of any type, do not.
    """
    kinds = inputs.kinds
    return not (kinds.keys() <= FINITE and kinds["model"] <= 1)


def _template(service: Service) -> bytes:
    """The response of every run of a pipeline, with places for what differs."""
    info = service.compiled.info
    same = {
        "deployment_id": str(uuid5(NAMESPACE_URL, f"pipemount:{service.name}:{info.fingerprint}")),
        "deployment_name": service.name,
        "snapshot_id": info.fingerprint,
        "snapshot_name": None,
        "pipeline_name": info.name,
    }
    return (
        b'{"success":true,"outputs":%b,"execution_time":%.6f,"metadata":'
        + to_json(same)[:-1].replace(b"%", b"%%")
        + b',"run_id":"%b","run_index":%d,"run_name":%b,"parameters_used":%b},"error":null}'
    )


def check_json(exchange: Exchange, limit: int) -> int | None:
    """That JSON is taken, and sent; see ``check_body``."""
    accept = exchange.headers.get(b"accept")
    if accept is not None and not accepts_json(accept):
        raise NotAcceptableError("this route answers application/json; name it in Accept, or send no Accept")
    return check_body(exchange.headers, limit)


def _mode(exchange: Exchange) -> str:
    """How the caller wants to be answered: ``sync``, ``keyed``, ``async`` or ``stream``."""
    headers = exchange.headers
    modes = read_query(exchange.scope).get("mode", ()) if exchange.scope["query_string"] else ()
    if len(modes) > 1 or (modes and modes[0] not in MODES):
        fault = {"loc": ["query", "mode"], "msg": f"Input should be one of {', '.join(MODES)}", "type": "enum"}
        raise InvalidInputsError(errors=[fault])
    if modes and modes[0] != "sync":
        return modes[0]
    if not modes and wants_event_stream(headers.get(b"accept")):
        return "stream"
    return "sync" if headers.get(b"idempotency-key") is None else "keyed"


# --------------------------------------------------------------------------------------- bad bodies


def _explain(error: ValidationError) -> MalformedRequestError | InvalidInputsError:
    faults = describe_errors(error)
    if faults[0]["type"] == "json_invalid":
        return MalformedRequestError(f"the body is not JSON that this app reads: {faults[0]['msg']}")
    return InvalidInputsError(errors=faults)


def _in_body(fault: Mapping[str, Any]) -> Mapping[str, Any]:
    """A fault in the inputs as one in the request's body."""
    return {**fault, "loc": ["parameters", *fault["loc"]]}
