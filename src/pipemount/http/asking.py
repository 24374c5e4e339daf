"""The body of an invocation as a job that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from pydantic_core import from_json, to_json

from ..jobs.models import JobRequest
from ..service import new_run_id
from ..types import Principal
from .headers import RequestHeaders
from .invocation import Invocation

NO_HEADERS = RequestHeaders()

__all__ = ["Ask", "asking"]

Ask: TypeAlias = Callable[[bytes, Principal | None], JobRequest]
"""Makes a job of the body of an invocation; raises 400 and 422."""


def asking(invocation: Invocation) -> Ask:
    """How a pipeline is asked for."""

    def ask(body: bytes, principal: Principal | None) -> JobRequest:
        call = invocation.read(body, principal, NO_HEADERS)
        service, sent = invocation.service, from_json(body)
        return JobRequest(
            job_id=new_run_id(),
            pipeline=service.name,
            fingerprint=service.compiled.info.fingerprint,
            inputs=to_json(sent["parameters"]),
            overrides=to_json(sent["steps"]) if sent.get("steps") else None,
            run_name=call.run_name,
            timeout=call.timeout,
            principal=principal,
        )

    return ask
