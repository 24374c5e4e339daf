"""What a step is handed: its place in the run, the shared state, and how to speak to whoever listens."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from ..errors import NoStepError
from ..types import Principal, Trace
from .suspending import Question, Suspension

if TYPE_CHECKING:
    from .call import Call
    from .events import EventKind
    from .run import Run

__all__ = ["CURRENT", "StepContext", "current_call", "get_step_context"]

T = TypeVar("T")


class StepContext:
    """A step's view of its run. Valid while the step runs; may be used from the step's own threads.

    Annotate a parameter of the step with this class to be handed it, or call ``get_step_context()``.
    """

    __pipemount_context__: ClassVar[bool] = True
    __slots__ = ("_abandoned", "_asked", "_run", "attempt", "step_name")

    def __init__(self, run: Run, step_name: str, attempt: int) -> None:
        self._run = run
        self._abandoned = False
        self.step_name = step_name
        self.attempt = attempt

    @property
    def pipeline_state(self) -> Any:
        """What ``on_init`` returned; ``None`` without one."""
        return self._run.call.state

    @property
    def pipeline_name(self) -> str:
        """The pipeline's name."""
        return self._run.pipeline_name

    @property
    def run_id(self) -> str:
        """The run's UUID."""
        return self._run.call.run_id

    @property
    def idempotency_key(self) -> str:
        """The same in every attempt at this step of this run: for whom a side effect must not happen twice.

        ``"{run_id}/{step_name}"``; the run of a job has the job's id. Of the items of a map each has its own.
        """
        return f"{self._run.call.run_id}/{self.step_name}"

    @property
    def run_name(self) -> str:
        """The run's name, for people."""
        return self._run.call.run_name or ""

    @property
    def deadline(self) -> float | None:
        """When the run is cancelled, as a point on ``time.monotonic()``."""
        return self._run.call.deadline

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for this step any more; a sync step should look now and then, and return."""
        return self._abandoned or self._run.cancelled

    @property
    def heard(self) -> bool:
        """Whether anybody listens: what is costly to say need not be put together where nobody does."""
        return self._run.recorder is not None and not self._abandoned

    @property
    def principal(self) -> Principal | None:
        """Who asked for the run, where the app or its host knows."""
        return self._run.call.principal

    @property
    def trace(self) -> Trace | None:
        """The caller's place in a distributed trace."""
        return self._run.call.trace

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What else the service knows of the run."""
        return self._run.call.metadata

    @overload
    def suspend(self, reason: str, schema: type[T], *, data: Any = None) -> T: ...
    @overload
    def suspend(self, reason: str, schema: Any = Any, *, data: Any = None) -> Any: ...
    def suspend(self, reason: str, schema: Any = Any, *, data: Any = None) -> Any:
        """Ask somebody, and go on with the answer: it may come in a week, and from another process.

        No coroutine: call it in steps of any kind, and in bodies of dynamic pipelines. The first time it does not
        return. A durable job is ``suspended`` then, and holds no place; once it is resumed, the step is called again
        from its beginning, and this returns the answer. Questions are known by their order in the step. Any other run
        fails with ``RunSuspendedError``.

        Args:
            reason: A sentence for whoever answers.
            schema: The type of the answer, which is validated; an answer that does not fit is asked for again.
            data: What to look at before one answers, as JSON can say it.
        """
        self._asked = number = getattr(self, "_asked", 0) + 1
        question = Question(self.step_name, number, reason, schema, data)
        try:
            return question.answer(self._run.call.checkpoints)
        except Suspension as suspension:
            self._tell("suspended", **suspension.error.interrupts[0]["value"])
            raise

    def emit(self, data: Any) -> None:
        """Tell listeners something of your own, as a ``data`` event. Leave ``data`` unchanged afterwards."""
        self._tell("data", value=data)

    def log(self, message: str, /, *args: Any, level: str | int = "info") -> None:
        """Tell listeners a line, as a ``log`` event.

        Args:
            message: The line; with ``args``, a format as ``logging`` takes it: ``log("%d rows", len(rows))``.
            *args: What the format names; put in only if somebody listens.
            level: A name, or a level of ``logging``.

        What is logged with ``logging`` is told to listeners by a ``StepLogHandler``.
        """
        if self.heard:
            name = level if isinstance(level, str) else logging.getLevelName(level)
            self._tell("log", level=name.lower(), message=message % args if args else message)

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Tell listeners how far the step is, as a ``progress`` event.

        Args:
            done: What is done, in a unit of your own.
            total: What there is to do, where it is known.
            message: A few words for people.
        """
        known = {"done": done, "total": total, "message": message}
        self._tell("progress", **{name: value for name, value in known.items() if value is not None})

    def _tell(self, kind: EventKind, **data: Any) -> None:
        if (recorder := self._run.recorder) is not None and not self._abandoned:
            of_step = bool(self.step_name)  # not of one of the run's hooks
            recorder.record(kind, self.step_name or None, self.attempt if of_step else None, data)

    async def _tell_delta(self, value: Any) -> None:
        """Tell a delta where there is time for its readers to read."""
        if (recorder := self._run.recorder) is not None and recorder.crowded:
            await recorder.give_way()
        self._tell("delta", value=value)

    def _abandon(self) -> None:
        self._abandoned = True


CURRENT: ContextVar[StepContext] = ContextVar("pipemount_step_context")


def current_call() -> Call | None:
    """What is asked of the run that this code is part of; what a step left behind still is, after its run has ended."""
    context = CURRENT.get(None)
    return None if context is None else context._run.call


def get_step_context() -> StepContext:
    """The context of the step that is running here. Raises ``NoStepError`` outside a step."""
    try:
        return CURRENT.get()
    except LookupError:
        raise NoStepError(
            "get_step_context() was called where no step runs; call it inside a step, "
            "or annotate a parameter of the step with StepContext"
        ) from None
