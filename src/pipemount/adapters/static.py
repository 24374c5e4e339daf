"""Pipelines with ``Static`` parameters: a snapshot and an executor per value, made when a run first asks for it."""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import CompileError, InvalidInputsError
from ..pipelines.replacing import Replacements, nodes_of
from ..pipelines.snapshot import Shape, Snapshot
from ..pipelines.specs import StepSpec
from ..pipelines.static import Key, StaticSnapshots
from ..runtime.call import Call
from ..runtime.executor import Executor
from ..runtime.recorder import Recorder
from ..runtime.threads import ThreadPool
from .native import NativePipeline
from .protocol import GraphEdge, GraphView

__all__ = ["MAX_KEPT", "StaticPipeline"]

logger = logging.getLogger("pipemount")

MAX_KEPT = 64
"""How many snapshots made on demand are kept; of more, those that were used last."""


@dataclass(frozen=True, slots=True)
class _Made:
    snapshot: Snapshot
    executor: Executor


class StaticPipeline(NativePipeline):
    """Several snapshots under one interface; the static values of a call's inputs tell which one runs."""

    def __init__(self, snapshots: StaticSnapshots) -> None:
        super().__init__(snapshots.drawn)
        self.snapshots = snapshots
        self.graph = _united(
            [NativePipeline(s).graph for s in snapshots.eager.values()], self.graph, snapshots.complete
        )
        self._eager: dict[Key, _Made] = {}
        self._kept: OrderedDict[Key, _Made | CompileError] = OrderedDict()
        self._under_way: dict[Key, asyncio.Task[_Made | CompileError]] = {}

    def prepare(self, resources: Mapping[str, Any]) -> None:
        """As for every pipeline; what is known at compile is made ready."""
        super().prepare(resources)
        threads: ThreadPool = resources["threads"]
        self._eager = {key: self._made(snapshot, threads) for key, snapshot in self.snapshots.eager.items()}

    async def stop(self, state: Any) -> None:
        """As for every pipeline; what was made on demand is forgotten."""
        self._eager, under_way = {}, list(self._under_way.values())
        self._kept.clear()
        for task in under_way:
            task.cancel()
        await super().stop(state)

    @property
    def run_sealed(self) -> Callable[..., Awaitable[Any]]:
        """``run_sealed(call, seal, recorder=None)``, see ``Executor.run``; there between ``start`` and ``stop``."""
        self._ready()
        return self._run_sealed

    @property
    def run_swiftly(self) -> Callable[..., Awaitable[Any]] | None:
        """Without events and overrides, as swiftly as the snapshot of each call allows."""
        self._ready()
        return self._run_swiftly

    async def _run_sealed(self, call: Call, seal: Callable[..., Any], recorder: Recorder | None = None) -> Any:
        made = await self._made_for(call)
        if call.overrides:
            call.overrides = _applicable(call.overrides, made.snapshot)
        return await made.executor.run(call, seal, recorder)

    async def _run_swiftly(self, call: Call, seal: Callable[..., Any]) -> Any:
        executor = (await self._made_for(call)).executor
        return await (executor.run_swiftly if executor.swift else executor.run)(call, seal)

    def anew(self) -> NativePipeline:
        """The same pipeline for another app, which starts and stops its own."""
        return StaticPipeline(self.snapshots)

    def shape(self, call: Call) -> Shape:
        """The form of the return statement that this call comes to."""
        key = self.snapshots.key(vars(call.inputs))
        made = self._kept.get(key)
        snapshot = made.snapshot if isinstance(made, _Made) else self.snapshots.eager.get(key, self.snapshot)
        return snapshot.shape

    def steps(self) -> Iterable[tuple[str, StepSpec]]:
        """The steps of all snapshots that are known."""
        return itertools.chain.from_iterable(map(nodes_of, (self.snapshot, *self.snapshots.eager.values())))

    def check(self, replacements: Replacements) -> None:
        """Raises ``ConfigurationError`` where a replacement cannot be called as its step is."""
        for snapshot in (self.snapshot, *self.snapshots.eager.values()):
            replacements.snapshot(snapshot)

    @property
    def inline(self) -> bool:
        """A snapshot that a run asks for first is made in a thread, and waited for."""
        return self.snapshots.complete and all(made.executor.inline for made in self._eager.values())

    # ----------------------------------------------------------------------------------- on demand

    def _made(self, snapshot: Snapshot, threads: ThreadPool) -> _Made:
        return _Made(snapshot, Executor(self._replacements.snapshot(snapshot), threads, self._connections))

    async def _made_for(self, call: Call) -> _Made:
        """What runs a call with its static values. Raises ``InvalidInputsError`` where they cannot be compiled."""
        inputs = vars(call.inputs)
        key = self.snapshots.key(inputs)
        found: _Made | CompileError | None = self._eager.get(key) or self._kept.get(key)
        if found is None:
            found = await asyncio.shield(self._under_way.get(key) or self._begin(key, inputs))
        elif key in self._kept:
            self._kept.move_to_end(key)
        if isinstance(found, _Made):
            return found
        raise InvalidInputsError(errors=[_fault(name) for name in self.snapshots.unusual(inputs)])

    def _begin(self, key: Key, inputs: Mapping[str, Any]) -> asyncio.Task[_Made | CompileError]:
        """One compilation for all that ask meanwhile; who stops waiting does not stop it."""
        task = asyncio.get_running_loop().create_task(self._make(key, inputs))
        self._under_way[key] = task
        task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return task

    async def _make(self, key: Key, inputs: Mapping[str, Any]) -> _Made | CompileError:
        threads = self._threads_of_app()
        made: _Made | CompileError
        try:
            snapshot = await threads.run(functools.partial(self.snapshots.compile, inputs))
            made = self._made(snapshot, threads)
        except CompileError as error:
            logger.warning("the pipeline %r cannot be compiled for what a request asks: %s", self.info.name, error)
            made = error.with_traceback(None)
        self._kept[key] = made
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return made

    def _threads_of_app(self) -> ThreadPool:
        self._ready()
        assert self._threads is not None  # noqa: S101 - for the type checker: it is there while the pipeline is ready
        return self._threads


def _fault(name: str) -> dict[str, Any]:
    return {"loc": [name], "msg": "The pipeline cannot be run with this value", "type": "static_value"}


def _applicable(overrides: Mapping[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    """Of what a request says of steps, what the snapshot that it comes to leaves open; the rest is not on its way."""
    found = {}
    for node in snapshot.nodes:
        sent = overrides.get(node.id, {}).get("parameters", {})
        open_ = {p.name: sent[p.name] for p in node.unbound if p.name in sent}
        if open_:
            found[node.id] = {"parameters": open_}
    return found


def _united(views: Sequence[GraphView], drawn: GraphView, complete: bool) -> GraphView:
    """The graphs of all snapshots as one; what is not in each of them is conditional."""
    if not complete:
        return replace(drawn, fidelity="opaque")
    nodes = {node.id: node for view in (drawn, *views) for node in view.nodes}
    edges: dict[tuple[str, str, str], list[GraphEdge]] = {}
    for view in views:
        for edge in {(e.source, e.target, e.label): e for e in view.edges}.values():
            edges.setdefault((edge.source, edge.target, edge.label), []).append(edge)
    united = tuple(
        GraphEdge(*ends, len(found) < len(views) or any(edge.conditional for edge in found))
        for ends, found in edges.items()
    )
    same = all((_ids(view), set(view.edges)) == (_ids(drawn), set(drawn.edges)) for view in views)
    return replace(drawn, nodes=tuple(nodes.values()), edges=united, fidelity=drawn.fidelity if same else "superset")


def _ids(view: GraphView) -> set[tuple[str, str]]:
    """What a graph's nodes are; the constants that they are given may differ."""
    return {(node.id, node.kind) for node in view.nodes}
