"""Exit codes, and the sentences that go with them."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import IntEnum
from http import HTTPStatus
from typing import Any

from ..errors import (
    CompileError,
    DeadlineExceededError,
    ForbiddenError,
    InvalidInputsError,
    NoAnswerError,
    OverloadedError,
    PipemountError,
    RemoteError,
    StepFailedError,
    StepTimeoutError,
    StoreError,
    UnauthenticatedError,
    UnavailableError,
)

__all__ = ["CommandError", "ExitCode", "exit_code", "explain", "from_exception"]


class ExitCode(IntEnum):
    """What a script can branch on. ``docs/command-line.md`` has the same table."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INPUTS = 3
    FORBIDDEN = 4
    UNAVAILABLE = 5
    TIMEOUT = 6
    BREAKING = 7
    INTERRUPTED = 130


class CommandError(PipemountError):
    """A command that cannot do what it was asked to; ``exit`` says whose turn it is."""

    code = "command"
    title = "Command failed"

    def __init__(self, detail: str, *, exit: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(detail)
        self.exit = exit


def from_exception(what: str, error: BaseException) -> CommandError:
    """For what the author's own code raised: the exception and its place, on one line."""
    return CommandError(f"{what} raised {raised(error)}; --traceback shows all of it", exit=ExitCode.FAILED)


def raised(error: BaseException) -> str:
    """An exception in words, with the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{'' if isinstance(error, SyntaxError) else place}"


BY_CLASS: tuple[tuple[tuple[type[PipemountError], ...], ExitCode], ...] = (
    ((InvalidInputsError,), ExitCode.INPUTS),
    ((UnauthenticatedError, ForbiddenError), ExitCode.FORBIDDEN),
    ((DeadlineExceededError, StepTimeoutError, NoAnswerError), ExitCode.TIMEOUT),
    ((UnavailableError, OverloadedError, StoreError, RemoteError), ExitCode.UNAVAILABLE),
)

BY_STATUS = {
    **dict.fromkeys((400, 406, 413, 415, 422), ExitCode.INPUTS),
    **dict.fromkeys((401, 403), ExitCode.FORBIDDEN),
    **dict.fromkeys((404, 405, 410, 429, 502, 503), ExitCode.UNAVAILABLE),
    504: ExitCode.TIMEOUT,
}


def exit_code(error: PipemountError) -> ExitCode:
    """The code of a command that ended with ``error``."""
    if isinstance(error, CommandError):
        return error.exit
    if error.problem is not None:
        return _told_exit_code(error, error.problem)
    return next((code for classes, code in BY_CLASS if isinstance(error, classes)), ExitCode.FAILED)


def _told_exit_code(error: PipemountError, document: Mapping[str, Any]) -> ExitCode:
    # A step may choose any status; what failed is the run all the same.
    if document.get("run_id") and error.status != 504:
        return ExitCode.FAILED
    return BY_STATUS.get(error.status, ExitCode.FAILED)


def explain(error: PipemountError) -> Iterator[str]:
    """Lines for a person; the first says what happened, the others where and what to do."""
    if error.problem is not None:
        yield from _explain_told(error, error.problem)
    elif isinstance(error, CompileError):
        place = f"{error.file}:{error.line}: " if error.file and error.line else ""
        yield f"{place}{error.operation}: {error.reason}"
        yield f"  way out: {error.way_out}"
        yield f"  see {error.docs_url}"
    elif isinstance(error, InvalidInputsError):
        yield from _explain_faults("the inputs do not fit the pipeline", error.errors)
    elif isinstance(error, StepFailedError):
        yield f"step {error.step!r} raised {raised(error.cause)}"
    else:
        yield str(error)


def _explain_told(error: PipemountError, document: Mapping[str, Any]) -> Iterator[str]:
    """A problem document that a server answered (RFC 9457)."""
    faults = document.get("errors")
    head = f"{document.get('title') or _phrase(error.status)} ({error.status})"
    if isinstance(faults, list) and faults:
        yield from _explain_faults(head, [fault for fault in faults if isinstance(fault, dict)])
    else:
        yield f"{head}: {error}"
    for member in ("step", "run_id"):
        if document.get(member):
            yield f"  {member}: {document[member]}"


def _phrase(status: int) -> str:
    with suppress(ValueError):
        return HTTPStatus(status).phrase
    return "Problem"


def _explain_faults(head: str, faults: object) -> Iterator[str]:
    yield f"{head}:"
    for fault in faults if isinstance(faults, list | tuple) else ():
        place = ".".join(map(str, fault.get("loc", ()))) or "inputs"
        yield f"  {place}: {fault.get('msg', '')}"
