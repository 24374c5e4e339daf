"""Who takes the calls of the body that runs in this context: a trace, a dynamic run, or nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, cast

from .tracing import Trace

__all__ = ["CallKind", "CallOptions", "Taker", "current", "current_trace", "is_tracing", "tracing"]

CallKind: TypeAlias = Literal["call", "submit", "map", "product"]
"""How a body calls a step or a pipeline."""


class Taker(Protocol):
    """Who takes the calls of a body that is run, not traced."""

    def take(
        self, kind: CallKind, called: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: CallOptions
    ) -> Any:
        """A call of a step or pipeline that the body wrote; what stands for its value."""


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a call says beside its arguments."""

    id: str | None = None
    after: object = ()
    limit: Any = None


_current: ContextVar[Trace | Taker | None] = ContextVar("pipemount_body", default=None)


current = _current.get
"""Who takes the calls of the body that runs in this context; ``None`` outside of bodies."""


def current_trace() -> Trace:
    """The trace that is under way in this context, where there must be one."""
    return cast(Trace, _current.get())


def is_tracing() -> bool:
    """Whether a pipeline's body is being traced in this context, so that calls must be recorded."""
    return isinstance(_current.get(), Trace)


@contextmanager
def tracing(taker: Trace | Taker | None) -> Iterator[None]:
    """Makes ``taker`` the one who takes calls; ``None`` makes them plain calls."""
    token = _current.set(taker)
    try:
        yield
    finally:
        _current.reset(token)
