"""What a body raised, told to its author: which of it comes of references, and which is the body's own."""

from __future__ import annotations

from pydantic import ValidationError

from ..errors import CompileError
from .places import raised_place
from .references import MARK, Reference
from .refusals import UNKNOWN

__all__ = ["explain_raised"]

_NEEDS_VALUE = "Do it inside a step, which gets the value"


def explain_raised(error: Exception, pipeline: str, path: str, file: str | None) -> CompileError:
    """What the body of ``pipeline`` raised on a path, as an error that names the author's line in ``file``."""
    place = raised_place(error, file)
    code, operation, reason, way_out = _told(error, pipeline, path)
    return CompileError(
        code=code, operation=operation, reason=reason, way_out=way_out, file=place.file, line=place.line
    )


def _told(error: Exception, pipeline: str, path: str) -> tuple[str, str, str, str]:
    text = str(error)
    if isinstance(error, RecursionError):
        return (
            "recursive-pipeline",
            f"the body of the pipeline {pipeline!r} goes deeper than Python allows",
            "a function calls itself, or a value holds itself, without end",
            "Write the repetition inside a step",
        )
    if isinstance(error, ValidationError) and (names := _reference_fields(error)):
        return (
            "reference-in-object",
            f"a new {error.title} is given a reference ({names})",
            "the object would be validated now, and the value is known in a run only",
            "Pass a dict, which is validated as the type that the step takes, or build the object inside a step",
        )
    if isinstance(error, ValueError) and "values to unpack" in text:
        way_out = "A step gives as many references as its return annotation, a tuple of fixed length, has parts"
        return "wrong-unpacking", f"the body of the pipeline {pipeline!r} unpacks wrongly", text, way_out
    if MARK in text or (isinstance(error, TypeError) and Reference.__name__ in text):
        text = text.replace(Reference.__name__, "a reference")
        operation = f"a reference is handed to code that needs its value ({type(error).__name__}: {text})"
        return "reference-as-value", operation, UNKNOWN, _NEEDS_VALUE
    return (
        "body-raised",
        f"the body of the pipeline {pipeline!r} raised {type(error).__name__}{path}",
        text or "it gave no reason",
        "The body runs at compile with references for values; take work on values, and what it raises, into a step",
    )


def _reference_fields(error: ValidationError) -> str:
    """Where references were given to a model, as text."""
    faults = error.errors(include_url=False, include_context=False)
    return ", ".join(".".join(map(str, f["loc"])) for f in faults if isinstance(f["input"], Reference))
