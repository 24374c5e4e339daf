"""The request for an invocation as a job that is asked for: whatever outlives its request begins here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from pydantic_core import from_json, to_json

from ..jobs.models import Idempotency, JobRequest
from ..types import Principal, Trace
from .invocation import Invocation

__all__ = ["Ask", "asking"]


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
        )

    return ask
