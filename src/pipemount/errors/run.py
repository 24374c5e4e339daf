"""What a run fails with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .base import PipemountError
from .definition import ConfigurationError

__all__ = [
    "BranchFailedError",
    "DeadlineExceededError",
    "DynamicBodyError",
    "ExecutorError",
    "ExecutorUnavailableError",
    "InvalidOutputsError",
    "JobCancelledError",
    "JobExpiredError",
    "PipelineChangedError",
    "PipelineError",
    "RunCancelledError",
    "RunError",
    "RunSuspendedError",
    "StepFailedError",
    "StepTimeoutError",
    "WorkerLostError",
]


class RunError(PipemountError):
    """A run that did not complete. ``run_id`` and ``step`` are set by the runtime where they exist."""

    code = "run"

    def __init__(self, detail: str, *, step: str | None = None, run_id: str | None = None) -> None:
        super().__init__(detail)
        self.step, self.run_id = step, run_id

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"run_id": self.run_id, "step": self.step}


class PipelineError(RunError):
    """Raised by a step on purpose: its message is public and its status is the response's.

    Args:
        detail: The sentence that callers see.
        status: HTTP status, 400 to 599.
        code: Kebab-case code that callers can branch on.
    """

    code = "pipeline-error"

    def __init__(self, detail: str, *, status: int = 500, code: str | None = None) -> None:
        if not 400 <= status <= 599:
            raise ConfigurationError(f"PipelineError(status={status}): choose a status from 400 to 599")
        super().__init__(detail)
        self.status = status
        self.detail_code = code


class StepFailedError(RunError):
    """A step raised. Callers see the exception's class; its message only if the author made it public."""

    code = "step-failed"

    def __init__(self, *, step: str, cause: BaseException, public: bool = False, status: int = 500) -> None:
        name = type(cause).__name__
        super().__init__(f"step {step!r} raised {name}" + (f": {cause}" if public else ""), step=step)
        self.cause, self.public = cause, public
        self.status = status


class StepTimeoutError(RunError, TimeoutError):
    """A step's attempt took longer than its ``timeout``. ``Retry(on=(TimeoutError,))`` retries it."""

    code = "step-timeout"
    status = 504

    def __init__(self, *, step: str, timeout: float) -> None:
        super().__init__(f"step {step!r} took longer than its timeout of {timeout:g} s", step=step)
        self.timeout = timeout


class DynamicBodyError(RunError):
    """The body of a dynamic pipeline called something in a way that cannot be performed.

    Args:
        operation: What was attempted, as a sentence without its full stop.
        way_out: What to write instead.
        file: Source file of the call, where known; it is no part of the message, which callers see.
        line: Its line number, from 1.
    """

    code = "dynamic-body"

    def __init__(self, *, operation: str, way_out: str, file: str | None = None, line: int | None = None) -> None:
        super().__init__(f"{operation}. {way_out}.")
        self.operation, self.way_out = operation, way_out
        self.file, self.line = file, line


class BranchFailedError(RunError):
    """A branch could not be decided: its condition raised, or was answered as the declared types rule out."""

    code = "branch-failed"

    def __init__(self, *, condition: str, cause: BaseException | None = None, answer: bool | None = None) -> None:
        fault = f"raised {type(cause).__name__}" if cause else f"is {answer}, which the types of its values rule out"
        super().__init__(f"the condition `{condition}` {fault}")
        self.condition, self.cause = condition, cause


class InvalidOutputsError(RunError):
    """A value does not fit the type it was declared with, or cannot be serialised."""

    code = "output-invalid"


class DeadlineExceededError(RunError):
    """The run's deadline passed; what still ran was cancelled."""

    code = "deadline-exceeded"
    status = 504

    def __init__(self, *, timeout: float) -> None:
        super().__init__(f"the run took longer than its timeout of {timeout:g} s and was cancelled")
        self.timeout = timeout


class RunSuspendedError(RunError):
    """The run waits for an answer before it can go on, and nobody who called can give it.

    Args:
        step: Where it waits.
        interrupts: What is asked: an ``id`` and a ``value`` each, as JSON-compatible values. Callers see them.
        question: What is asked, of the run of a job that goes on once it is answered; ``None`` of one that has failed.
    """

    code = "run-suspended"
    status = 409

    def __init__(
        self, *, step: str | None, interrupts: Sequence[Mapping[str, Any]], question: Mapping[str, Any] | None = None
    ) -> None:
        where = "the run" if step is None else f"the run waits at {step!r} and"
        super().__init__(f"{where} is suspended until its question is answered", step=step)
        self.interrupts, self.question = tuple(interrupts), question

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {**super().extensions, "interrupts": self.interrupts}


class RunCancelledError(RunError):
    """The run was cancelled, e.g. because its caller left."""

    code = "run-cancelled"
    status = 499


class JobCancelledError(RunError):
    """Somebody waited for a job that somebody else has cancelled."""

    code = "job-cancelled"
    status = 409

    def __init__(self, *, reason: str) -> None:
        super().__init__(f"the job was cancelled: {reason}")
        self.reason = reason


class JobExpiredError(RunError):
    """A job, or a run that waited for its place, was not begun in the time that its caller gave it for that.

    Args:
        expires: Seconds that it had, from when it was asked for.
    """

    code = "job-expired"
    status = 504

    def __init__(self, *, expires: float) -> None:
        super().__init__(f"it was not begun within {expires:g} s, and is not begun any more")
        self.expires = expires

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {**super().extensions, "expires": self.expires}


class PipelineChangedError(RunError):
    """A job was submitted to another version of its pipeline than the one that is there now.

    Args:
        pipeline: Its name in the app.
        fingerprint: Of the version that the job was submitted to.
        current: Of the one that is there.
    """

    code = "pipeline-changed"
    status = 409

    def __init__(self, *, pipeline: str, fingerprint: str, current: str) -> None:
        super().__init__(f"the pipeline {pipeline!r} has changed since the job was submitted; submit it again")
        self.pipeline, self.fingerprint, self.current = pipeline, fingerprint, current

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {
            **super().extensions,
            "pipeline": self.pipeline,
            "fingerprint": self.fingerprint,
            "current": self.current,
        }


class ExecutorError(RunError):
    """A step was to run in a worker of an engine, and what it needs, gives or asks for cannot go there or come back."""

    code = "executor"


class ExecutorUnavailableError(ExecutorError):
    """The engine that a step was to run on cannot be reached.

    Args:
        engine: Its name.
        way_out: What to do, as a sentence without its full stop.
    """

    code = "executor-unavailable"
    status = 503

    def __init__(self, *, engine: str, way_out: str, retry_after: int = 5) -> None:
        super().__init__(f"the engine that performs this step, {engine}, cannot be reached; {way_out}")
        self.engine, self.way_out, self.retry_after = engine, way_out, retry_after
        self.headers = {"retry-after": str(retry_after)}

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {**super().extensions, "engine": self.engine}


class WorkerLostError(RunError):
    """The processes that performed the job, or a step, came to their end with it, each time that it was tried.

    Args:
        crashes: How many did.
        step: Which step, if it was in a worker of an engine.
    """

    code = "worker-lost"

    def __init__(self, *, crashes: int, step: str | None = None) -> None:
        what = "this job" if step is None else f"step {step!r}"
        super().__init__(
            f"{crashes} processes came to their end while they performed {what}; it is not tried again", step=step
        )
        self.crashes = crashes

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {**super().extensions, "crashes": self.crashes}
