"""The pass ``branch``: the paths of a body as one graph.

Calls and decisions at one place of the body are one node on all paths that come by. What differs with the path (where
a value is from, whether a node runs) is kept as sets of paths, and each difference names the branches that settle it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from .annotations import describe
from .deciding import Decision, as_text
from .exploring import Variant
from .naming import Names
from .paths import Answers, deciders, fork, led_to, paths_of
from .places import Place
from .recording import Argument, Scope, StepCall
from .snapshot import EVERY_PATH, Branch, Choice, Condition, Path, Shape, Source
from .sources import Outline, choice, origins, outline, renamed
from .specs import ParameterField
from .tracing import refuse

__all__ = ["Call", "Merged", "Option", "Returned", "branch"]

Option: TypeAlias = tuple[int, Argument]
"""A set of paths, as bits, and a value that there is on them."""


@dataclass(frozen=True, slots=True)
class Call:
    """A step call on all the paths that it is on.

    Attributes:
        id: The node's.
        call: The call as the first of its paths has it.
        arguments: What its parameters are bound to, on which paths.
        after: Ids of the nodes that must end first though no data flows.
        paths: The paths that it is on, as bits.
        decided_by: The branches that decide whether it runs and on what.
    """

    id: str
    call: StepCall
    arguments: tuple[tuple[ParameterField, tuple[Option, ...]], ...]
    after: tuple[str, ...]
    paths: int
    decided_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Returned:
    """A value in what the body returns; named by the key of a dict, else ``None``."""

    name: str | None
    options: tuple[Option, ...]
    paths: int


@dataclass(frozen=True, slots=True)
class Merged:
    """All paths of a body as one graph."""

    calls: tuple[Call, ...]
    branches: tuple[Branch, ...]
    paths: tuple[Path, ...]
    shape: Shape
    returned: tuple[Returned, ...]


def branch(variants: Sequence[Variant], *, name: str, place: Place) -> Merged:
    """Merges what a body does on each path. Raises ``CompileError``."""
    slots = _ordered(variants)
    ids, renames = _named(slots, len(variants))
    calls = tuple(_call(slot, ids[id(slot)], renames) for slot in slots if not slot.asks)
    asked = tuple(_branch(slot, ids[id(slot)], renames) for slot in slots if slot.asks)
    shape, returned = _returned(variants, renames, name, place)
    merged = Merged(calls, asked, (), shape, returned)
    return _decided(merged, [_answers(slots, ids, number) for number in range(len(variants))])


def _answers(slots: Sequence[Slot], ids: Mapping[int, str], number: int) -> Answers:
    return [(ids[id(s)], s.items[number].answer) for s in slots if s.asks and number in s.items]


def _decided(merged: Merged, answers: Sequence[Answers]) -> Merged:
    """``merged`` with the branches that settle each difference; a branch that settles none is left out."""
    tree, every = fork(answers), (1 << len(answers)) - 1
    parts = {call.id: _parts(call.paths, *(options for _, options in call.arguments)) for call in merged.calls}
    parts |= {asked.id: _parts(asked.paths, *_choices(asked.condition)) for asked in merged.branches}
    sides = {asked.id: (asked.paths_true, asked.paths_false) for asked in merged.branches}
    deciding = {id: deciders(tree, bits, sides) for id, bits in parts.items()}
    results = [deciders(tree, _parts(r.paths, r.options), sides) for r in merged.returned]
    used = _used(deciding, [*(call.id for call in merged.calls)], results)
    branches = tuple(asked for asked in merged.branches if asked.id in used)
    places = {call.id: call.paths for call in merged.calls} | {asked.id: asked.paths for asked in branches}
    led = led_to(tree, places)
    return Merged(
        calls=tuple(
            replace(call, paths=_normal(call.paths, every), decided_by=deciding[call.id]) for call in merged.calls
        ),
        branches=tuple(
            replace(
                asked,
                decided_by=deciding[asked.id],
                when_true=led.get((asked.id, True), ()),
                when_false=led.get((asked.id, False), ()),
            )
            for asked in branches
        ),
        paths=paths_of(answers, used) if used else (),
        shape=merged.shape,
        returned=tuple(replace(r, paths=_normal(r.paths, every)) for r in merged.returned),
    )


def _parts(paths: int, *choices: Iterable[tuple[int, Any]]) -> list[int]:
    return [paths, *(bits for options in choices for bits, _ in options)]


def _choices(condition: Condition) -> Iterator[Iterable[tuple[int, Any]]]:
    for source in (condition.left, condition.right):
        if isinstance(source, Choice):
            yield source.options


def _used(deciding: Mapping[str, Sequence[str]], calls: Iterable[str], results: Iterable[Sequence[str]]) -> set[str]:
    """The branches that something depends on, and those that these depend on."""
    found: set[str] = set()
    waiting = [branch for id in calls for branch in deciding[id]] + [b for result in results for b in result]
    while waiting:
        if (branch := waiting.pop()) not in found:
            found.add(branch)
            waiting += deciding[branch]
    return found


def _normal(paths: int, every: int) -> int:
    return EVERY_PATH if paths == every else paths


# ------------------------------------------------------------------------------------------- ordering


@dataclass(slots=True)
class Slot:
    """One place of the body: what the paths that come by did there, by the path's number."""

    asks: bool
    items: dict[int, Any] = field(default_factory=dict)

    @property
    def first(self) -> Any:
        """What the first of the paths did."""
        return next(iter(self.items.values()))

    @property
    def paths(self) -> int:
        """The paths, as bits."""
        return sum(1 << number for number in self.items)


def _ordered(variants: Sequence[Variant]) -> list[Slot]:
    """All places in an order that each path agrees with: then data flows from earlier ones to later ones only."""
    slots: list[Slot] = []
    for number, variant in enumerate(variants):
        slots = _joined(slots, number, variant.record)
    return slots


def _joined(slots: Sequence[Slot], number: int, record: Iterable[StepCall | Decision]) -> list[Slot]:
    """``slots`` with one path more; what is new on it comes after what others did meanwhile."""
    positions: dict[Any, list[int]] = {}
    for position, slot in enumerate(slots):
        positions.setdefault(slot.first.key, []).append(position)
    joined: list[Slot] = []
    fresh: list[Slot] = []
    cursor = 0
    for item in record:
        position = next((p for p in positions.get(item.key, ()) if p >= cursor), -1)
        if position < 0:
            fresh.append(Slot(isinstance(item, Decision), {number: item}))
            continue
        slots[position].items[number] = item
        joined += (*slots[cursor:position], *fresh, slots[position])
        fresh, cursor = [], position + 1
    return [*joined, *slots[cursor:], *fresh]


# --------------------------------------------------------------------------------------------- naming


def _named(slots: Sequence[Slot], paths: int) -> tuple[dict[int, str], list[dict[str, str]]]:
    """Ids by slot; and for each path its own names to those ids."""
    names = Names()
    prefixes: dict[Any, str] = {(): ""}
    ids: dict[int, str] = {}
    renames: list[dict[str, str]] = [{} for _ in range(paths)]
    for slot in slots:
        if not slot.asks:
            call: StepCall = slot.first
            ids[id(slot)] = _name(names, _prefix(names, prefixes, call.scopes, call), call.step.name, call.given, call)
            for number, item in slot.items.items():
                renames[number][item.id] = ids[id(slot)]
    for slot in slots:
        if slot.asks:
            ids[id(slot)] = names.unique("branch")
    return ids, renames


def _prefix(names: Names, prefixes: dict[Any, str], scopes: Sequence[Scope], call: StepCall) -> str:
    known: tuple[Any, ...] = ()
    for scope in scopes:
        outer, known = prefixes[known], (*known, scope.key)
        if known not in prefixes:
            prefixes[known] = f"{_name(names, outer, scope.name, scope.id, call)}/"
    return prefixes[known]


def _name(names: Names, prefix: str, name: str, given: str | None, call: StepCall) -> str:
    if given is None:
        return names.unique(prefix + name)
    if not names.claim(prefix + given):
        refuse(
            "duplicate-id",
            f"id={prefix + given!r} is given to two steps, on different paths",
            "ids are unique in the graph, which shows all paths",
            "Choose another id for one of them",
            call.place,
        )
    return prefix + given


# ------------------------------------------------------------------------------------------- contents


def _call(slot: Slot, id: str, renames: Sequence[Mapping[str, str]]) -> Call:
    first: StepCall = slot.first
    arguments = tuple(
        (parameter, _options([(number, item.arguments[index][1]) for number, item in slot.items.items()], renames))
        for index, (parameter, _) in enumerate(first.arguments)
    )
    after = dict.fromkeys(renames[number][node] for number, item in slot.items.items() for node in item.after)
    return Call(id, first, arguments, tuple(after), slot.paths)


def _options(values: Iterable[tuple[int, Argument]], renames: Sequence[Mapping[str, str]]) -> tuple[Option, ...]:
    """What is the same on several paths, once."""
    found: dict[Outline, Option] = {}
    types: dict[int, str] = {}  # the paths share their annotations, which take long to describe
    for number, argument in values:
        source, kind = renamed(argument.source, renames[number]), id(argument.annotation)
        if kind not in types:
            types[kind] = describe(argument.annotation)
        key = (outline(source), types[kind])
        bits, kept = found.get(key, (0, Argument(source, argument.annotation)))
        found[key] = (bits | 1 << number, kept)
    return tuple(found.values())


def _branch(slot: Slot, id: str, renames: Sequence[Mapping[str, str]]) -> Branch:
    first: Decision = slot.first
    condition = Condition(
        first.condition.operator,
        _operand([(number, item.condition.left) for number, item in slot.items.items()], renames),
        None
        if first.condition.right is None
        else _operand([(number, item.condition.right) for number, item in slot.items.items()], renames),
    )
    needs = {node for source in (condition.left, condition.right) if source for node in origins(source) if node}
    return Branch(
        id=id,
        condition=condition,
        text=as_text(condition),
        paths_true=sum(1 << number for number, item in slot.items.items() if item.answer),
        paths_false=sum(1 << number for number, item in slot.items.items() if not item.answer),
        needs=tuple(sorted(needs)),
        file=first.place.file or "",
        line=first.place.line or 0,
    )


def _operand(values: Iterable[tuple[int, Source]], renames: Sequence[Mapping[str, str]]) -> Source:
    return choice([(1 << number, renamed(source, renames[number])) for number, source in values])


# ------------------------------------------------------------------------------------------- returned


def _returned(
    variants: Sequence[Variant], renames: Sequence[Mapping[str, str]], name: str, place: Place
) -> tuple[Shape, tuple[Returned, ...]]:
    shapes = {variant.shape: len(variant.returned) for variant in variants if variant.shape != "none"}
    lengths = {len(variant.returned) for variant in variants if variant.shape == "tuple"}
    if len(shapes) > 1 or len(lengths) > 1:
        refuse(
            "differing-returns",
            f"the pipeline {name!r} returns different things on different paths ({_forms(variants)})",
            "callers are promised outputs by name",
            "Return a dict everywhere; an output that only some paths have is left out on the others",
            place,
        )
    found: dict[str | int, list[tuple[int, Argument]]] = {}
    for number, variant in enumerate(variants):
        for index, (key, argument) in enumerate(variant.returned):
            found.setdefault(index if key is None else key, []).append((number, argument))
    return next(iter(shapes), "none"), tuple(
        Returned(
            key if isinstance(key, str) else None,
            _options(values, renames),
            sum(1 << number for number, _ in values),
        )
        for key, values in found.items()
    )


def _forms(variants: Sequence[Variant]) -> str:
    forms = dict.fromkeys(
        f"a tuple of {len(v.returned)}" if v.shape == "tuple" else {"value": "one value", "dict": "a dict"}[v.shape]
        for v in variants
        if v.shape != "none"
    )
    return " and ".join(forms)
