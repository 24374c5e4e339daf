"""What a call from the team's own code asks for: a run, or a job."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from time import monotonic, time
from typing import Any, NamedTuple

from pydantic_core import PydanticSerializationError, to_json

from .errors import DeadlineExceededError, InvalidInputsError
from .jobs.models import Idempotency, JobRequest
from .runtime.admission import Admission
from .runtime.call import Call
from .service import Service, new_run_id
from .terms import Terms
from .types import Principal, Trace

__all__ = ["Asked"]


class Asked(NamedTuple):
    """A run that was asked for, its inputs validated.

    Attributes:
        service: Its pipeline.
        inputs: As validated.
        overrides: As validated.
        terms: What else was said.
        timeout: Seconds that were asked for: by the call, by the run around it, or by the app's settings.
        until: When it must have ended, on ``time.monotonic()``.
        principal: On whose behalf.
        trace: Of the run around it.
        places: Those that that run and the ones around it have.
        outer: The run around it.
    """

    service: Service
    inputs: Any
    overrides: Mapping[str, Any] | None
    terms: Terms
    timeout: float
    until: float
    principal: Principal | None
    trace: Trace | None
    places: tuple[Admission, ...]
    outer: Call | None = None

    @property
    def placed(self) -> bool:
        """Whether one of the runs around it has a place with the app, which does for both."""
        return self.service.admission in self.places

    def left(self) -> float:
        """Seconds until it must have ended. Raises ``DeadlineExceededError`` when there are none."""
        if (left := self.until - monotonic()) <= 0:
            raise DeadlineExceededError(timeout=self.timeout)
        return left

    def call(self) -> Call:
        """What the service is told to run."""
        self.left()
        name = self.terms.run_name
        call = Call(self.inputs, new_run_id(), name, self.timeout, self.overrides, self.principal, self.trace)
        call.places, call.deadline, call.outer = self.places, self.until, self.outer
        return call

    def request(self) -> JobRequest:
        """The same as a job: values are written down as JSON, and validated again when it begins."""
        terms, compiled = self.terms, self.service.compiled
        inputs = compiled.input.write(self.inputs)
        return JobRequest(
            job_id=new_run_id(),
            pipeline=self.service.name,
            fingerprint=compiled.info.fingerprint,
            inputs=inputs,
            parameters=inputs,
            overrides=_written(terms.steps) if self.overrides else None,
            run_name=terms.run_name,
            timeout=terms.timeout,
            principal=self.principal,
            trace=self.trace,
            idempotency=self._idempotency(inputs),
            queue=terms.queue,
            priority=terms.priority,
            run_at=None if terms.delay is None else time() + terms.delay,
            max_attempts=terms.max_attempts,
            expires=terms.expires,
        )

    def _idempotency(self, inputs: bytes) -> Idempotency | None:
        """As of a request with the same key: the same scope, and never the same digest, as it has another body."""
        terms = self.terms
        if terms.idempotency_key is None:
            return None
        said = to_json([inputs.decode(), terms.steps, terms.run_name, terms.timeout, terms.job])
        digest = sha256(said).hexdigest()
        return Idempotency.of(self.principal, self.service.name, "run", key=terms.idempotency_key, digest=digest)


def _written(steps: Mapping[str, Any] | None) -> bytes:
    """Overrides as they were given, which are validated again when the job begins."""
    try:
        return to_json(steps)
    except PydanticSerializationError as error:
        fault = {"loc": ["steps"], "msg": f"Input should be what JSON can say: {error}", "type": "json_type"}
        raise InvalidInputsError(errors=[fault]) from error
