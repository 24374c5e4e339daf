"""The author's faults: found at import, at compile or at start, never by a request."""

from __future__ import annotations

from collections.abc import Sequence

from .base import PipemountError

__all__ = ["CompileError", "ConfigurationError", "DefinitionError", "HomeLoopError", "NoStepError", "UnknownStepError"]


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
    """A blocking call was made on the very event loop that would have to serve it, or while that loop stands still."""

    code = "home-loop"


class NoStepError(DefinitionError):
    """``get_step_context()`` was called outside a step."""

    code = "no-step"


class UnknownStepError(DefinitionError):
    """A step was named that no pipeline of the app has."""

    code = "unknown-step"

    def __init__(self, *, step: str, known: Sequence[str]) -> None:
        super().__init__(
            f"no step named {step!r}; the pipelines have: {', '.join(known) or 'none'}. "
            "A step that a dynamic body gets hold of by other ways is given itself: override({step: function})"
        )
        self.step, self.known = step, tuple(known)
