"""Pipelines in the team's own code: called like the functions they are, no server and no app needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar, overload

from .adapters.native import NativePipeline
from .adapters.protocol import CompiledPipeline, GraphView, overrides_of
from .adapters.registry import compile
from .errors import HomeLoopError
from .pipelines.authoring import PipelineDefinition
from .pipelines.mapping import FanKind, call_each, checked_limit, combined
from .pipelines.snapshot import Shape
from .pipelines.steps import map_options
from .pipelines.taking import current
from .runtime.admission import Admission
from .runtime.call import Call
from .runtime.elsewhere import Connections
from .runtime.environment import StepEnvironment
from .runtime.events import Event, Listener
from .runtime.feed import Feed, reading
from .runtime.threads import ThreadPool
from .service import Sealed, Service, new_run_id
from .settings import Settings

__all__ = ["Pipeline", "RunResult", "pipeline", "run_compiled", "shaped", "stream_compiled"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run gave.

    Attributes:
        value: In the shape of the pipeline's return statement: a value, a tuple, a dict or ``None``.
        outputs: The same by output name.
        run_id: A UUID.
        run_name: For people.
        execution_time: Seconds.
        graph: What was run: the pipeline's graph, or of a dynamic pipeline what its body did.
    """

    value: Any
    outputs: Mapping[str, Any]
    run_id: str
    run_name: str
    execution_time: float
    graph: GraphView


class Pipeline(PipelineDefinition):
    """A pipeline that can be called.

    In the body of another pipeline a call inlines it. Elsewhere ``weather(city="Oslo")`` validates, runs it in this
    process and returns values in the shape of its return statement; ``await weather.run(city="Oslo")`` does so in
    async code and carries run id and timings as well; ``async for event in weather.stream(city="Oslo")`` tells what
    happens meanwhile. ``on_init`` and ``on_cleanup`` are called around each such
    call; an app keeps its state instead: ``await pipelines.run("weather", city="Oslo")``.
    """

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run and wait. Not on a running event loop: ``await pipeline.run(…)`` there."""
        if current() is not None:
            return super().__call__(*args, **kwargs)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.run(*args, **kwargs)).value
        raise HomeLoopError(
            f"{self.name}(…) would block the event loop that it was called on; use: await {self.name}.run(…)"
        )

    def _fan(self, kind: FanKind, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if current() is not None:
            return super()._fan(kind, args, kwargs)
        checked_limit(map_options(self.signature, kwargs, None, ()).limit)
        snapshot, values = self.compile(), self.bind(*args, **kwargs)
        return call_each(
            self,
            combined(self.name, kind, values),
            awaited=False,
            shape=snapshot.shape,
            names=[result.name for result in snapshot.results],
        )

    async def run(self, /, *args: Any, **kwargs: Any) -> RunResult:
        """Validate, run on this loop and return. Raises ``InvalidInputsError`` and ``RunError``."""
        return await run_compiled(compile(self), self.bind(*args, **kwargs))

    def stream(self, /, *args: Any, **kwargs: Any) -> AsyncGenerator[Event, None]:
        """As ``run``, but tells what happens: ``async for event in weather.stream(city="Oslo")``.

        Ends after ``run_completed``, which has the outputs. Of a run that fails or is cancelled the error is raised
        after its last event. Leaving the loop early cancels the run; ``contextlib.aclosing`` does so at once.
        """
        return stream_compiled(compile(self), self.bind(*args, **kwargs))


@overload
def pipeline(function: F, /) -> Pipeline: ...
@overload
def pipeline(function: None = None, /, **options: Any) -> Callable[[Callable[..., Any]], Pipeline]: ...
def pipeline(function: Any = None, /, **options: Any) -> Any:
    """Make a pipeline of a function whose body calls steps.

    Args:
        function: The body. It is traced once, with references in place of values; see ``PipelineDefinition``.
        **options: ``name``, ``on_init``, ``on_cleanup``, ``on_start``, ``on_success``, ``on_failure``, ``on_end``,
            ``on_init_kwargs`` and so on, ``max_paths``, and ``dynamic``: an ``async`` body that runs for each request.
    """
    if function is None:
        return lambda body: Pipeline(body, **options)
    return Pipeline(function, **options)


async def run_compiled(
    compiled: CompiledPipeline,
    inputs: Mapping[str, Any],
    *,
    listener: Listener | None = None,
    timeout: float | None = None,
    overrides: Mapping[str, Any] | None = None,
    environments: Sequence[StepEnvironment] = (),
) -> RunResult:
    """Start, run once and stop a pipeline on the running loop.

    Args:
        compiled: From ``pipemount.compile``.
        inputs: By parameter name; validated here.
        listener: Told the run's events, on this loop.
        timeout: Seconds; none by default but the app's own limit.
        overrides: Step parameters by node id; validated here.
        environments: What surrounds sync steps in their threads.
    """
    settings = Settings()
    service = Service(compiled.info.name, compiled, settings, Admission(1, 0))
    validated = compiled.input.validate(dict(inputs))
    if overrides and (schema := overrides_of(compiled)) is not None:
        overrides = schema.validate(overrides)
    threads = ThreadPool(settings.threads, f"pipemount-{compiled.info.name}")
    connections = Connections(threads)
    resources = {"threads": threads, "connections": connections, "settings": settings, "environments": environments}
    try:
        await service.start(resources)
        try:
            call = Call(validated, new_run_id(), None, timeout, overrides)
            listeners = () if listener is None else (listener,)
            return as_result(compiled, call, await service.invoke(call, listeners=listeners))
        finally:
            await service.stop()
    finally:
        await connections.close()
        threads.close()


def stream_compiled(
    compiled: CompiledPipeline,
    inputs: Mapping[str, Any],
    *,
    timeout: float | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> AsyncGenerator[Event, None]:
    """``run_compiled``, telling each event as it happens; what the run raises is raised after its last event."""
    return told(lambda feed: run_compiled(compiled, inputs, listener=feed, timeout=timeout, overrides=overrides))


async def told(run: Callable[[Feed], Coroutine[Any, Any, object]]) -> AsyncGenerator[Event, None]:
    """The events of a run that fills the feed it is given; then what it raises. Closing the iterator cancels it."""
    feed = Feed()
    async with reading(feed, run(feed)) as task:
        async for event in feed:
            yield event
        await task


def as_result(compiled: CompiledPipeline, call: Call, sealed: Sealed) -> RunResult:
    """What ``call`` gave, in the shape of the pipeline's return statement."""
    outputs, _ = sealed
    return RunResult(
        value=shaped(compiled.shape(call) if isinstance(compiled, NativePipeline) else "dict", outputs),
        outputs=outputs,
        run_id=call.run_id,
        run_name=call.run_name or "",
        execution_time=monotonic() - call.began,
        graph=call.graph or compiled.graph,
    )


def shaped(shape: Shape, outputs: Mapping[str, Any]) -> Any:
    """Outputs by name in the form of a return statement."""
    values = tuple(outputs.values())
    return {"dict": outputs, "tuple": values, "none": None, "value": values[0] if values else None}[shape]
