"""Every error of pipemount, one tree with one root.

::

    PipemountError
    ├── DefinitionError               the author's fault, at import or compile
    │   ├── CompileError              a pipeline body that cannot become a snapshot
    │   ├── ConfigurationError        settings, keys or hooks that cannot be used
    │   ├── HomeLoopError             a blocking call on the loop that would have to serve it
    │   ├── NoStepError               a step's context was asked for where no step runs
    │   └── UnknownStepError          a step was named that no pipeline of the app has
    ├── RequestError                  the caller's fault, 4xx
    │   ├── MalformedRequestError     400
    │   ├── UnauthenticatedError      401
    │   ├── ForbiddenError            403
    │   ├── CrossOriginError          403
    │   ├── CsrfFailedError           403
    │   ├── NotFoundError             404
    │   ├── MethodNotAllowedError     405
    │   ├── NotAcceptableError        406
    │   ├── RequestTimeoutError       408
    │   ├── JobEndedError             409
    │   ├── JobNotEndedError          409
    │   ├── JobNotSuspendedError      409
    │   ├── IdempotencyRunningError   409
    │   ├── EventsPrunedError         410
    │   ├── LengthRequiredError       411
    │   ├── BodyTooLargeError         413
    │   ├── UnsupportedMediaTypeError 415
    │   ├── HostNotAllowedError       421
    │   ├── InvalidInputsError        422
    │   ├── IdempotencyMismatchError  422
    │   ├── OverloadedError           429
    │   │   └── TooManyStreamsError   429
    │   └── RateLimitedError          429
    ├── RunError                      a run's, 5xx unless the author chose otherwise
    │   ├── PipelineError             raised by a step on purpose; its message is public
    │   ├── StepFailedError           500
    │   ├── StepTimeoutError          504
    │   ├── DynamicBodyError          500
    │   ├── BranchFailedError         500
    │   ├── ExecutorError             500
    │   │   └── ExecutorUnavailableError  503
    │   ├── InvalidOutputsError       500
    │   ├── DeadlineExceededError     504
    │   ├── JobExpiredError           504
    │   ├── RunSuspendedError         409
    │   ├── PipelineChangedError      409
    │   ├── JobCancelledError         409
    │   ├── WorkerLostError           500
    │   └── RunCancelledError         499
    ├── UnavailableError              503, with the seconds after which to come back
    ├── UnsupportedError              501
    ├── StoreError                    503
    │   └── ValueLostError            500
    └── RemoteError                   what a client finds instead of an answer
        ├── UnreachableError          nothing answers, or the connection broke
        ├── NoAnswerError             not in time
        └── ForeignAnswerError        not one of pipemount's

Classes carry ``code`` (kebab-case, the name of its docs page) and ``status``; instances carry data.
This package imports nothing else of pipemount.
"""

from __future__ import annotations

from .base import PipemountError
from .definition import CompileError, ConfigurationError, DefinitionError, HomeLoopError, NoStepError, UnknownStepError
from .remote import ForeignAnswerError, NoAnswerError, RemoteError, UnreachableError
from .request import (
    BodyTooLargeError,
    CrossOriginError,
    CsrfFailedError,
    EventsPrunedError,
    ForbiddenError,
    HostNotAllowedError,
    IdempotencyMismatchError,
    IdempotencyRunningError,
    InvalidInputsError,
    JobEndedError,
    JobNotEndedError,
    JobNotSuspendedError,
    LengthRequiredError,
    MalformedRequestError,
    MethodNotAllowedError,
    NotAcceptableError,
    NotFoundError,
    OverloadedError,
    RateLimitedError,
    RequestError,
    RequestTimeoutError,
    TooManyStreamsError,
    UnauthenticatedError,
    UnsupportedMediaTypeError,
)
from .run import (
    BranchFailedError,
    DeadlineExceededError,
    DynamicBodyError,
    ExecutorError,
    ExecutorUnavailableError,
    InvalidOutputsError,
    JobCancelledError,
    JobExpiredError,
    PipelineChangedError,
    PipelineError,
    RunCancelledError,
    RunError,
    RunSuspendedError,
    StepFailedError,
    StepTimeoutError,
    WorkerLostError,
)
from .service import StoreError, UnavailableError, UnsupportedError, ValueLostError

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
    "EventsPrunedError",
    "ExecutorError",
    "ExecutorUnavailableError",
    "ForbiddenError",
    "ForeignAnswerError",
    "HomeLoopError",
    "HostNotAllowedError",
    "IdempotencyMismatchError",
    "IdempotencyRunningError",
    "InvalidInputsError",
    "InvalidOutputsError",
    "JobCancelledError",
    "JobEndedError",
    "JobExpiredError",
    "JobNotEndedError",
    "JobNotSuspendedError",
    "LengthRequiredError",
    "MalformedRequestError",
    "MethodNotAllowedError",
    "NoAnswerError",
    "NoStepError",
    "NotAcceptableError",
    "NotFoundError",
    "OverloadedError",
    "PipelineChangedError",
    "PipelineError",
    "PipemountError",
    "RateLimitedError",
    "RemoteError",
    "RequestError",
    "RequestTimeoutError",
    "RunCancelledError",
    "RunError",
    "RunSuspendedError",
    "StepFailedError",
    "StepTimeoutError",
    "StoreError",
    "TooManyStreamsError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnknownStepError",
    "UnreachableError",
    "UnsupportedError",
    "UnsupportedMediaTypeError",
    "ValueLostError",
    "WorkerLostError",
]
