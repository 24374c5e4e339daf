"""Programs of the model as snapshots, and what their steps do when they really run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipemount import Retry, StepContext
from pipemount.pipelines.snapshot import Branch, Constant, Fan, Node, Output, Parameter, Snapshot, Source
from pipemount.pipelines.specs import OutputField, StepSpec

from .graphs import branch, choose, graph, node
from .model import If, Map, Program, Statement, Step, assigned, healthy, made, seconds
from .virtual import VirtualThreads

__all__ = ["Bad", "World", "as_snapshot", "flat"]


class Bad(Exception):  # noqa: N818 - short for what it is
    """What a failing attempt raises."""


@dataclass
class World:
    """Where steps run, and what is seen of them.

    Attributes:
        threads: Of the run.
        begun: As in the model's story.
        inside: How many async steps are at work.
    """

    threads: VirtualThreads
    begun: list[tuple[str, int, float]] = field(default_factory=list)
    inside: int = 0

    def begin(self, context: StepContext) -> None:
        now = asyncio.get_running_loop().time() + self.threads.spent
        self.begun.append((context.step_name, context.attempt, now))


def _function(step: Step, world: World, bad: tuple[int, ...] | None = None) -> Callable[..., Any]:
    def begin(context: StepContext, arguments: Mapping[str, Any]) -> tuple[float, Callable[[], int]]:
        world.begin(context)
        acting = step if bad is None or arguments["item"] in bad else healthy(step)
        lasting = seconds(acting, context.step_name, context.attempt)

        def end() -> int:
            if lasting.fails:
                raise Bad
            return made(step.name, list(arguments.values()))

        return lasting.seconds, end

    async def awaited(context: StepContext, **arguments: Any) -> int:
        lasts, end = begin(context, arguments)
        world.inside += 1
        try:
            await asyncio.sleep(lasts)
        finally:
            world.inside -= 1
        return end()

    def called(context: StepContext, **arguments: Any) -> int:
        lasts, end = begin(context, arguments)
        world.threads.spend(lasts)
        return end()

    return awaited if step.kind == "async" else called


def _spec(step: Step, world: World, bad: tuple[int, ...] | None = None) -> StepSpec:
    return StepSpec(
        function=_function(step, world, bad),
        name=step.name,
        kind=step.kind,
        generator=False,
        parameters=(),
        outputs=(OutputField("output", Any),),
        context_parameter="context",
        retry=Retry(attempts=step.attempts, delay=step.delay, backoff=1.0) if step.attempts > 1 else None,
        timeout=step.timeout,
    )


# ---------------------------------------------------------------------------------------- the graph


@dataclass
class _Variable:
    """Where a variable is from on each path, by the path's number, and what decides it."""

    sources: dict[int, Source]
    decided_by: tuple[str, ...] = ()

    def on(self, paths: Iterable[int]) -> Source:
        grouped: dict[Source, int] = {}
        for path in paths:
            if path in self.sources:
                grouped[self.sources[path]] = grouped.get(self.sources[path], 0) | 1 << path
        found = [(bits, source) for source, bits in grouped.items()]
        return found[0][1] if len(found) == 1 else choose(*found)


def as_snapshot(program: Program, world: World, name: str = "program") -> Snapshot:
    """``program`` as the compiler would have it."""
    answers = _paths(program.statements)
    every = range(len(answers))
    builder = _Builder(world, answers)
    known = {"x": _Variable(dict.fromkeys(every, Parameter("x")))}
    builder.block(program.statements, known, list(every), ())
    outputs: dict[str, Any] = {}
    only_on: dict[str, int] = {}
    for variable, value in known.items():
        if variable == "x":
            continue
        bits = _bits(value.sources)
        for output, source in _outputs(variable, value, program):
            outputs[output] = source
            if len(value.sources) < len(answers):
                only_on[output] = bits
    return graph(
        *builder.nodes,
        inputs={"x": Any},
        outputs=outputs,
        only_on=only_on,
        branches=builder.branches,
        paths=len(answers) if builder.branches else 0,
        name=name,
    )


def _outputs(variable: str, value: _Variable, program: Program) -> list[tuple[str, Source]]:
    """A variable as outputs; the lists of a mapped program are one each."""
    mapped = next((s for s in flat(program.statements) if isinstance(s, Map) and s.name == variable), None)
    if mapped is None or mapped.body is None:
        return [(variable, value.on(value.sources))]
    inner = sorted(assigned(mapped.body.statements))
    return [
        (f"{variable}.{name}", Output(variable, index if len(inner) > 1 else None)) for index, name in enumerate(inner)
    ]


def flat(statements: Sequence[Statement]) -> list[Statement]:
    """All statements, those of the ifs as well."""
    found: list[Statement] = []
    for statement in statements:
        found.append(statement)
        if isinstance(statement, If):
            found += flat((*statement.then, *statement.other))
    return found


def _paths(statements: Sequence[Statement]) -> list[dict[str, bool]]:
    found: list[dict[str, bool]] = [{}]
    for s in statements:
        if isinstance(s, If):
            ways = [{s.name: True} | w for w in _paths(s.then)] + [{s.name: False} | w for w in _paths(s.other)]
            found = [path | way for path in found for way in ways]
    return found


def _bits(paths: Iterable[int]) -> int:
    return sum(1 << path for path in paths)


class _Builder:
    def __init__(self, world: World, answers: list[dict[str, bool]]) -> None:
        self._world, self._answers = world, answers
        self.nodes: list[Node] = []
        self.branches: list[Branch] = []

    def block(
        self, statements: Sequence[Statement], known: dict[str, _Variable], paths: list[int], within: tuple[str, ...]
    ) -> None:
        for statement in statements:
            if isinstance(statement, If):
                self._if(statement, known, paths, within)
                continue
            if isinstance(statement, Map):
                self.nodes.append(self._map(statement, paths, within))
            else:
                self.nodes.append(self._step(statement, known, paths, within))
            known[statement.variable] = _Variable(dict.fromkeys(paths, Output(statement.name)))

    def _step(self, step: Step, known: Mapping[str, _Variable], paths: list[int], within: tuple[str, ...]) -> Node:
        values: dict[str, Any] = {}
        decided_by = dict.fromkeys(within)
        for index, argument in enumerate(step.arguments):
            if isinstance(argument, str):
                values[f"a{index}"] = known[argument].on(paths)
                decided_by |= dict.fromkeys(known[argument].decided_by)
            else:
                values[f"a{index}"] = Constant(argument)
        return node(step.name, _spec(step, self._world), paths=_bits(paths), decided_by=decided_by, **values)

    def _map(self, mapped: Map, paths: list[int], within: tuple[str, ...]) -> Node:
        if mapped.step is not None:
            spec, body, parameter = _spec(mapped.step, self._world, mapped.bad), None, "item"
        else:
            assert mapped.body is not None
            body, parameter = _sorted(as_snapshot(mapped.body, self._world, mapped.name)), "x"
            outputs = tuple(OutputField(result.name, Any) for result in body.results)
            spec = StepSpec(_never, mapped.name, "async", False, body.parameters, outputs)
        fan = Fan("map", (parameter,), mapped.limit)
        items: Any = Constant(list(range(mapped.items)))
        return node(mapped.name, spec, paths=_bits(paths), decided_by=within, fan=fan, body=body, **{parameter: items})

    def _if(self, asked: If, known: dict[str, _Variable], paths: list[int], within: tuple[str, ...]) -> None:
        yes = [path for path in paths if self._answers[path][asked.name]]
        no = [path for path in paths if not self._answers[path][asked.name]]
        decided_by = dict.fromkeys((*within, *known[asked.left].decided_by))
        left = known[asked.left].on(paths)
        self.branches.append(
            branch(asked.name, asked.operator, left, asked.right, yes=_bits(yes), no=_bits(no), decided_by=decided_by)
        )
        then, other = dict(known), dict(known)
        self.block(asked.then, then, yes, (*within, asked.name))
        self.block(asked.other, other, no, (*within, asked.name))
        for name in sorted(assigned((asked,))):
            sides = [(side[name], taken) for side, taken in ((then, yes), (other, no)) if name in side]
            sources = {path: v.sources[path] for v, taken in sides for path in taken if path in v.sources}
            decisive = dict.fromkeys((asked.name, *(id for v, _ in sides for id in v.decided_by)))
            known[name] = _Variable(sources, tuple(decisive))


def _sorted(body: Snapshot) -> Snapshot:
    return replace(body, results=tuple(sorted(body.results, key=lambda result: result.name)))


async def _never() -> None:
    raise AssertionError("a mapped program is run, not called")
