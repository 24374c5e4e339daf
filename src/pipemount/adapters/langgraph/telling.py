"""From what LangGraph streams to events."""

from __future__ import annotations

from time import perf_counter
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage

from ...errors import RunError, RunSuspendedError
from ...runtime.recorder import Recorder
from .context import Told, path_of
from .messages import text_of

__all__ = ["Teller"]


class _Open(NamedTuple):
    """A node or task that runs: its path, the level it runs at, since when, and in which subgraphs."""

    path: str
    level: str
    started: float
    within: tuple[str, ...]


class Teller:
    """Tells a recorder of one run what happens in it, piece by piece."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.give_way = recorder.give_way
        self._open: dict[str, _Open] = {}
        self._waiting: str | None = None

    @property
    def crowded(self) -> bool:
        """Whether a reader should have its turn: ``await give_way()``."""
        return self._recorder.crowded

    def tell(self, namespace: tuple[str, ...], mode: str, payload: Any) -> None:
        """One piece of ``astream(subgraphs=True)``; its state is nobody's business until the end."""
        if mode == "tasks":
            self._task(namespace, payload)
        elif mode == "custom" and isinstance(payload, Told):
            self._recorder.emit(payload.kind, payload.step, 1, **payload.data)
        elif mode == "custom":
            self._recorder.emit("data", self._running(namespace), 1, value=payload)
        elif mode == "messages":
            self._message(namespace, *payload)

    def failed(self, error: RunError) -> None:
        """The run ended with ``error``: so did the nodes whose end LangGraph did not tell, and whoever asks waits."""
        if isinstance(error, RunSuspendedError):
            self._recorder.emit("suspended", self._waiting or error.step, None, interrupts=error.interrupts)
            return
        for path, *_ in self._open.values():
            if error.step is not None and (error.step == path or error.step.startswith(f"{path}/")):
                self._recorder.emit("step_failed", path, 1, error=type(error).__name__)

    def _task(self, namespace: tuple[str, ...], payload: dict[str, Any]) -> None:
        if "result" not in payload:
            task = self._open[payload["id"]] = self._begun(namespace, payload)
            self._recorder.emit("step_started", task.path, 1)
            return
        path, _, started, _ = self._open.pop(payload["id"])
        if payload["interrupts"]:
            self._waiting = self._waiting or path
        elif payload["error"] is not None:
            self._recorder.emit("step_failed", path, 1, error=f"step {path!r} raised {_class_of(payload['error'])}")
        else:
            self._left(payload["id"])
            self._recorder.emit("step_completed", path, 1, duration=perf_counter() - started)

    def _left(self, subgraph: str) -> None:
        """The nodes by which a subgraph was left, through a ``Command`` to the graph around it, have no result."""
        inner = [id for id, task in self._open.items() if any(one.endswith(f":{subgraph}") for one in task.within)]
        for path, _, started, _ in reversed([self._open.pop(id) for id in inner]):
            self._recorder.emit("step_completed", path, 1, duration=perf_counter() - started)

    def _begun(self, namespace: tuple[str, ...], payload: dict[str, Any]) -> _Open:
        """A ``@task`` is told at the level of the node that calls it, and belongs below that node."""
        level = path_of(namespace)
        path = path_of(namespace, payload["name"])
        if _is_call(payload) and (caller := self._running(namespace)):
            level = "()"
            path = f"{caller}/{payload['name']}"
        return _Open(path, level, perf_counter(), namespace)

    def _message(self, namespace: tuple[str, ...], message: Any, about: dict[str, Any]) -> None:
        """What a model said: its tokens as they come, or the whole of an answer that was not streamed."""
        if isinstance(message, AIMessage) and (text := text_of(message)):
            path = path_of(namespace, about["langgraph_node"])
            self._recorder.emit("delta", path, 1, value=text, message=message.id)

    def _running(self, namespace: tuple[str, ...]) -> str | None:
        """The node that speaks, which LangGraph does not tell: the only one that runs there, or the subgraph's."""
        level = path_of(namespace)
        there = [task.path for task in self._open.values() if task.level == level]
        return there[0] if len(there) == 1 else level or None


def _is_call(payload: dict[str, Any]) -> bool:
    """Whether it is a call of a ``@task``: pushed like what a ``Send`` starts, with the call's arguments."""
    match payload:
        case {"triggers": ("__pregel_push",), "input": (tuple(), dict())}:
            return True
    return False


def _class_of(error: Any) -> str:
    return type(error).__name__ if isinstance(error, BaseException) else "an exception"
