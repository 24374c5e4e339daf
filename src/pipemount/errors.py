"""Every error of pipemount, one tree with one root.

::

    PipemountError
    ├── DefinitionError               the author's fault, at import or compile
    │   ├── CompileError              a pipeline body that cannot become a snapshot
    │   ├── ConfigurationError        settings, keys or hooks that cannot be used
    │   ├── HomeLoopError             a blocking call on the loop that would have to serve it
    │   └── NoStepError               a step's context was asked for where no step runs
    ├── RequestError                  the caller's fault, 4xx
    │   ├── MalformedRequestError     400
    │   ├── UnauthenticatedError      401
    │   ├── ForbiddenError            403
    │   ├── CrossOriginError          403
    │   ├── CsrfFailedError           403
    │   ├── NotFoundError             404
    │   ├── MethodNotAllowedError     405
    │   ├── NotAcceptableError        406
    │   ├── LengthRequiredError       411
    │   ├── BodyTooLargeError         413
    │   ├── UnsupportedMediaTypeError 415
    │   ├── InvalidInputsError        422
    │   └── OverloadedError           429
    ├── RunError                      a run's, 5xx unless the author chose otherwise
    │   ├── PipelineError             raised by a step on purpose; its message is public
    │   ├── StepFailedError           500
    │   ├── StepTimeoutError          504
    │   ├── DynamicBodyError          500
    │   ├── BranchFailedError         500
    │   ├── InvalidOutputsError       500
    │   ├── DeadlineExceededError     504
    │   ├── RunSuspendedError         409
    │   └── RunCancelledError         499
    ├── UnavailableError              503, with the seconds after which to come back
    ├── UnsupportedError              501
    └── StoreError                    503

Classes carry ``code`` (kebab-case, the name of its docs page) and ``status``; instances carry data.
This module imports nothing of the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

__all__ = [
    "BodyTooLargeError",
    "BranchFailedError",
    "CompileError",
    "ConfigurationError",
    "CrossOriginError",
    "CsrfFailedError",
    "DeadlineExceededError",
    "DefinitionError",
    "DynamicBodyError",
    "ForbiddenError",
    "HomeLoopError",
    "InvalidInputsError",
    "InvalidOutputsError",
    "LengthRequiredError",
    "MalformedRequestError",
    "MethodNotAllowedError",
    "NoStepError",
    "NotAcceptableError",
    "NotFoundError",
    "OverloadedError",
    "PipelineError",
    "PipemountError",
    "RequestError",
    "RunCancelledError",
    "RunError",
    "RunSuspendedError",
    "StepFailedError",
    "StepTimeoutError",
    "StoreError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnsupportedError",
    "UnsupportedMediaTypeError",
]

DOCS_URL = "https://pipemount.readthedocs.io/en/stable/errors/"


class PipemountError(Exception):
    """The root of the tree. ``str(error)`` is a sentence that names the way out."""

    code: ClassVar[str] = "pipemount-error"
    title: ClassVar[str] = "Pipemount error"
    status: int = 500

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "title" not in vars(cls):
            cls.title = cls.code.replace("-", " ").capitalize()

    headers: Mapping[str, str] = MappingProxyType({})
    """Response headers that this error asks for, beside those of any problem document."""

    @property
    def extensions(self) -> Mapping[str, Any]:
        """Members that this error adds to its problem document (RFC 9457, section 3.2)."""
        return {}

    @property
    def docs_url(self) -> str:
        """The page that explains this error; the ``type`` of its problem document."""
        return DOCS_URL + self.code


class DefinitionError(PipemountError):
    """The author's fault: raised at import, at compile or at start, never by a request."""

    code = "definition"
    title = "Wrong definition"


class CompileError(DefinitionError):
    """A pipeline that cannot be compiled.

    The message ends with the address of the section that explains it, on a line of its own.

    Args:
        operation: What was attempted, as a sentence without its full stop.
        reason: Why it cannot be known before the run.
        way_out: What to write instead.
        file: Source file of the offending line, where known.
        line: Its line number, from 1.
        code: A kebab-case code of its own, e.g. ``"text-of-reference"``.
    """

    code = "compile"
    title = "Pipeline cannot be compiled"

    def __init__(
        self,
        *,
        operation: str,
        reason: str,
        way_out: str,
        file: str | None = None,
        line: int | None = None,
        code: str | None = None,
    ) -> None:
        self.operation, self.reason, self.way_out = operation, reason, way_out
        self.file, self.line = file, line
        self.detail_code = code or self.code
        place = f"{file}:{line}: " if file and line else ""
        super().__init__(f"{place}{operation}: {reason}. {way_out}.\nSee {self.docs_url}")

    @property
    def docs_url(self) -> str:
        """The section of the page ``compile`` that explains this error."""
        return f"{super().docs_url}/#{self.detail_code}"


class ConfigurationError(DefinitionError):
    """A setting, key or hook that cannot be used as it was given."""

    code = "configuration"
    title = "Wrong configuration"


class HomeLoopError(DefinitionError):
    """A blocking call was made on the very event loop that would have to serve it."""

    code = "home-loop"


class NoStepError(DefinitionError):
    """``get_step_context()`` was called outside a step."""

    code = "no-step"


class RequestError(PipemountError):
    """The caller's fault; nothing was executed."""

    code = "request"
    status = 400


class MalformedRequestError(RequestError):
    """Not JSON, a wrong encoding, nested too deeply, or two credentials in one request."""

    code = "malformed-request"


class UnauthenticatedError(RequestError):
    """No key, or a wrong one (RFC 9110, section 15.5.2).

    Args:
        detail: The sentence that the caller sees.
        challenges: Values of ``WWW-Authenticate``, one per accepted scheme.
    """

    code = "unauthenticated"
    status = 401

    def __init__(self, detail: str, *, challenges: Sequence[str]) -> None:
        super().__init__(detail)
        self.challenges = tuple(challenges)
        self.headers = {"www-authenticate": ", ".join(challenges)}


class ForbiddenError(RequestError):
    """The key or the user is known but lacks the permission; or nobody is logged in (``principal`` is ``None``)."""

    code = "forbidden"
    status = 403

    def __init__(self, *, permission: str, principal: str | None) -> None:
        lacking = f"{principal!r} lacks the permission {permission!r}"
        super().__init__("log in first: this route is for users of the host" if principal is None else lacking)
        self.permission, self.principal = permission, principal

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"permission": self.permission}


class CrossOriginError(RequestError):
    """A page of another origin had a browser post with the cookies of the host's login."""

    code = "cross-origin"
    status = 403

    def __init__(self, *, origin: str) -> None:
        super().__init__(
            f"{origin!r} is not this app's own origin: post from its own pages, present a key, send the host's CSRF "
            "token in its header, or have Settings(trusted_origins=…) name that origin"
        )
        self.origin = origin


class CsrfFailedError(RequestError):
    """A request with a cookie lacks the token by which the host knows its own pages, or its origin is not trusted."""

    code = "csrf-failed"
    title = "CSRF check failed"
    status = 403

    def __init__(self, *, reason: str, header: str) -> None:
        super().__init__(
            f"{reason.rstrip('.')}: send the token that this site gave the browser in the header {header}, "
            "or present a key instead of a cookie"
        )
        self.reason, self.header = reason, header


class NotFoundError(RequestError):
    """Nothing is served at this path."""

    code = "not-found"
    status = 404


class MethodNotAllowedError(RequestError):
    """The path exists, the method does not."""

    code = "method-not-allowed"
    status = 405

    def __init__(self, *, method: str, allowed: Sequence[str]) -> None:
        super().__init__(f"{method} is not allowed here; use {' or '.join(allowed)}")
        self.headers = {"allow": ", ".join(allowed)}


class NotAcceptableError(RequestError):
    """The caller accepts no media type that this route can produce."""

    code = "not-acceptable"
    status = 406


class LengthRequiredError(RequestError):
    """The body comes in chunks, which the server does not put together."""

    code = "length-required"
    status = 411


class BodyTooLargeError(RequestError):
    """The body is over the app's limit; reading stopped there."""

    code = "body-too-large"
    status = 413

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"the request body is over the limit of {limit} bytes")
        self.limit = limit

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"limit": self.limit}


class UnsupportedMediaTypeError(RequestError):
    """The body is not declared as JSON."""

    code = "unsupported-media-type"
    status = 415


class InvalidInputsError(RequestError):
    """The inputs fail the pipeline's schema; nothing was executed.

    Args:
        errors: One mapping per fault with ``loc`` (path of keys and indexes), ``msg`` and ``type``.
            The value that failed is never among them.
    """

    code = "invalid-inputs"
    status = 422

    def __init__(self, *, errors: Sequence[Mapping[str, Any]]) -> None:
        where = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in errors[:3])
        super().__init__(where + ("; …" if len(errors) > 3 else ""))
        self.errors = tuple(errors)

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"errors": self.errors}


class OverloadedError(RequestError):
    """Running and queued runs are both at their limit."""

    code = "overloaded"
    status = 429

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(f"all places are taken; try again in {retry_after} s")
        self.retry_after = retry_after
        self.headers = {"retry-after": str(retry_after)}


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


class UnavailableError(PipemountError):
    """Starting, failed to start, draining or stopped: come back after ``retry_after`` seconds.

    ``code`` tells which: ``starting``, ``start-failed``, ``draining``.
    """

    code = "unavailable"
    status = 503

    def __init__(self, detail: str, *, retry_after: int = 1, code: str = "unavailable") -> None:
        super().__init__(detail)
        self.detail_code = code
        self.retry_after = retry_after
        self.headers = {"retry-after": str(retry_after)}


class UnsupportedError(PipemountError):
    """The request is understood but this version or this server cannot do it."""

    code = "not-implemented"
    status = 501


class StoreError(PipemountError):
    """The store of durable records cannot be used."""

    code = "store"
    status = 503
