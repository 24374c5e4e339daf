"""Steps with another function in their place, for tests: the step keeps all else that its author declared."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from pydantic import ValidationError

from ..errors import ConfigurationError, InvalidOutputsError
from .annotations import plain
from .authoring import PipelineDefinition
from .constants import adapter_for
from .places import is_async, underlying
from .snapshot import Node, Snapshot
from .specs import StepSpec
from .steps import Step

__all__ = ["Replacements", "StepKey", "nodes_of", "reachable_steps"]

StepKey: TypeAlias = "str | Step"
"""A step: by its name, which means all calls of it, by the id of one call, or itself."""


class Replacements:
    """Functions in the places of steps; of two for one step the later one counts.

    Args:
        functions: By step.
    """

    def __init__(self, functions: Mapping[StepKey, Callable[..., Any]] | None = None) -> None:
        self._functions = [(key, _function(key, value)) for key, value in (functions or {}).items()]
        self._made: dict[tuple[int, int], tuple[StepSpec, StepSpec]] = {}

    def __bool__(self) -> bool:
        return bool(self._functions)

    def __add__(self, other: Replacements) -> Replacements:
        both = Replacements()
        both._functions = self._functions + other._functions
        return both

    def unused(self, steps: Iterable[tuple[str, StepSpec]], *, any_step: bool = False) -> list[str]:
        """The names of those that none of ``steps``, each with its id, answers to.

        ``any_step`` says that steps may be called that are not known beforehand: those that are given themselves,
        and not by a name that may be mistyped, are taken for such.
        """
        known = list(steps)
        return [
            key if isinstance(key, str) else key.name
            for key, _ in self._functions
            if not any(_meant(key, name, spec) for name, spec in known) and not (any_step and isinstance(key, Step))
        ]

    def snapshot(self, snapshot: Snapshot) -> Snapshot:
        """``snapshot`` with them in place. Raises ``ConfigurationError`` where one cannot be called as its step is."""
        return replace(snapshot, nodes=tuple(self._node(node) for node in snapshot.nodes))

    def step(self, name: str, spec: StepSpec) -> StepSpec:
        """``spec``, which is called under ``name``, with its replacement if it has one."""
        function = next((f for key, f in reversed(self._functions) if _meant(key, name, spec)), None)
        if function is None:
            return spec
        key = id(spec), id(function)
        if key not in self._made:
            self._made[key] = spec, _standing_in(spec, function)  # spec is kept, so that its id stays its own
        return self._made[key][1]

    def _node(self, node: Node) -> Node:
        if node.body is not None:
            return replace(node, body=self.snapshot(node.body))
        spec = self.step(node.id, node.step)
        if spec is not node.step:
            _check_call(spec, node.step, [binding.parameter for binding in node.bindings])
        return replace(node, step=spec)

    def check(self, spec: StepSpec) -> None:
        """Raises ``ConfigurationError`` where one cannot be called with what ``spec`` cannot do without."""
        made = self.step("", spec)
        if made is not spec:
            _check_call(made, spec, [parameter.name for parameter in spec.parameters if parameter.required])


def nodes_of(snapshot: Snapshot) -> Iterator[tuple[str, StepSpec]]:
    """The steps of a snapshot with their ids, inside mapped pipelines, too."""
    for node in snapshot.nodes:
        if node.body is None:
            yield node.id, node.step
        else:
            yield from nodes_of(node.body)


def _function(key: StepKey, value: object) -> Callable[..., Any]:
    function = value.function if isinstance(value, Step) else value
    if not callable(function):
        name = key if isinstance(key, str) else key.name
        raise ConfigurationError(f"override({name}={value!r}): give a function, e.g. lambda **_: {value!r}")
    return function


def _meant(key: StepKey, name: str, spec: StepSpec) -> bool:
    return key in (name, spec.name) if isinstance(key, str) else key.function is spec.function


# ------------------------------------------------------------------------------------------ the function


def _standing_in(spec: StepSpec, function: Callable[..., Any]) -> StepSpec:
    """``spec`` with another function; what that returns is validated as what the step promises."""
    awaited, generator, iterated = _nature(function)
    collects = iterated or (generator and spec.generator and spec.collects)
    return replace(
        spec,
        function=function if collects else _checked(spec, function, awaited, generator),
        kind="async" if awaited else "loop" if spec.kind == "loop" else "thread",
        generator=generator,
        collects=collects,
        context_parameter=_context_parameter(spec, function),
        executor=None,  # what a test puts in place is called where the test can see it
        version="",
    )


class _Nature(NamedTuple):
    """What calling a function gives: something to await, to iterate, or to iterate asynchronously."""

    awaited: bool = False
    generator: bool = False
    iterated: bool = False


def _nature(function: Callable[..., Any]) -> _Nature:
    target = underlying(function)
    try:
        iterated = inspect.isasyncgenfunction(target)
        return _Nature(is_async(function), iterated or inspect.isgeneratorfunction(target), iterated)
    except TypeError:  # a mock with the likeness of a function
        return _Nature()


def _context_parameter(spec: StepSpec, function: Callable[..., Any]) -> str | None:
    signature = _signature(function)
    if signature is None or any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return None
    for parameter in signature.parameters.values():
        kind = parameter.annotation
        named = isinstance(kind, str) and kind.rpartition(".")[2] == "StepContext"
        if named or getattr(kind, "__pipemount_context__", False) or parameter.name == spec.context_parameter:
            return parameter.name
    return None


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # a built-in, or a mock that has none
        return None


def _check_call(made: StepSpec, spec: StepSpec, given: list[str]) -> None:
    signature = _signature(made.function)
    if signature is None:
        return
    names = given if made.context_parameter is None else [*given, made.context_parameter]
    try:
        signature.bind(**dict.fromkeys(names))
    except TypeError as error:
        raise ConfigurationError(
            f"what stands in for step {spec.name!r} takes {signature}, and is called with "
            f"({', '.join(f'{name}=' for name in given)}): {error}; give it the step's parameters, or **kwargs"
        ) from None


def _checked(spec: StepSpec, function: Callable[..., Any], awaited: bool, generator: bool) -> Callable[..., Any]:
    adapters = [None if plain(o.annotation) is Any else adapter_for(o.annotation) for o in spec.outputs]

    def checked(result: Any) -> Any:
        try:
            if len(adapters) == 1:
                return adapters[0].validate_python(result) if adapters[0] else result
            if not isinstance(result, tuple) or len(result) != len(adapters):
                return result  # which is refused where the step's own would be
            return tuple(a.validate_python(value) if a else value for a, value in zip(adapters, result, strict=True))
        except ValidationError as error:
            fault = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
            raise InvalidOutputsError(
                f"what stands in for step {spec.name!r} returned what the step does not promise: {fault}",
                step=spec.name,
            ) from error

    return _wrapped(function, checked, awaited, generator)


def _wrapped(
    function: Callable[..., Any], checked: Callable[[Any], Any], awaited: bool, generator: bool
) -> Callable[..., Any]:
    """``function``, of its own kind, with its value ``checked``."""

    async def called_async(**arguments: Any) -> Any:
        return checked(await function(**arguments))

    def yielded(**arguments: Any) -> Any:
        return checked((yield from function(**arguments)))

    def called(**arguments: Any) -> Any:
        return checked(function(**arguments))

    wrapped: Any = called_async if awaited else yielded if generator else called
    if (signature := _signature(function)) is not None:
        wrapped.__signature__ = signature
    return wrapped  # type: ignore[no-any-return]  # one of the three


# ------------------------------------------------------------------------------------- dynamic bodies


def reachable_steps(definition: PipelineDefinition) -> Iterator[tuple[str, StepSpec]]:
    """The steps that the body of a dynamic pipeline names, and those of pipelines that it names.

    What it gets hold of otherwise cannot be known before a run.
    """
    yield from _reachable(definition, set())


def _reachable(definition: PipelineDefinition, seen: set[int]) -> Iterator[tuple[str, StepSpec]]:
    if id(definition.function) in seen:
        return
    seen.add(id(definition.function))
    if not definition.dynamic:
        yield from nodes_of(definition.compile())
        return
    for thing in _named_in(underlying(definition.function)):
        if isinstance(thing, Step):
            yield thing.name, thing.spec
        elif isinstance(thing, PipelineDefinition):
            yield from _reachable(thing, seen)


def _named_in(function: Any) -> Iterator[Any]:
    """What a function's code names: globals, what it closes over, attributes of modules."""
    names = _names(function.__code__)
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    closed = [value for cell in cells.values() for value in _contents(cell)]
    for thing in [*(function.__globals__[name] for name in names & function.__globals__.keys()), *closed]:
        yield thing
        if isinstance(thing, types.ModuleType):
            yield from (getattr(thing, name) for name in names if hasattr(thing, name))


def _names(code: types.CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _contents(cell: types.CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # not filled yet
        return []
