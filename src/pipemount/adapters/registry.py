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
    from importlib.metadata import EntryPoint, EntryPoints

__all__ = ["GROUP", "compile"]

GROUP = "pipemount.adapters"
"""Entry points named after a class (``module.Class``, or its top package) that load ``(thing) -> CompiledPipeline``."""


def compile(thing: Any) -> CompiledPipeline:
    """What the service can run.

    Args:
        thing: A pipeline, a plain function (sync, async or generator), a ``CompiledPipeline``, or an object of
            a library that an installed adapter names.

    Raises:
        CompileError: The pipeline cannot be compiled.
        ConfigurationError: Nothing knows how to run ``thing``.
    """
    if isinstance(thing, PipelineDefinition):
        return _native(thing)
    if isinstance(thing, Step):
        return NativePipeline(compile_function(thing))
    if isinstance(thing, NativePipeline):
        return thing.anew()
    if isinstance(thing, CompiledPipeline):
        return thing
    if (adapter := _adapter_for(thing)) is not None:
        return adapter(thing)
    if inspect.isroutine(thing):
        return NativePipeline(compile_function(thing))
    raise ConfigurationError(
        f"{type(thing).__module__}.{type(thing).__qualname__} cannot be served; give a @pipeline, a function, "
        f"or an object of a library whose adapter is installed ({', '.join(_known()) or 'none is'})"
    )


def _native(definition: PipelineDefinition) -> NativePipeline:
    if definition.dynamic:
        return DynamicPipeline(definition)
    return StaticPipeline(definition.statics) if definition.statics else NativePipeline(definition.compile())


def _adapter_for(thing: Any) -> Callable[[Any], CompiledPipeline] | None:
    """The installed adapter that names a class of ``thing``, nearest class first."""
    points = {point.name: point for point in _points()}
    for kind in type(thing).__mro__ if points else ():
        for name in (f"{kind.__module__}.{kind.__qualname__}", kind.__module__.partition(".")[0]):
            if name in points:
                return _loaded(points[name])
    return None


def _loaded(point: EntryPoint) -> Callable[[Any], CompiledPipeline]:
    try:
        adapter: Callable[[Any], CompiledPipeline] = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"the adapter {point.name!r} ({point.value}) cannot be loaded ({error}); "
            "install what it needs, or reinstall the package that brings it"
        ) from error
    return adapter


def _known() -> list[str]:
    return sorted(point.name for point in _points())


def _points() -> EntryPoints:
    from importlib.metadata import entry_points  # takes 30 ms to import, and pipelines of our own need none

    return entry_points(group=GROUP)
