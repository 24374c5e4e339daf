"""The nodes that are repeated: what their items are, and what each is called with."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import InvalidOutputsError, RunError
from ..pipelines.constants import listed
from .context import CURRENT, StepContext
from .elsewhere import Common
from .failures import is_signal
from .fans import Work, perform_all, repeat
from .performer import Performer, fail, tell_completed, tell_started
from .plan import Plan
from .planned import PlannedFan, PlannedNode
from .run import Run
from .turn import Argument, Turn, coerced, overridden

__all__ = ["Walk", "perform_fan", "told"]

Walk = Callable[[Run], Awaitable[None]]
"""Walks the plan of an inner run to its end."""


async def perform_fan(performer: Performer, run: Run, planned: PlannedNode, fan: PlannedFan, walk: Walk) -> Any:
    """All items of a node; its value: a list, or a tuple of lists where the step has several outputs."""
    turn = planned.turn._replace(name=run.prefix + planned.turn.name)

    async def all_items() -> tuple[Any, dict[str, Any]]:
        work = _read(run, planned, fan, turn.name)
        if (plan := run.plan.bodies.get(planned.id)) is None:
            values = await perform_all(performer, run, turn.step, work)
        else:
            body = functools.partial(_run_body, fan, plan, walk)
            values = await repeat(run, work, body, await _places(performer, plan, work))
        return _columns(values, len(turn.step.outputs)), {"items": work.total}

    return await told(run, turn, all_items)


async def told(run: Run, turn: Turn, work: Callable[[], Awaitable[tuple[Any, dict[str, Any]]]]) -> Any:
    """What is no call of a step, told as if it were one, and judged like one."""
    token = CURRENT.set(StepContext(run, turn.name, 1))
    started = tell_started(run, turn.name, 1)
    try:
        value, data = await work()
    except BaseException as error:
        if is_signal(error):
            raise
        fail(run, turn, 1, error)
    finally:
        CURRENT.reset(token)
    tell_completed(run, turn.name, 1, started, **data)
    return value


def _columns(values: list[Any], outputs: int) -> Any:
    if outputs <= 1:
        return values
    return tuple([value[index] for value in values] for index in range(outputs))


# ------------------------------------------------------------------------------------------- items


def _read(run: Run, planned: PlannedNode, fan: PlannedFan, name: str) -> Work:
    lists = [_as_list(argument, run, name) for argument in fan.over]
    if fan.fan.kind == "map":
        _check_lengths(fan.over, lists, name)
        items: Iterable[Any] = zip(*lists, strict=True)
        total = len(lists[0])
    else:
        items = itertools.product(*lists)
        total = math.prod(map(len, lists))
    step, shared, common = planned.node.step, _shared(run, fan.shared, name), None
    if step.executor is not None:
        common, shared = Common({parameter: get(run) for parameter, get in shared}), ()
    given = functools.partial(_given, planned.node.id, shared, fan.over)

    def turn(index: int, item: tuple[Any, ...]) -> Turn:
        return Turn(f"{name}[{index}]", step, functools.partial(given, item), common)

    return Work(name, items, total, turn, fan.fan.max_concurrency)


def _as_list(argument: Argument, run: Run, name: str) -> list[Any]:
    value = argument.get(run)
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise InvalidOutputsError(
            f"{name!r} is mapped over {argument.parameter!r}, which is no list but {type(value).__name__}", step=name
        )
    return listed(value)


def _check_lengths(over: Sequence[Argument], lists: Sequence[list[Any]], name: str) -> None:
    if len({len(items) for items in lists}) > 1:
        counted = ", ".join(f"{a.parameter}: {len(items)}" for a, items in zip(over, lists, strict=True))
        raise RunError(
            f"{name!r} is mapped over lists of different lengths ({counted}); "
            "give lists of one length, or use product(…) for every combination",
            step=name,
        )


class _Shared(NamedTuple):
    """An argument that every item gets."""

    parameter: str
    get: Callable[[Run], Any]


def _shared(run: Run, arguments: Iterable[Argument], name: str) -> tuple[_Shared, ...]:
    """What is validated is validated once; the rest is read for each item, which gets its own copy of a constant."""
    return tuple(
        _Shared(a.parameter, a.get if a.coerce is None else _always(coerced(a.coerce, a.get(run), a.parameter, name)))
        for a in arguments
    )


def _always(value: Any) -> Callable[[Run], Any]:
    return lambda run: value


def _given(
    node: str, shared: tuple[_Shared, ...], over: tuple[Argument, ...], item: tuple[Any, ...], run: Run, name: str
) -> dict[str, Any]:
    arguments = {parameter: get(run) for parameter, get in shared}
    for (parameter, _, coerce), value in zip(over, item, strict=True):
        arguments[parameter] = value if coerce is None else coerced(coerce, value, parameter, name)
    return overridden(run, node, arguments) if run.overrides else arguments


# ------------------------------------------------------------------------------------------ bodies


async def _places(performer: Performer, body: Plan, work: Work) -> float:
    """With sync steps inside, no more items than there are threads: the first end before the last begin."""
    places = work.limit or math.inf
    if body.executors and work.limit is None:
        places = await performer.connections.places(body.executors, patient=True)
    return min(places, performer.threads.size if body.threaded else math.inf)


async def _run_body(fan: PlannedFan, body: Plan, walk: Walk, run: Run, turn: Turn) -> Any:
    """One item of a mapped pipeline: its output, or the tuple of them; what a path lacks is ``None``."""

    async def one_item() -> tuple[Any, dict[str, Any]]:
        arguments = turn.given(run, turn.name)
        inputs = {
            attribute: arguments[name] if default is None or name in arguments else default(run)
            for attribute, name, default in fan.inputs
        }
        inner = run.inner(body, inputs, f"{turn.name}/")
        await walk(inner)
        outputs = inner.outputs()
        values = tuple(outputs.get(result.name) for result in body.results)
        return (values if len(values) > 1 else values[0] if values else None), {}

    return await told(run, turn, one_item)
