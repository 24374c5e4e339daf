"""Acts: walks a plan, on the home loop and in the app's threads, as the scheduler decides."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeAlias, TypeVar

from ..errors import RunError
from ..pipelines.snapshot import Snapshot
from ..pipelines.specs import Hooks, StepSpec
from .branches import decide, without_branches
from .call import Call
from .context import CURRENT, StepContext
from .crew import Workers
from .elsewhere import Connections
from .failures import blame, is_signal, suspends
from .fans import Work, perform_all
from .hooks import observe
from .keeping import Keeper
from .mapping import perform_fan
from .performer import Performer, call_start_hook
from .plan import build_plan
from .planned import PlannedNode
from .recorder import Recorder
from .run import Run
from .scheduler import Scheduler
from .threads import ThreadPool
from .turn import Turn
from .ways import Way

__all__ = ["Executor"]

T = TypeVar("T")
Nodes: TypeAlias = tuple[PlannedNode, ...]


class Executor:
    """Runs one snapshot, any number of times side by side.

    All methods belong to the home loop. A run belongs to the task that awaits it: cancelling that task cancels
    the run; sync steps that are already in a thread are told through ``StepContext.cancelled``.
    """

    def __init__(self, snapshot: Snapshot, threads: ThreadPool, connections: Connections | None = None) -> None:
        self._plan = build_plan(snapshot)
        self._threads, connections = threads, connections or Connections(threads)
        self._performer, self._keeper = Performer(threads, connections), Keeper(threads, connections)
        self._hooks = _of_runs(snapshot.hooks)

    async def run(self, call: Call, seal: Callable[[Mapping[str, Any]], T], recorder: Recorder | None = None) -> T:
        """Run the pipeline and return ``seal(outputs)``.

        Args:
            call: What to run; its inputs are an instance of the snapshot's input model.
            seal: Validates and serialises the outputs; what it raises fails the run.
            recorder: Told the steps' events, if anybody listens.

        Raises:
            RunError: The run failed; ``step`` and ``run_id`` are set where they are known.
        """
        run = Run(call, self._plan, recorder)
        try:
            if self._hooks is not None:
                return await self._run_hooked(run, seal, self._hooks)
            await self._walk(run)
            return seal(run.outputs())
        except RunError as error:
            error.run_id = call.run_id
            raise
        finally:
            call.cancelled = True  # whatever is still in a thread works for nobody

    @property
    def swift(self) -> bool:
        """Whether ``run_swiftly`` may stand in for ``run``."""
        return self._plan.swift and self._hooks is None

    @property
    def inline(self) -> bool:
        """Whether ``run`` never suspends if its sync steps are called in place (see ``InlineThread``)."""
        return self._plan.inline and self._hooks is None

    async def run_swiftly(self, call: Call, seal: Callable[[Mapping[str, Any]], T]) -> T:
        """As ``run``, for bare steps in a row that nobody listens to: the same calls without the layers around."""
        run = Run(call, self._plan)
        try:
            way: Way | None = run.plan.ways[0] if run.plan.ways else None
            while way is not None:
                for planned, slot, node, function, awaited, context_parameter, getters in way.swift:
                    context = StepContext(run, node, 1)
                    token = CURRENT.set(context)
                    try:
                        arguments = {}
                        for name, get in getters:  # a comprehension is a call
                            arguments[name] = get(run)
                        if context_parameter is not None:
                            arguments[context_parameter] = context
                        result = function(**arguments)
                        run.values[slot] = await result if awaited else result
                    except BaseException as error:
                        if is_signal(error):
                            raise
                        self._performer.retry_or_raise(run, planned.turn, 1, error)
                    finally:
                        CURRENT.reset(token)
                    if call.cancelled:  # and the step kept its cancellation to itself
                        raise asyncio.CancelledError
                way = None if way.branch is None else _next(run, way)
            return seal(run.outputs())
        finally:
            call.cancelled = True

    async def _run_hooked(self, run: Run, seal: Callable[[Mapping[str, Any]], T], hooks: Hooks) -> T:
        """``run`` between the pipeline's own hooks; each may ask for the context, the state and the run's name."""
        token = CURRENT.set(StepContext(run, "", 1))
        try:
            await call_start_hook(hooks, self._threads, "")
            await self._walk(run)
            sealed = seal(run.outputs())
            await self._performer_of(run).settle(run)
        except (Exception, asyncio.CancelledError) as error:
            if not suspends(error):
                await observe(hooks.on_failure, self._threads, blame(error))
            raise
        else:
            await observe(hooks.on_success, self._threads)
            return sealed
        finally:
            await observe(hooks.on_end, self._threads)
            CURRENT.reset(token)

    # -------------------------------------------------------------------------------------- the graph

    async def _walk(self, run: Run) -> None:
        """Perform all steps of ``run`` that its path has."""
        if run.plan.ways is None:
            await _Units(run, self._perform_chain).work()
            return
        way: Way | None = run.plan.ways[0]
        while way is not None:
            for chain in way.chains:
                await self._perform_chain(run, chain)
            way = _next(run, way)

    async def _perform_chain(self, run: Run, nodes: Nodes) -> None:
        performer = self._performer_of(run)
        if nodes[0].threaded and not nodes[0].alone:
            turns = [_turn(run, planned) for planned in nodes]
            await performer.perform_chain(run, turns, [planned.index for planned in nodes])
            return
        for planned in nodes:
            if planned.fan is None:
                value = await performer.perform(run, _turn(run, planned))
            else:
                value = await perform_fan(performer, run, planned, planned.fan, self._walk)
            run.values[planned.index] = value

    def _performer_of(self, run: Run) -> Performer:
        return self._performer if run.call.checkpoints is None else self._keeper

    # ----------------------------------------------------------------- for bodies that call steps themselves

    async def perform(self, run: Run, turn: Turn) -> Any:
        """One step with its attempts, hooks and events; its value. Raises ``RunError``."""
        return await self._performer_of(run).perform(run, turn)

    async def perform_all(self, run: Run, step: StepSpec, work: Work) -> list[Any]:
        """``step`` for each item of ``work``; the values in the order of the items. Raises ``RunError``."""
        return await perform_all(self._performer_of(run), run, step, work)


class _Units(Workers):
    """The units of a plan, in the order that the scheduler finds; segments are jobs, branches are answered between."""

    __slots__ = ("_perform", "_ready", "_run", "_scheduler")

    def __init__(self, run: Run, perform: Callable[[Run, Nodes], Coroutine[Any, Any, None]]) -> None:
        super().__init__(run, math.inf)
        self._run, self._perform, self._scheduler = run, perform, Scheduler(run.plan.units, run.plan.waiting)
        self._ready = deque(without_branches(run, self._scheduler, self._scheduler.start()))

    def more(self) -> bool:
        return bool(self._ready)

    def take(self) -> tuple[int, Coroutine[Any, Any, None]]:
        index = self._ready.popleft()
        return index, self._perform(self._run, self._run.plan.units[index].nodes)

    def ended(self, number: int, value: None) -> None:
        self._ready += without_branches(self._run, self._scheduler, self._scheduler.completed(number, self._run.alive))


def _of_runs(hooks: Hooks) -> Hooks | None:
    """``hooks`` if any is called with each run; a state is made and put away once."""
    return hooks if hooks.on_start or hooks.on_success or hooks.on_failure or hooks.on_end else None


def _next(run: Run, way: Way) -> Way | None:
    """The way that follows, by the answer to the branch between."""
    if way.branch is None or run.plan.ways is None:
        return None
    return run.plan.ways[way.yes if decide(run, way.branch) else way.no]


def _turn(run: Run, planned: PlannedNode) -> Turn:
    turn = planned.turn
    return turn._replace(name=run.prefix + turn.name) if run.prefix else turn
