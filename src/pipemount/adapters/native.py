"""Pipelines of our own, and plain functions, behind the seam."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

from ..pipelines.replacing import Replacements, nodes_of
from ..pipelines.schema import Schema
from ..pipelines.snapshot import Shape, Snapshot
from ..pipelines.specs import StepSpec
from ..pipelines.viewing import view_of
from ..runtime.call import Call
from ..runtime.elsewhere import Connections
from ..runtime.environment import StepEnvironment
from ..runtime.events import Event
from ..runtime.executor import Executor
from ..runtime.feed import Feed, reading
from ..runtime.hooks import call_hook, find_hooks
from ..runtime.recorder import Recorder
from ..runtime.threads import ThreadPool
from ..types import VERSION
from .protocol import GraphView, PipelineInfo, Result

__all__ = ["NativePipeline"]


class NativePipeline:
    """A snapshot with the executor that runs it. Belongs to one app: started, run and stopped on its home loop."""

    capabilities = frozenset({"step-events", "deltas", "cancel:task"})
    opaque = False
    """Whether it may call steps that are not known before a run."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.info = PipelineInfo(snapshot.name, "pipemount", VERSION, snapshot.fingerprint, snapshot.doc)
        self.input: Schema = snapshot.input
        self.output: Schema = snapshot.output
        self.overrides: Schema | None = snapshot.overrides
        self._executor: Executor | None = None
        self._threads: ThreadPool | None = None
        self._environment: StepEnvironment | None = None
        self._connections: Connections | None = None
        self._replacements = Replacements()

    @functools.cached_property
    def graph(self) -> GraphView:
        """What can be drawn of the snapshot; made when somebody looks."""
        return view_of(self.snapshot)

    async def start(self, resources: Mapping[str, Any]) -> Any:
        """Call ``on_init`` and return its value.

        ``resources["threads"]`` is the app's pool, ``resources["environment"]`` what surrounds sync code there,
        ``resources["connections"]`` the app's to the engines that perform steps.
        """
        self.prepare(resources)
        threads: ThreadPool = resources["threads"]
        await find_hooks(self.snapshot, threads)
        hook = self.snapshot.hooks.on_init
        return None if hook is None else await call_hook(hook, threads, environment=self._environment)

    def prepare(self, resources: Mapping[str, Any]) -> None:
        """Make ready to run in a state that somebody else brings: ``start`` without the hooks. From any thread."""
        threads: ThreadPool = resources["threads"]
        self._connections = resources.get("connections") or Connections(threads)
        self._threads, self._executor = threads, self._executor_for(threads)
        self._environment = resources.get("environment")

    async def stop(self, state: Any) -> None:
        """Call ``on_cleanup``, with ``state`` if it takes an argument."""
        hook, threads = self.snapshot.hooks.on_cleanup, self._threads
        self._executor = self._threads = None
        if hook is not None and threads is not None:
            await call_hook(hook, threads, state, environment=self._environment)

    async def run(self, call: Call) -> Mapping[str, Any]:
        """Run once, without a word on the way; the outputs by name, as the steps returned them."""
        outputs: Mapping[str, Any] = await self.run_sealed(call, dict)
        return outputs

    @property
    def run_sealed(self) -> Callable[..., Awaitable[Any]]:
        """``run_sealed(call, seal, recorder=None)``, see ``Executor.run``; there between ``start`` and ``stop``."""
        return self._ready().run

    @property
    def run_swiftly(self) -> Callable[..., Awaitable[Any]] | None:
        """``run_swiftly(call, seal)`` where the pipeline can do without events, overrides and the layers for them."""
        executor = self._ready()
        return executor.run_swiftly if executor.swift else None

    @property
    def inline(self) -> bool:
        """Whether a run never waits if its sync steps are called in place."""
        return self._executor is not None and self._executor.inline

    async def stream(self, call: Call) -> AsyncIterator[Event | Result]:
        """Run once, telling each event; ends with one ``Result``. Closing the iterator cancels the run."""
        feed = Feed()
        recorder = Recorder(call.run_id, (feed,))
        async with reading(feed, self.run_sealed(call, dict, recorder)) as run:
            async for event in feed:
                yield event
            yield Result(await run)

    def anew(self) -> NativePipeline:
        """The same pipeline for another app, which starts and stops its own."""
        return NativePipeline(self.snapshot)

    def replaced(self, replacements: Replacements) -> NativePipeline:
        """The same pipeline with other functions in the places of steps, to be prepared."""
        made = self.anew()
        made._replacements = replacements
        return made

    def steps(self) -> Iterable[tuple[str, StepSpec]]:
        """The steps that are known before a run, each with its id."""
        return nodes_of(self.snapshot)

    def check(self, replacements: Replacements) -> None:
        """Raises ``ConfigurationError`` where a replacement cannot be called as its step is."""
        replacements.snapshot(self.snapshot)

    def shape(self, call: Call) -> Shape:
        """The form of the return statement that this call comes to."""
        return self.snapshot.shape

    def _executor_for(self, threads: ThreadPool) -> Executor:
        return Executor(self._replacements.snapshot(self.snapshot), threads, self._connections)

    def _ready(self) -> Executor:
        if self._executor is None:
            raise RuntimeError(f"the pipeline {self.info.name!r} is not started")
        return self._executor
