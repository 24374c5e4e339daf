"""pipemount's engine: no HTTP, no keys; validated inputs in, validated and serialised outputs out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pipemount import compile as compile_pipeline
from pipemount import pipeline, step
from pipemount.runtime.admission import Admission
from pipemount.runtime.call import Call
from pipemount.runtime.threads import ThreadPool
from pipemount.service import Service
from pipemount.settings import Settings

THREADS = ThreadPool(4, "bench")


@step
async def one(value: int) -> int:
    return value + 1


@step
def sync_one(value: int) -> int:
    return value + 1


@pipeline
def three_async(value: int) -> int:
    return one(one(one(value)))


@pipeline
def side_by_side(value: int):
    return one(value, id="a"), one(value, id="b"), one(value, id="c")


@pipeline
def three_sync(value: int) -> int:
    return sync_one(sync_one(sync_one(value)))


@pipeline
def two(value: int) -> int:
    return one(one(value))


@pipeline
def branch(value: int) -> int:
    value = one(value)
    if value > 0:
        value = one(value)
    return value


@pipeline
def mapped(values: list[int]):
    return one.map(values)


def chain(length: int) -> Any:
    @pipeline(name=f"chain-{length}")
    def steps(value: int) -> int:
        for _ in range(length):
            value = one(value)
        return value

    return steps


def compiled_variants() -> int:
    """The paths of a body that is compiled anew."""

    @pipeline
    def forks(a: bool, b: bool, c: bool, d: bool, e: bool, f: bool):
        value = one(1)
        for asked in (a, b, c, d, e, f):
            if asked:
                value = one(value)
        return value

    return len(forks.compile().paths)


def build(
    thing: Any, shape: Callable[..., Any] = lambda output: output, listeners: Any = (), **inputs: Any
) -> Callable[[], Any]:
    """What runs ``thing`` as a request does, but for admission: a run id, a deadline, validation both ways."""
    compiled = compile_pipeline(thing)
    service = Service(compiled.info.name, compiled, Settings(), Admission(1, 0))
    inputs = inputs or {"value": 1}
    started = False

    async def run() -> Any:
        nonlocal started
        if not started:
            await service.start({"threads": THREADS})
            started = True
        outputs, _ = await service.invoke(Call(compiled.input.validate(inputs), "run", "run"), listeners=listeners)
        return shape(*outputs.values())

    return run


CASES: dict[str, Callable[[], Callable[[], Any]]] = {
    "three_async": lambda: build(three_async),
    "side_by_side": lambda: build(side_by_side, lambda *outputs: list(outputs)),
    "three_sync": lambda: build(three_sync),
    "two": lambda: build(two),
    "branch": lambda: build(branch),
    "map": lambda: build(mapped, values=list(range(1000))),
    "heard": lambda: build(three_async, listeners=(lambda event: None,)),
    "compile": lambda: compiled_variants,
    **{f"chain_{n}": partial(lambda n: build(chain(n)), n) for n in (10, 100, 1000, 10000)},
}
