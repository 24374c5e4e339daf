"""The request for an invocation as a job that is asked for: whatever outlives its request begins here."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from os import getpid
from typing import TypeAlias

from pydantic_core import from_json, to_json

from ..jobs.models import Idempotency, JobRequest
from ..service import Service
from ..types import Principal, Trace
from .exchange import Exchange
from .headers import check_body, parse_idempotency_key, parse_traceparent
from .invocation import Invocation
from .reading import read_body, tell_quota

__all__ = ["Ask", "asking", "idempotency_of", "read_request"]


Ask: TypeAlias = Callable[[bytes, Principal | None, Trace | None, Idempotency | None], JobRequest]
"""Makes a job of the body of an invocation, of who sends it, and of what came with it. Raises 400 and 422."""


def asking(invocation: Invocation) -> Ask:
    """How a pipeline is asked for."""
    service = invocation.service

    def ask(
        body: bytes,
        principal: Principal | None,
        trace: Trace | None = None,
        idempotency: Idempotency | None = None,
    ) -> JobRequest:
        call, sent = invocation.read(body, principal, trace), from_json(body)
        inputs, used = to_json(sent["parameters"]), invocation.dump_inputs(call.inputs, by_alias=True)
        return JobRequest(
            job_id=call.run_id,
            pipeline=service.name,
            fingerprint=service.compiled.info.fingerprint,
            inputs=inputs,
            parameters=inputs if used == inputs else used,
            overrides=to_json(sent["steps"]) if call.overrides else None,
            run_name=call.run_name,
            timeout=call.timeout,
            principal=principal,
            trace=trace,
            idempotency=idempotency,
            expires=sent.get("expires"),
        )

    return ask


async def read_request(invocation: Invocation, exchange: Exchange) -> JobRequest:
    """What ``exchange`` asks for as a job. Nothing is read where the app cannot take it.

    Args:
        invocation: Of the pipeline.
        exchange: Not begun; who wants to look at ``Accept`` does so before.

    Raises:
        RequestError, UnavailableError: The request is no good, or comes at a bad time.
    """
    service, lifecycle, limit = invocation.service, invocation.lifecycle, invocation.service.settings.max_body_bytes
    declared = check_body(exchange.headers, limit)
    tell_quota(exchange, service.admission)
    headers = exchange.headers
    if (key := headers.get(b"idempotency-key")) is not None:
        parse_idempotency_key(key)
    if not lifecycle.ready or lifecycle.pid != getpid():
        await lifecycle.ensure_ready()
    service.admission.check(service.name, exchange.principal)
    body = await read_body(exchange, limit, declared, service.settings.body_timeout)
    trace = parse_traceparent(headers.get(b"traceparent"), headers.get(b"tracestate"))
    return asking(invocation)(body, exchange.principal, trace, idempotency_of(exchange, service, "run", body))


def idempotency_of(exchange: Exchange, service: Service, kind: str, body: bytes) -> Idempotency | None:
    """What makes another request the same one; ``None`` where no ``Idempotency-Key`` was sent.

    Raises:
        MalformedRequestError: The key is none.
    """
    if (sent := exchange.headers.get(b"idempotency-key")) is None:
        return None
    key = parse_idempotency_key(sent)
    return Idempotency.of(exchange.principal, service.name, kind, key=key, digest=sha256(body).hexdigest())
