"""What the author decides about runs of a graph: their context, their thread, and what callers may say of either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias
from urllib.parse import quote
from uuid import UUID

from pydantic import Field

from ...errors import ConfigurationError
from ...runtime.call import Call
from ...runtime.context import StepContext
from .schemas import Member, members_of, object_shape

__all__ = ["INPUTS", "Decisions", "decide"]

INPUTS = "inputs"
"""Says that callers decide: with the input ``context``, or with ``thread_id``."""

Values: TypeAlias = dict[str, Any]

THREAD_ID = Annotated[str, Field(min_length=1, max_length=200)]
THREAD_MEMBER = Member(THREAD_ID, False, description="The conversation to go on with; without it a new one begins.")


@dataclass(frozen=True, slots=True)
class Decisions:
    """How the context and the thread of a run come about; either takes its part out of the inputs.

    Attributes:
        extra: The inputs that callers may send beside the graph's own.
        context: The run's static context, of validated inputs and the run.
        thread: The id of its thread; ``None`` for a graph that keeps nothing between runs.
    """

    extra: dict[str, Member]
    context: Callable[[Values, StepContext], Any]
    thread: Callable[[Values, StepContext, Call], str] | None

    def config(self, values: Values, run: StepContext, call: Call) -> dict[str, Any]:
        """What LangGraph is told of the run. What the author gave the graph ``with_config`` holds beside it."""
        config: dict[str, Any] = {"run_id": UUID(call.run_id)}
        if self.thread is not None:
            config["configurable"] = {"thread_id": self.thread(values, run, call)}
        return config


def decide(graph: Any, name: str, *, context: Any, thread: Any) -> Decisions:
    """What the author's options come to. Raises ``ConfigurationError`` where they cannot be followed."""
    extra: dict[str, Member] = {}
    if thread == INPUTS:
        extra["thread_id"] = THREAD_MEMBER
    make_context = _context(graph.context_schema, name, context, extra)
    return Decisions(extra, make_context, _thread(graph, name, thread))


# ---------------------------------------------------------------------------------------------- context


def _context(schema: Any, name: str, context: Any, extra: dict[str, Member]) -> Callable[[Values, StepContext], Any]:
    members = members_of(schema) or {}
    needed = [member for member, about in members.items() if about.required]
    if isinstance(context, str):
        if context != INPUTS or not members:
            raise ConfigurationError(
                f"context={context!r}: write {INPUTS!r} where the graph {name!r} declares a context_schema, "
                "a value, or a function of the run that returns one"
            )
        shape = object_shape(f"{name}_Context", schema)
        extra["context"] = Member(shape.annotation, bool(needed), description="What holds for the whole run.")
        return lambda values, run: shape.build(values.pop("context")) if "context" in values else schema()
    if context is None and needed:
        raise ConfigurationError(
            f"the graph {name!r} needs a context with {', '.join(needed)}; say where it comes from: "
            f"compile(graph, context=value), context=function_of_the_run, or context={INPUTS!r} for callers to send it"
        )
    if context is None:
        return lambda values, run: None if schema is None else schema()
    return (lambda values, run: context(run)) if callable(context) else lambda values, run: context


# ----------------------------------------------------------------------------------------------- thread


def _thread(graph: Any, name: str, thread: Any) -> Callable[[Values, StepContext, Call], str] | None:
    if not graph.checkpointer:
        if thread is None:
            return None
        raise ConfigurationError(
            f"the graph {name!r} keeps nothing between runs, so there is no thread to choose; "
            "compile it with a checkpointer: builder.compile(checkpointer=…)"
        )
    if thread == INPUTS:
        return lambda values, run, call: _owned(values.pop("thread_id", None), call)
    if thread is None:
        return lambda values, run, call: call.run_id
    if callable(thread):
        return lambda values, run, call: str(thread(run))
    raise ConfigurationError(f"thread={thread!r}: write {INPUTS!r}, or a function of the run that returns its id")


def _owned(thread_id: str | None, call: Call) -> str:
    """The thread of this name that is the caller's own: nobody reads another's by guessing."""
    if thread_id is None:
        return call.run_id
    return thread_id if call.principal is None else f"{quote(call.principal.name, safe='')}/{thread_id}"
