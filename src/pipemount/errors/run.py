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
    "InvalidOutputsError",
    "JobCancelledError",
    "PipelineError",
    "RunCancelledError",
    "RunError",
    "RunSuspendedError",
    "StepFailedError",
    "StepTimeoutError",
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
    """

    code = "run-suspended"
    status = 409

    def __init__(self, *, step: str | None, interrupts: Sequence[Mapping[str, Any]]) -> None:
        where = "the run" if step is None else f"the run waits at {step!r} and"
        super().__init__(f"{where} is suspended until its question is answered", step=step)
        self.interrupts = tuple(interrupts)

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
