"""What a run ought to do, told by a few lines that know no plan, no scheduler, no loop and no thread.

A program is a pipeline body: steps, maps and ifs, one after the other. The model walks it as Python would, and keeps
for each value the time at which it is there. All that the runtime does besides (paths, chains, units, workers) has to
come to the same.
"""

from __future__ import annotations

import heapq
import operator
import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

__all__ = [
    "COMPARE",
    "THREADS",
    "Fault",
    "If",
    "Lasting",
    "Map",
    "Program",
    "Step",
    "Story",
    "made",
    "seconds",
    "tell",
]

THREADS = 3
"""How many threads a map of sync steps has."""

COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "truth": lambda left, _: left,
    "==": operator.eq,
    "<": operator.lt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Step:
    """``name = step(*arguments)``; an argument is a variable or a number.

    Attributes:
        name: Of the step.
        arguments: Variables, by name, or numbers.
        into: The variable that its output becomes; that of its own name by default.
        kind: Where it runs.
        lasts: Whole seconds that each attempt takes, the last one for all that follow.
        fails: How many attempts fail.
        attempts: How many it has.
        delay: Seconds between them.
        timeout: Whole seconds that an attempt may take.
    """

    name: str
    arguments: tuple[str | int, ...] = ()
    into: str = ""
    kind: Literal["async", "thread", "loop"] = "async"
    lasts: tuple[int, ...] = (1,)
    fails: int = 0
    attempts: int = 1
    delay: int = 0
    timeout: int | None = None

    @property
    def variable(self) -> str:
        return self.into or self.name


@dataclass(frozen=True)
class Map:
    """``name = [step(item, *arguments) for item in range(items)]``, or the same of a whole program.

    Attributes:
        name: Of the node, and of the variable.
        items: How many.
        step: What is called for each.
        body: What is run for each, in the place of a step; its parameter is ``x``.
        bad: The items whose attempts fail as the step says; those of all others succeed.
        limit: How many may run at the same time.
    """

    name: str
    items: int
    step: Step | None
    body: Program | None = None
    bad: tuple[int, ...] = ()
    limit: int | None = None

    @property
    def variable(self) -> str:
        return self.name


@dataclass(frozen=True)
class If:
    """``if left <operator> right: then else: other``."""

    name: str
    left: str
    operator: str
    right: int
    then: tuple[Statement, ...]
    other: tuple[Statement, ...]


Statement: TypeAlias = Step | Map | If


@dataclass(frozen=True)
class Program:
    """A pipeline body with one parameter, ``x``. Its outputs are all of its variables."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Lasting:
    """How long an attempt is meant to take, and whether it fails."""

    seconds: float
    fails: bool


def seconds(step: Step, name: str, attempt: int) -> Lasting:
    """What attempt ``attempt`` of ``step``, called ``name``, does; no two attempts take equally long."""
    lasts = step.lasts[min(attempt, len(step.lasts)) - 1]
    if step.kind == "loop":
        return Lasting(0.0, attempt <= step.fails)
    return Lasting(lasts + random.Random(f"{name}/{attempt}").randrange(1, 1 << 24) / (1 << 30), attempt <= step.fails)


def made(name: str, arguments: Sequence[Any]) -> int:
    """The output of a step."""
    return zlib.crc32(repr((name, list(arguments))).encode()) % 5


# ---------------------------------------------------------------------------------------- the model


@dataclass(frozen=True)
class Fault:
    """Why a run fails, and when."""

    time: float
    kind: Literal["step", "timeout", "branch"]
    name: str


@dataclass
class Story:
    """What happens in a run if nothing ends it early.

    Attributes:
        outputs: By variable.
        begun: The attempts: the step's name, the attempt, the time.
        answers: Each decision: its name, the answer, the time.
        faults: What would end it.
        end: When the last step has ended.
    """

    outputs: dict[str, Any] = field(default_factory=dict)
    begun: list[tuple[str, int, float]] = field(default_factory=list)
    answers: list[tuple[str, bool, float]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    end: float = 0.0

    @property
    def fault(self) -> Fault | None:
        """The first."""
        return min(self.faults, key=lambda fault: fault.time, default=None)


NEVER = float("inf")


@dataclass
class _Value:
    value: Any
    time: float


def tell(program: Program, x: Any, prefix: str = "", start: float = 0.0) -> Story:
    """What happens when ``program`` is run on ``x``."""
    story = Story(end=start)
    known = {"x": _Value(x, start)}
    _block(program.statements, known, start, story, prefix)
    story.outputs = {name: value.value for name, value in known.items() if name != "x" and value.time < NEVER}
    return story


def _block(statements: Sequence[Statement], known: dict[str, _Value], start: float, story: Story, prefix: str) -> None:
    for statement in statements:
        if isinstance(statement, If):
            _if(statement, known, start, story, prefix)
        elif isinstance(statement, Map):
            known[statement.variable] = _map(statement, start, story, prefix)
        else:
            arguments = [known[a] if isinstance(a, str) else _Value(a, start) for a in statement.arguments]
            ready = max([start, *(argument.time for argument in arguments)])
            end = _attempts(statement, prefix + statement.name, ready, story)
            value = None if end == NEVER else made(statement.name, [argument.value for argument in arguments])
            known[statement.variable] = _Value(value, end)


def _if(asked: If, known: dict[str, _Value], start: float, story: Story, prefix: str) -> None:
    left = known[asked.left]
    time = max(start, left.time)
    answer = False
    if time < NEVER:
        try:
            answer = bool(COMPARE[asked.operator](left.value, asked.right))
            story.answers.append((prefix + asked.name, answer, time))
        except TypeError:
            story.faults.append(Fault(time, "branch", asked.name))
            time = NEVER
    before = {name: value.time for name, value in known.items()}
    _block(asked.then if answer else asked.other, known, time, story, prefix)
    for name in assigned((asked,)):
        if name in known:  # which value it has is known only then, and what it had before is waited for in any case
            kept = start if settled((asked,), name) else before.get(name, start)
            known[name].time = max(known[name].time, kept, time)


def settled(statements: Sequence[Statement], name: str) -> bool:
    """Whether each path through ``statements`` sets the variable."""
    return any(
        settled(statement.then, name) and settled(statement.other, name)
        if isinstance(statement, If)
        else statement.variable == name
        for statement in statements
    )


def assigned(statements: Sequence[Statement]) -> set[str]:
    """The variables that ``statements`` may set."""
    found: set[str] = set()
    for statement in statements:
        found |= (
            assigned(statement.then) | assigned(statement.other) if isinstance(statement, If) else {statement.variable}
        )
    return found


def _attempts(step: Step, name: str, start: float, story: Story) -> float:
    """When the step has its value."""
    time = start
    for attempt in range(1, step.attempts + 1):
        if time == NEVER:
            return NEVER
        story.begun.append((name, attempt, time))
        lasting = seconds(step, name, attempt)
        late = step.timeout is not None and lasting.seconds > step.timeout
        time += step.timeout if late and step.timeout is not None else lasting.seconds
        if not late and not lasting.fails:
            story.end = max(story.end, time)
            return time
        if attempt == step.attempts:
            story.faults.append(Fault(time, "timeout" if late else "step", name))
        time += step.delay
    return NEVER


def _map(mapped: Map, start: float, story: Story, prefix: str) -> _Value:
    if start == NEVER:
        return _Value(None, NEVER)
    places = min(places_of(mapped), mapped.items)
    free = [start] * places
    values: list[Any] = []
    end = start
    for index in range(mapped.items):
        begin = heapq.heappop(free)
        value = _item(mapped, index, begin, story, f"{prefix}{mapped.name}[{index}]")
        heapq.heappush(free, value.time)
        values.append(value.value)
        end = max(end, value.time)
    return _Value(None if end == NEVER else values, end)


def places_of(mapped: Map) -> int:
    """How many items run at the same time."""
    threaded = mapped.step.kind == "thread" if mapped.step else _is_threaded(mapped.body)
    return min(mapped.limit or mapped.items, THREADS if threaded else mapped.items)


def _is_threaded(program: Program | None) -> bool:
    return any(_has_thread(statement) for statement in program.statements) if program else False


def _has_thread(statement: Statement) -> bool:
    if isinstance(statement, If):
        return any(map(_has_thread, (*statement.then, *statement.other)))
    if isinstance(statement, Map):
        return statement.step.kind == "thread" if statement.step else _is_threaded(statement.body)
    return statement.kind == "thread"


def _item(mapped: Map, index: int, begin: float, story: Story, name: str) -> _Value:
    if begin == NEVER:
        return _Value(None, NEVER)
    if mapped.step is not None:
        step = mapped.step if index in mapped.bad else healthy(mapped.step)
        end = _attempts(step, name, begin, story)
        return _Value(None if end == NEVER else made(mapped.step.name, [index]), end)
    assert mapped.body is not None
    inner = tell(mapped.body, index, f"{name}/", begin)
    story.begun += inner.begun
    story.answers += inner.answers
    story.faults += inner.faults
    story.end = max(story.end, inner.end)
    return _Value(inner.outputs, NEVER if inner.faults else inner.end)


def healthy(step: Step) -> Step:
    """The step without its failures; what takes too long still does."""
    return replace(step, fails=0)
