"""What an author declared: a step, its parameters, outputs, retries and hooks, as frozen values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ..errors import ConfigurationError
from .executors import StepExecutor

__all__ = ["Affinity", "Hook", "Hooks", "OutputField", "ParameterField", "Retry", "StepKind", "StepSpec"]

Affinity: TypeAlias = Literal["any", "request"]
"""Which thread a sync step runs in: any of the app's; the one that handles the request, where there is one."""

StepKind: TypeAlias = Literal["async", "thread", "loop"]
"""Where a step runs: awaited on the home loop; in the app's thread pool; called on the home loop."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When and how often a failed step is attempted again.

    Attributes:
        attempts: Attempts in all, the first included; at least 1.
        delay: Seconds before the second attempt.
        backoff: Factor by which the delay grows with each further attempt.
        max_delay: Seconds that a delay never exceeds.
        jitter: Share of the delay, 0 to 1, that is drawn at random and added.
        on: Exception classes that are retried; others fail the step at once.
    """

    attempts: int = 3
    delay: float = 0.0
    backoff: float = 2.0
    max_delay: float = 60.0
    jitter: float = 0.0
    on: tuple[type[BaseException], ...] = (Exception,)

    def __post_init__(self) -> None:
        faults = {
            "attempts must be a whole number of at least 1": not isinstance(self.attempts, int) or self.attempts < 1,
            "delay must be 0 s or more": not _is_number(self.delay) or not self.delay >= 0,
            "backoff must be above 0": not _is_number(self.backoff) or not self.backoff > 0,
            "max_delay must be 0 s or more": not _is_number(self.max_delay) or not self.max_delay >= 0,
            "jitter must be between 0 and 1": not _is_number(self.jitter) or not 0 <= self.jitter <= 1,
            "on must be a tuple of exception classes": not _are_exceptions(self.on),
        }
        if wrong := [fault for fault, is_wrong in faults.items() if is_wrong]:
            raise ConfigurationError(f"Retry: {'; '.join(wrong)}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _are_exceptions(classes: object) -> bool:
    return isinstance(classes, tuple) and all(isinstance(c, type) and issubclass(c, BaseException) for c in classes)


@dataclass(frozen=True, slots=True)
class Hook:
    """A function, or the ``"module:function"`` that names one, and the arguments it is called with."""

    target: Callable[..., Any] | str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hooks:
    """Hooks of a pipeline or of a step; a step has no ``on_init`` and no ``on_cleanup``."""

    on_init: Hook | None = None
    on_cleanup: Hook | None = None
    on_start: Hook | None = None
    on_success: Hook | None = None
    on_failure: Hook | None = None
    on_end: Hook | None = None


@dataclass(frozen=True, slots=True)
class ParameterField:
    """A parameter of a step or of a pipeline.

    Attributes:
        name: As the author wrote it and callers send it.
        attribute: Its key in ``vars()`` of the validated input model; differs from ``name`` only where
            pydantic reserves the name.
        annotation: Its resolved type, ``Annotated`` metadata included.
        required: Whether it has no default.
        default: The default, where ``required`` is false.
    """

    name: str
    attribute: str
    annotation: Any
    required: bool
    default: Any = None


@dataclass(frozen=True, slots=True)
class OutputField:
    """A named output of a step, and the type it was declared with."""

    name: str
    annotation: Any


@dataclass(frozen=True, slots=True)
class StepSpec:
    """A step as its author declared it.

    Attributes:
        function: What is called: plain, ``async``, generator or async generator function.
        name: The function's name unless the author gave another.
        kind: Where it runs.
        generator: Whether it yields deltas.
        collects: Whether a generator's output is the list of all it yielded, as for async generators and for
            sync ones whose annotation names no return value; otherwise the output is what it returns.
        narrow: Makes what it yields as the declared type has it, before it is told; ``None`` where it is that anyway.
        parameters: In the order of the signature, the context parameter left out.
        outputs: One, or several where the return annotation is a tuple.
        context_parameter: Name of the parameter annotated ``StepContext``, if there is one.
        affinity: Which thread a sync step runs in; ``None`` leaves it to the app.
        executor: Where it runs, if not in the app's process. That changes nothing that it gives, so it is no part of
            any version or fingerprint.
        version: SHA-256 of the function's source, or of its bytecode where there is no source.
    """

    function: Callable[..., Any]
    name: str
    kind: StepKind
    generator: bool
    parameters: tuple[ParameterField, ...]
    outputs: tuple[OutputField, ...]
    context_parameter: str | None = None
    retry: Retry | None = None
    timeout: float | None = None
    hooks: Hooks = Hooks()
    public_errors: tuple[type[BaseException], ...] = ()
    error_statuses: Mapping[type[BaseException], int] = field(default_factory=dict)
    collects: bool = False
    narrow: Callable[[Any], Any] | None = field(default=None, compare=False, repr=False)
    affinity: Affinity | None = None
    executor: StepExecutor | None = None
    version: str = ""
    doc: str = ""

    @property
    def threaded(self) -> bool:
        """Whether it is called in a thread of the app's."""
        return self.kind == "thread" and self.executor is None
