"""What a pipeline runs with: its own functions and state, or for a while, in tests, others in their place."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, NamedTuple

from .adapters.native import NativePipeline
from .adapters.protocol import CompiledPipeline
from .errors import ConfigurationError, UnknownStepError
from .pipelines.replacing import Replacements, StepKey
from .pipelines.steps import KEEP
from .runtime.home import shutting_down

__all__ = ["Layers", "Override", "RunFunction", "Top"]

RunFunction = Callable[..., Coroutine[Any, Any, Any]]


class Top(NamedTuple):
    """What a run that begins now is given; it keeps that, whatever is put in place meanwhile.

    Attributes:
        compiled: What runs.
        run: Runs a call for somebody who listens, or with overrides.
        run_bare: Runs any other call.
        state: The ``pipeline_state``.
        inline: Whether a run never waits if its sync steps are called in place.
        ready: Whether there is a state; without one ``Layers.made`` sees to it.
    """

    compiled: CompiledPipeline
    run: RunFunction
    run_bare: RunFunction
    state: Any = None
    inline: bool = False
    ready: bool = True


class Layer(NamedTuple):
    """What one ``override`` puts in place."""

    replacements: Replacements
    state: Any


class Layers:
    """A pipeline, and what lies over it. ``start``, ``stop`` and ``made`` belong to the home loop.

    Args:
        compiled: The pipeline.
        run_foreign: Runs a pipeline that has no ``run_sealed`` of its own.

    Attributes:
        compiled: The pipeline, with nothing over it.
        top: What a run that begins now is given.
    """

    def __init__(self, compiled: CompiledPipeline, run_foreign: RunFunction) -> None:
        self.compiled, self._run_foreign = compiled, run_foreign
        self._layers: list[Layer] = []
        self._lock = threading.Lock()
        self._resources: Mapping[str, Any] | None = None
        self._state: Any = None
        self._made = False
        self._making = asyncio.Lock()
        self.top = Top(compiled, run_foreign, run_foreign)

    async def start(self, resources: Mapping[str, Any]) -> None:
        """Make the pipeline's state, unless another was put in its place: then ``on_init`` is not called."""
        brought = isinstance(self.compiled, NativePipeline) and self._brought() is not KEEP
        state = None if brought else await self.compiled.start(resources)
        with self._lock:
            self._resources, self._state, self._made = resources, state, not brought
            self._making = asyncio.Lock()
            self._choose()

    async def stop(self) -> None:
        """Give the state back to the pipeline's ``on_cleanup``, if it was made."""
        with self._lock:
            state, made = self._state, self._made
            self._resources, self._state, self._made = None, None, False
            self.top = Top(self.compiled, self._run_foreign, self._run_foreign, ready=False)
        if made:
            await self.compiled.stop(state)

    async def made(self) -> Top:
        """The top once the state is made that ``start`` had no need of. Raises ``UnavailableError`` after ``stop``."""
        async with self._making:
            if self._resources is None:
                raise shutting_down()
            if not self._made:
                state = await self.compiled.start(self._resources)
                with self._lock:
                    self._state, self._made = state, True
                    self._choose()
        return self.top

    def put(self, layer: Layer) -> None:
        """From now on runs begin with ``layer``. From any thread."""
        with self._lock:
            self._layers.append(layer)
            self._choose()

    def lift(self, layer: Layer) -> None:
        """From now on they begin without it. From any thread."""
        with self._lock:
            self._layers = _without(self._layers, layer)
            self._choose()

    def clear(self) -> None:
        """Lift all."""
        with self._lock:
            self._layers = []
            self._choose()

    def _brought(self) -> Any:
        return next((layer.state for layer in reversed(self._layers) if layer.state is not KEEP), KEEP)

    def _choose(self) -> None:
        if self._resources is None:
            return
        brought, compiled = self._brought(), self.compiled
        replacements = sum((layer.replacements for layer in self._layers), Replacements())
        if isinstance(compiled, NativePipeline) and (replacements or not self._made):
            compiled = compiled.replaced(replacements)
            compiled.prepare(self._resources)
        run = getattr(compiled, "run_sealed", self._run_foreign)
        self.top = Top(
            compiled=compiled,
            run=run,
            run_bare=getattr(compiled, "run_swiftly", None) or run,
            state=self._state if brought is KEEP else brought,
            inline=getattr(compiled, "inline", False),
            ready=self._made or brought is not KEEP,
        )


def _without(layers: list[Layer], layer: Layer) -> list[Layer]:
    """``layers`` less ``layer`` where it was put last: it may lie there more than once."""
    last = max((index for index, other in enumerate(layers) if other is layer), default=len(layers))
    return layers[:last] + layers[last + 1 :]


class Override:
    """``with pipelines.override(…):`` other functions for steps, another state, while the block lasts.

    Checked when it is made; may be entered again and again, inside others, too. The later one counts.
    """

    def __init__(self, pipelines: Mapping[str, Layers], functions: Mapping[StepKey, Any], state: Any) -> None:
        replacements = Replacements(functions)
        states = _by_pipeline(pipelines, state)
        _check(pipelines, replacements)
        self._layers = [(on, Layer(replacements, states.get(name, KEEP))) for name, on in pipelines.items()]

    def __enter__(self) -> None:
        for on, layer in self._layers:
            on.put(layer)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for on, layer in self._layers:
            on.lift(layer)


def _by_pipeline(pipelines: Mapping[str, Layers], state: Any) -> Mapping[str, Any]:
    if state is KEEP:
        return {}
    if isinstance(state, Mapping) and state and state.keys() <= pipelines.keys():
        return state
    if len(pipelines) == 1:
        return dict.fromkeys(pipelines, state)
    raise ConfigurationError(
        f"override(state={state!r}): the app has several pipelines; give a state by name, of: {', '.join(pipelines)}"
    )


def _check(pipelines: Mapping[str, Layers], replacements: Replacements) -> None:
    natives = [layers.compiled for layers in pipelines.values() if isinstance(layers.compiled, NativePipeline)]
    steps = [named for native in natives for named in native.steps()]
    unused = replacements.unused(steps, any_step=any(native.opaque for native in natives))
    for name in unused:
        foreign = [key for key, layers in pipelines.items() if name in {n.id for n in layers.compiled.graph.nodes}]
        if foreign:
            raise ConfigurationError(
                f"override({name}=…): {name!r} is part of {foreign[0]!r}, which another library runs; "
                f"replace it there, or what it works with: override(state=…)"
            )
        raise UnknownStepError(step=name, known=tuple(dict.fromkeys(n for id, s in steps for n in (id, s.name))))
    for native in natives:
        native.check(replacements)
