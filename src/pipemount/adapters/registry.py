"""From what a user has to what can be served: detection by name, so that nothing is imported to look."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..pipelines.authoring import PipelineDefinition, Step, compile_function
from .dynamic import DynamicPipeline
from .native import NativePipeline
from .protocol import CompiledPipeline
from .static import StaticPipeline

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["BUILT_IN", "GROUP", "compile"]

GROUP = "pipemount.adapters"
"""Entry points named after a class (``module.Class``, or its top package) that load ``(thing) -> CompiledPipeline``."""

BUILT_IN = {
    "langgraph": "pipemount.adapters.langgraph:compile_graph",
    "sklearn": "pipemount.adapters.sklearn:compile_estimator",
}
"""The adapters that we bring, named like entry points; one that is installed under the same name takes its place."""


def compile(thing: Any, *, name: str | None = None, **options: Any) -> CompiledPipeline:
    """What the service can run.

    Args:
        thing: A pipeline, a plain function (sync, async or generator), a ``CompiledPipeline``, or an object of
            a library that an installed adapter names.
        name: Instead of its own.
        **options: What the library's adapter takes; see its page. Pipelines take their hooks, e.g. ``on_init=``.

    Raises:
        CompileError: The pipeline cannot be compiled.
        ConfigurationError: Nothing knows how to run ``thing``, or it takes no such option.
    """
    given = options if name is None else {"name": name, **options}
    if isinstance(thing, PipelineDefinition):
        return _native(thing.with_options(**given) if given else thing)
    if isinstance(thing, CompiledPipeline):
        return _compiled_before(thing, given)
    if not isinstance(thing, Step) and (adapter := _adapter_for(thing)) is not None:
        return _adapted(adapter, thing, given)
    if isinstance(thing, Step) or inspect.isroutine(thing):
        step = thing if isinstance(thing, Step) else Step(thing)
        return NativePipeline(compile_function(step.with_options(**given) if given else step))
    raise ConfigurationError(
        f"{type(thing).__module__}.{type(thing).__qualname__} cannot be served; give a @pipeline, a function, "
        f"or an object of a library that has an adapter ({', '.join(sorted(_adapters()))})"
    )


def _native(definition: PipelineDefinition) -> NativePipeline:
    if definition.dynamic:
        return DynamicPipeline(definition)
    return StaticPipeline(definition.statics) if definition.statics else NativePipeline(definition.compile())


def _compiled_before(compiled: CompiledPipeline, given: dict[str, Any]) -> CompiledPipeline:
    if given:
        raise ConfigurationError(
            f"{compiled.info.name!r} is compiled already; say {', '.join(given)} where it is compiled first"
        )
    if isinstance(compiled, NativePipeline):
        return compiled.anew()  # each app starts and stops its own
    return compiled


def _adapted(adapter: Callable[..., CompiledPipeline], thing: Any, given: dict[str, Any]) -> CompiledPipeline:
    if given:
        try:
            inspect.signature(adapter).bind(thing, **given)
        except TypeError as error:
            raise ConfigurationError(
                f"{type(thing).__qualname__} cannot be compiled with {', '.join(given)}: its adapter has {error}"
            ) from None
    return adapter(thing, **given)


def _adapter_for(thing: Any) -> Callable[..., CompiledPipeline] | None:
    """The adapter that names a class of ``thing``, nearest class first."""
    kinds = [kind for kind in type(thing).__mro__ if kind.__module__ != "builtins"]
    points = _adapters() if kinds else {}
    for kind in kinds:
        for name in (f"{kind.__module__}.{kind.__qualname__}", kind.__module__.partition(".")[0]):
            if name in points:
                return _loaded(points[name])
    return None


def _loaded(point: EntryPoint) -> Callable[..., CompiledPipeline]:
    try:
        adapter: Callable[..., CompiledPipeline] = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"the adapter {point.name!r} ({point.value}) cannot be loaded ({error}); "
            "install what it needs, or reinstall the package that brings it"
        ) from error
    return adapter


def _adapters() -> dict[str, EntryPoint]:
    from importlib.metadata import EntryPoint, entry_points  # 30 ms to import, and pipelines of our own need none

    known = {name: EntryPoint(name, value, GROUP) for name, value in BUILT_IN.items()}
    return known | {point.name: point for point in entry_points(group=GROUP) if point.value != BUILT_IN.get(point.name)}
