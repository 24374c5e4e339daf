"""Whether two steps are one step: at one place of a body, different paths may call different ones.

A factory makes steps of one name and one source that do different things. They differ in what their functions close
over, in defaults, in types or in options. What cannot be compared is another thing wherever it is another object.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from types import CellType, FunctionType, MethodType
from typing import Any, TypeAlias

from .snapshot import Snapshot
from .specs import Hook, Hooks, StepSpec

__all__ = ["Likeness", "likeness"]

Likeness: TypeAlias = tuple[Hashable, ...]
"""Compared within one compilation only, which keeps alive what it was made of."""

_ATOMS = (str, bytes, int, bool, type(None))
_NO_HOOKS = Hooks()


def likeness(step: StepSpec, body: Snapshot | None = None) -> Likeness:
    """The same for two steps, or two mapped pipelines, if they do the same, as far as can be told."""
    if body is not None:
        return (body.fingerprint, *(likeness(node.step, node.body) for node in body.nodes))
    return (
        *(step.name, step.version, step.kind, step.generator, step.collects, step.retry, step.timeout),
        _thing(step.function),
        tuple((p.name, _hashable(p.annotation), p.required, _thing(p.default)) for p in step.parameters),
        tuple((output.name, _hashable(output.annotation)) for output in step.outputs),
        ()
        if step.hooks == _NO_HOOKS
        else tuple(_hook(getattr(step.hooks, name)) for name in Hooks.__dataclass_fields__),
        step.public_errors,
        tuple(step.error_statuses.items()),
        _hashable(step.executor),
    )


def _hook(hook: Hook | None) -> Hashable:
    return None if hook is None else (_thing(hook.target), _things(hook.kwargs))


def _things(values: Mapping[str, Any]) -> Hashable:
    return tuple((name, _thing(value)) for name, value in values.items())


def _thing(value: Any, within: tuple[int, ...] = ()) -> Hashable:
    kind = type(value)
    if kind in _ATOMS:
        return (kind, value)
    if kind is tuple:
        return tuple(_thing(item, within) for item in value)
    if kind is MethodType:
        return (_thing(value.__func__, within), id(value.__self__))
    if kind is not FunctionType:
        return id(value)
    if id(value) in within:  # it calls itself
        return within.index(id(value))
    inside = (*within, id(value))
    return (
        id(value.__code__),
        id(value.__globals__),
        tuple(_cells(value.__closure__ or (), inside)),
        _thing(value.__defaults__, inside),
        tuple((name, _thing(default, inside)) for name, default in (value.__kwdefaults__ or {}).items()),
    )


def _cells(closure: Iterable[CellType], within: tuple[int, ...]) -> Iterable[Hashable]:
    for cell in closure:
        try:
            yield _thing(cell.cell_contents, within)
        except ValueError:  # nothing is in it yet
            yield ()


def _hashable(annotation: Any) -> Hashable:
    try:
        hash(annotation)
    except TypeError:  # metadata of ``Annotated`` may be anything
        return id(annotation)
    return annotation  # type: ignore[no-any-return]  # it is hashable
