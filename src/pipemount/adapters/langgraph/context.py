"""``get_step_context()`` inside nodes and tasks: the run, its state, and a way to speak to whoever listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langgraph.config import get_config, get_stream_writer

from ...runtime.call import Call
from ...runtime.context import StepContext
from ...runtime.run import Run

__all__ = ["NodeContext", "Told", "path_of"]


@dataclass(frozen=True, slots=True)
class Told:
    """What a node told through its context, on its way through LangGraph's own custom stream."""

    kind: Any
    step: str
    data: Mapping[str, Any]


class GraphRun(Run):
    """A run whose values LangGraph keeps."""

    __slots__ = ()

    def __init__(self, call: Call, pipeline_name: str) -> None:
        self.call, self.pipeline_name, self.recorder = call, pipeline_name, None
        self.outer, self.stopped, self.prefix = None, False, ""


class NodeContext(StepContext):
    """One for the whole run: which node it speaks of is where the code runs that asks."""

    __slots__ = ("_listening",)

    def __init__(self, call: Call, pipeline_name: str, *, listening: bool) -> None:
        super().__init__(GraphRun(call, pipeline_name), "", 1)
        self._listening = listening

    @property
    def heard(self) -> bool:
        """Whether anybody listens: what is costly to say need not be put together where nobody does."""
        return self._listening and not self._run.call.cancelled

    @property
    def step_name(self) -> str:
        """The node or task that runs here: ``outer/inner`` in a subgraph, ``""`` outside of any."""
        return _current_path()

    @step_name.setter
    def step_name(self, name: str) -> None:
        """The base class sets a name; where the code runs says it better."""

    def _tell(self, kind: Any, **data: Any) -> None:
        if self.heard and (path := _current_path()):
            get_stream_writer()(Told(kind, path, data))


def _current_path() -> str:
    try:
        namespace: str = get_config()["configurable"].get("checkpoint_ns", "")
    except RuntimeError:
        return ""
    return path_of(namespace.split("|"))


def path_of(parts: list[str] | tuple[str, ...], *last: str) -> str:
    """``outer/inner`` of a namespace such as ``("outer:8bd1…", "inner:27ff…")``."""
    return "/".join((*(part.partition(":")[0] for part in parts), *last))
