"""Which node is to blame for an exception that came out of a graph."""

from __future__ import annotations

import re

from ...errors import RunError, StepFailedError

__all__ = ["as_run_error", "node_of"]

NOTE = re.compile(r"During task with name '(.+)' and id '[^']+'")
"""What LangGraph notes on an exception, once for each graph that it came through, the innermost first."""


def as_run_error(error: BaseException, pipeline: str) -> RunError:
    """What a run fails with because of ``error``. What no node raised, such as the recursion limit, is the graph's."""
    node = node_of(error)
    if isinstance(error, RunError):
        error.step = error.step or node
        return error
    return StepFailedError(step=node or pipeline, cause=error)


def node_of(error: BaseException) -> str | None:
    """The path ``outer/inner`` of the node that let ``error`` out."""
    notes = (NOTE.fullmatch(note) for note in getattr(error, "__notes__", ()))
    names = [note[1] for note in notes if note]
    if type(error).__module__ == "langgraph.errors" and (own := getattr(error, "node", None)) not in names[:1]:
        names = [own, *names] if own else names  # of a timeout, and of a node that cancelled itself, nothing is noted
    return "/".join(reversed(names)) or None
