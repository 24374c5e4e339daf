"""Errors as the members of problem documents (RFC 9457), and back: the one mapping that both sides share."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from .base import PipemountError
from .definition import DefinitionError
from .request import (
    BodyTooLargeError,
    ForbiddenError,
    InvalidInputsError,
    LengthRequiredError,
    MethodNotAllowedError,
    NotAcceptableError,
    NotFoundError,
    OverloadedError,
    RequestError,
    UnauthenticatedError,
    UnsupportedMediaTypeError,
)
from .run import DeadlineExceededError, RunCancelledError, RunError
from .service import UnavailableError, UnsupportedError

__all__ = ["code_of", "from_problem", "is_problem", "members_of"]


def members_of(error: PipemountError) -> dict[str, Any]:
    """The members of the document that ``error`` is told in, but for where it happened.

    Of the author's own faults callers learn that there is one, not which. A run's error has the members of an
    invocation's response as well, for clients that read those.
    """
    return {
        "type": error.docs_url,
        "title": error.title,
        "status": error.status,
        "detail": "the pipeline is not well configured; see its log"
        if isinstance(error, DefinitionError)
        else str(error),
        "code": code_of(error),
        **({"success": False, "outputs": None, "error": str(error)} if isinstance(error, RunError) else {}),
        **error.extensions,
    }


def code_of(error: PipemountError) -> str:
    """The code that callers branch on: the error's own, or that of its class."""
    return getattr(error, "detail_code", None) or error.code


# ------------------------------------------------------------------------------------------------ and back


def is_problem(document: object) -> bool:
    """Whether a JSON value is a problem document of ours: it has a code and a sentence."""
    return isinstance(document, Mapping) and all(isinstance(document.get(name), str) for name in ("code", "detail"))


def from_problem(
    document: Mapping[str, Any], *, status: int | None = None, retry_after: float | None = None
) -> PipemountError:
    """The error that ``document`` tells of, as it would be raised in the process: its class, its sentence, its data.

    What the document does not tell, such as the exception that a step raised, is ``None``. ``error.problem`` is the
    document. A code that is not known, of a later version perhaps, becomes the nearest class by status.

    Args:
        document: The members.
        status: The response's, which wins over the document's.
        retry_after: Seconds, as the response says.
    """
    status = status or _status(document)
    code = str(document.get("code") or "")
    kind: Any = _by_type(document) or _classes().get(code) or _nearest(status, document)
    error: PipemountError = kind.__new__(kind)
    Exception.__init__(error, str(document.get("detail") or document.get("title") or f"status {status}"))
    names = _attributes(kind)
    data: dict[str, Any] = dict.fromkeys(names)
    data |= {k: tuple(value) if isinstance(value, list) else value for k, value in document.items() if k in names}
    vars(error).update(data, status=status, detail_code=code or kind.code, problem=document)
    if "errors" in data:
        error.errors = _faults(data["errors"])  # type: ignore[attr-defined]  # of the classes that take them
    if retry_after is not None:
        vars(error).update(retry_after=retry_after, headers={"retry-after": f"{retry_after:.0f}"})
    return error


def _status(document: Mapping[str, Any]) -> int:
    said = document.get("status")
    return said if isinstance(said, int) and 400 <= said <= 599 else 500


def _by_type(document: Mapping[str, Any]) -> type[PipemountError] | None:
    """A class by the page that explains it: a step may choose any code, its page stays."""
    page = str(document.get("type") or "").rpartition("/errors/")[2]
    return _classes().get(page.partition("#")[0].strip("/"))


@cache
def _classes() -> Mapping[str, type[PipemountError]]:
    """Every class of the tree by its code."""
    found: dict[str, type[PipemountError]] = {}
    kinds = [PipemountError]
    for kind in kinds:
        if kind.__module__.startswith(__package__ or ""):
            found.setdefault(kind.code, kind)
        kinds.extend(kind.__subclasses__())
    return found


_NEAREST: Mapping[int, type[PipemountError]] = {
    401: UnauthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    406: NotAcceptableError,
    411: LengthRequiredError,
    413: BodyTooLargeError,
    415: UnsupportedMediaTypeError,
    422: InvalidInputsError,
    429: OverloadedError,
    501: UnsupportedError,
    503: UnavailableError,
}
_NEAREST_OF_RUNS: Mapping[int, type[PipemountError]] = {499: RunCancelledError, 504: DeadlineExceededError}


def _nearest(status: int, document: Mapping[str, Any]) -> type[PipemountError]:
    if document.get("run_id"):
        return _NEAREST_OF_RUNS.get(status, RunError)
    return _NEAREST.get(status, RequestError if status < 500 else PipemountError)


@cache
def _attributes(kind: Any) -> frozenset[str]:
    """The data of a class of the tree: what its constructors take under a name is an attribute of that name."""
    constructors = (vars(base).get("__init__") for base in kind.__mro__ if issubclass(base, PipemountError))
    names = {name for made in constructors if made for name in inspect.signature(made).parameters}
    return frozenset(names - {"self", "detail", "code", "status", "headers"})


def _faults(told: object) -> tuple[Mapping[str, Any], ...]:
    return tuple(fault for fault in told if isinstance(fault, Mapping)) if isinstance(told, tuple) else ()
