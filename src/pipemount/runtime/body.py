"""The body of a dynamic pipeline while it runs: it takes the calls of steps and pipelines, and has them performed.

What a step raises reaches the body as it was raised, so that the body can catch it. If the body lets it pass, the run
fails with the step's name, as in any other pipeline.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from ..errors import ConfigurationError, DynamicBodyError, InvalidInputsError, RunSuspendedError, StepFailedError
from ..pipelines.authoring import PipelineDefinition
from ..pipelines.mapping import FanKind, checked_limit, combined, formed, regrouped
from ..pipelines.naming import Names
from ..pipelines.places import Place, caller_place, function_place
from ..pipelines.snapshot import Snapshot
from ..pipelines.specs import StepSpec
from ..pipelines.steps import Step
from ..pipelines.taking import CallKind, CallOptions, tracing
from ..pipelines.unmapped import Unmapped
from .calling import CallingExecutor
from .context import CURRENT, StepContext
from .elsewhere import Common
from .failures import SIGNALS, as_run_error, is_signal, suspends
from .fans import Work, repeat
from .mapping import told
from .pending import Pending, Submitted, pending_in, resolved
from .run import Run
from .sketch import Sketch
from .suspending import Suspension
from .turn import Turn, coerced
from .values import Values

__all__ = ["DynamicBody"]

logger = logging.getLogger("pipemount")


class DynamicBody:
    """One run of one body. Belongs to the task that awaits ``perform``."""

    def __init__(
        self, executor: CallingExecutor, run: Run, definition: PipelineDefinition, sketch: Sketch, prefix: str = ""
    ) -> None:
        self._executor, self._run, self._definition = executor, run.part(), definition
        self._sketch, self._prefix = sketch, prefix
        self._names = Names()
        self._place = function_place(definition.function)
        self._waiting: dict[Pending, None] = {}
        self._tasks: dict[asyncio.Task[Any], Submitted | None] = {}
        self._failures: dict[int, StepFailedError] = {}
        self._fault: DynamicBodyError | None = None

    async def perform(self, inputs: dict[str, Any]) -> Any:
        """Run the body with ``inputs``, by parameter name; what it returns. Raises ``RunError``."""
        context = StepContext(self._run, self._prefix.removesuffix("/"), 1)
        if (parameter := self._definition.signature.context_parameter) is not None:
            inputs[parameter] = context
        token = CURRENT.set(context)
        try:
            with tracing(self):
                value = await resolved(await self._definition.function(**inputs))
            await self._finish()
            return value
        except BaseException as error:
            await self._abandon()
            if is_signal(error):
                raise
            if (failure := self._judged(error)) is error:
                raise
            raise failure from error
        finally:
            CURRENT.reset(token)

    # ------------------------------------------------------------------------------------ taking calls

    def take(
        self, kind: CallKind, called: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: CallOptions
    ) -> Pending | Submitted:
        """A call that the body wrote. Raises ``DynamicBodyError``."""
        values = self._bound(called, args, kwargs)
        for pending in pending_in([values, options.after]):
            raise self.misused(pending, f"it is given to {called.name}")
        self._check(called, kind, options)
        name = self._named(called.name, options.id)
        work = functools.partial(self._work, kind, called, values, name, options)
        self._sketch.called(name, called.name, _kind(kind, called), values)
        if kind == "submit":
            return self._submitted(name, work)
        pending = Pending(self, name, caller_place(self._place.file), functools.partial(self._awaited, name, work))
        self._waiting[pending] = None
        return pending

    def begins(self, pending: Pending) -> None:
        """A call is awaited."""
        self._waiting.pop(pending, None)

    def misused(self, pending: Pending, how: str) -> DynamicBodyError:
        """What to raise for a call that is used without having been awaited; kept, in case the body hides it."""
        self._fault = self._fault or self._refusal(
            f"the call of {pending.name!r} was not awaited, and {how}",
            f"Write `await {pending.name}(…)`, or pass on what .submit(…) gives",
            pending.place,
        )
        return self._fault

    def _bound(self, called: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            return dict(called.signature.call.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise self._refusal(
                f"the call of {called.name!r} does not fit its signature: {error}",
                f"Call it as {called.name}{called.signature}",
            ) from None

    def _check(self, called: Any, kind: CallKind, options: CallOptions) -> None:
        if kind in ("map", "product"):
            try:
                checked_limit(options.limit)
            except ConfigurationError as error:
                raise self._refusal(f"the map of {called.name!r} cannot run: {error}", "Correct the limit") from None
        hook = called.hooks.on_init if isinstance(called, PipelineDefinition) else None
        if hook is not None and hook != self._executor.on_init:
            raise self._refusal(
                f"the pipeline {called.name!r} has an on_init of its own, and its steps run in this one's state",
                "Give this pipeline the same on_init, or call .with_options(on_init=None)",
            )

    def _named(self, name: str, id: str | None) -> str:
        if id is None:
            return self._names.unique(name)
        if "/" in str(id) or str(id) != id or not id.isprintable() or not self._names.claim(id):
            raise self._refusal(f"id={id!r} cannot be used, or is taken", "Choose another id, without a slash")
        return id

    def _refusal(self, operation: str, way_out: str, place: Place | None = None) -> DynamicBodyError:
        place = place or caller_place(self._place.file)
        logger.error("%s:%s: %s. %s.", place.file, place.line, operation, way_out)
        return DynamicBodyError(operation=operation, way_out=way_out, file=place.file, line=place.line)

    # -------------------------------------------------------------------------------------- performing

    def _submitted(self, name: str, work: Callable[[], Any]) -> Submitted:
        task = asyncio.get_running_loop().create_task(self._awaited(name, work))
        self._tasks[task] = handle = Submitted(name, task)
        return handle

    async def _awaited(self, name: str, work: Callable[[], Any]) -> Any:
        """Perform a call; the body is told what the step raised, as it was raised."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._tasks.setdefault(task, None)  # perhaps one of the author's own, e.g. of asyncio.gather
        with tracing(None):  # a step calls other steps plainly
            try:
                value = await work()
            except RunSuspendedError as error:
                if suspends(error):  # no failure, which a body may catch
                    raise Suspension(error) from None
                raise
            except StepFailedError as error:
                failure = error
            else:
                self._sketch.gave(name, value)
                return value
        if isinstance(failure.cause, SIGNALS):
            raise failure
        self._failures[id(failure.cause)] = failure  # which holds the cause, so that its id stays its own
        raise failure.cause

    async def _work(
        self, kind: CallKind, called: Any, values: Mapping[str, Any], name: str, options: CallOptions
    ) -> Any:
        await resolved(options.after)
        values = {parameter: await resolved(value) for parameter, value in values.items()}
        if kind in ("map", "product"):
            return await self._mapped("map" if kind == "map" else "product", called, values, name, options.limit)
        if isinstance(called, Step):
            spec = self._executor.replacements.step(name, called.spec)
            return await self._executor.perform(self._run, self._turn(called, spec, values, self._prefix + name))
        return await self._called(self._run, called, values, self._prefix + name)

    def _turn(self, called: Step, spec: StepSpec, values: Mapping[str, Any], name: str) -> Turn:
        adapters = self._executor.adapters(called)

        def given(run: Values, name: str) -> dict[str, Any]:
            return {p: coerced(adapters[p], v, p, name) if p in adapters else v for p, v in values.items()}

        return Turn(name, spec, given)

    async def _called(self, run: Run, called: PipelineDefinition, values: Mapping[str, Any], name: str) -> Any:
        """A pipeline that the body calls, its steps under ``name/``; in the form of its return."""
        try:
            snapshot = await self._executor.snapshot_of(called, values)
            inputs = vars(snapshot.input.validate(values))
        except InvalidInputsError as error:
            raise self._refusal(f"the arguments of {name!r} do not fit: {error}", "Correct them", self._place) from None
        if called.dynamic:
            inner = DynamicBody(self._executor, run, called, Sketch(), f"{name}/")
            return await inner.perform(self._executor.named(called, inputs))
        part = run.inner(self._executor.plan_of(called, snapshot), inputs, f"{name}/")
        await self._executor.walk(part)
        return _returned(snapshot, part.outputs())

    async def _mapped(self, kind: FanKind, called: Any, values: Mapping[str, Any], name: str, limit: int | None) -> Any:
        try:
            items = combined(called.name, kind, values)
        except ConfigurationError as error:
            raise self._refusal(str(error), "Correct the lists", self._place) from None
        full = self._prefix + name
        spec, names, shape = _promised(called)
        if isinstance(called, Step):
            spec = self._executor.replacements.step(name, spec)

        async def all_items() -> tuple[Any, dict[str, Any]]:
            results = await self._each(called, spec, items, full, limit, values)
            return regrouped(results, shape, names), {"items": len(items)}

        return await told(self._run, Turn(full, spec, _nothing_given), all_items)

    async def _each(
        self,
        called: Any,
        spec: StepSpec,
        items: list[dict[str, Any]],
        full: str,
        limit: int | None,
        values: Mapping[str, Any],
    ) -> list[Any]:
        if isinstance(called, Step):
            common, own = self._in_common(called, spec, values, full)

            def turn(index: int, item: dict[str, Any]) -> Turn:
                mine = item if own is None else {name: item[name] for name in own}
                return self._turn(called, spec, mine, f"{full}[{index}]")._replace(common=common)

            return await self._executor.perform_all(self._run, spec, Work(full, items, len(items), turn, limit))

        async def one(run: Run, turn: Turn) -> Any:
            return await self._called(run, called, turn.given(run, turn.name), turn.name)

        work = Work(full, items, len(items), lambda i, item: Turn(f"{full}[{i}]", spec, lambda *_: item), limit)
        return await repeat(self._run, work, one, min(limit or math.inf, self._executor.threads.size))

    def _in_common(
        self, called: Step, spec: StepSpec, values: Mapping[str, Any], full: str
    ) -> tuple[Common | None, list[str] | None]:
        """Of a map of a step with an executor: what all items are handed, and the names of what each has of its own."""
        if spec.executor is None:
            return None, None
        shared = {name: value.value for name, value in values.items() if isinstance(value, Unmapped)}
        common = Common(self._turn(called, spec, shared, full).given(self._run, full))
        return common, [name for name in values if name not in shared]

    # ------------------------------------------------------------------------------------------ ending

    async def _finish(self) -> None:
        """Wait for what is under way. Raises for what failed and nobody saw, and for what was never awaited."""
        for pending in self._waiting:
            raise self._fault or self._refusal(
                f"the call of {pending.name!r} was never awaited, so it was not performed",
                f"Write `await {pending.name}(…)`, or {pending.name}.submit(…) to start it and go on",
                pending.place,
            )
        while under_way := self._others():
            await asyncio.wait(under_way, return_when=asyncio.FIRST_EXCEPTION)
            self._raise_unseen()
        self._raise_unseen()

    def _raise_unseen(self) -> None:
        for task, handle in self._tasks.items():
            if handle is not None and task.done() and not task.cancelled() and not handle.seen:
                task.result()

    def _others(self) -> list[asyncio.Task[Any]]:
        """Tasks of this body that still run, its own left out."""
        own = asyncio.current_task()
        return [task for task in self._tasks if task is not own and not task.done()]

    async def _abandon(self) -> None:
        """Cancel what is under way, and wait until it has ended."""
        self._run.stopped = True  # threads learn it before the tasks that wait for them are cancelled
        under_way = self._others()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for task, handle in self._tasks.items():
            if handle is not None and not task.cancelled():
                task.exception()  # has been retrieved now

    def _judged(self, error: BaseException) -> BaseException:
        """What the run fails with because ``error`` came out of the body."""
        if self._fault is not None:
            return self._fault
        if isinstance(error, DynamicBodyError):
            return error
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if (failure := self._failures.get(id(error))) is not None:
            return failure
        for pending in self._waiting if isinstance(error, TypeError) else ():
            return self.misused(pending, f"it is used as a value ({error})")
        return as_run_error(error, self._prefix + self._definition.name, self._definition.compile().nodes[0].step)


def _kind(kind: CallKind, called: Any) -> str:
    if kind in ("map", "product"):
        return "map"
    return called.spec.kind if isinstance(called, Step) else "pipeline"


def _promised(called: Any) -> tuple[StepSpec, list[str], Any]:
    """Of a step or pipeline: what stands for it in events and errors, and the names and form of what it returns."""
    if isinstance(called, Step):
        names = [output.name for output in called.spec.outputs]
        return called.spec, names, "tuple" if len(names) > 1 else "value"
    snapshot = called.compile()
    spec = StepSpec(_nothing_given, called.name, "async", False, (), ())
    return spec, [result.name for result in snapshot.results], snapshot.shape


def _nothing_given(*_: Any) -> dict[str, Any]:  # pragma: no cover  the items of a map have turns of their own
    return {}


def _returned(snapshot: Snapshot, outputs: Mapping[str, Any]) -> Any:
    if snapshot.shape == "dict":
        return dict(outputs)
    return formed(snapshot.shape, list(outputs), list(outputs.values()))
