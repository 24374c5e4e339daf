"""The engine alone: no HTTP, no keys; validated inputs in, validated and serialised outputs out."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable

import uvloop

from pipemount import pipeline, step
from pipemount.adapters.native import NativePipeline
from pipemount.adapters.registry import compile as compile_pipeline
from pipemount.runtime.call import Call
from pipemount.runtime.threads import ThreadPool

__all__ = ["LENGTHS", "measure_engine"]

LENGTHS = (1, 10, 100, 1000, 10000)


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
def three_side_by_side(value: int) -> dict[str, int]:
    return {"a": one(value, id="a"), "b": one(value, id="b"), "c": one(value, id="c")}


@pipeline
def three_sync(value: int) -> int:
    return sync_one(sync_one(sync_one(value)))


def chain(length: int) -> object:
    @pipeline(name=f"chain-{length}")
    def steps(value: int) -> int:
        for _ in range(length):
            value = one(value)
        return value

    return steps


async def runner(thing: object, threads: ThreadPool) -> Callable[[], Awaitable[object]]:
    """What runs ``thing`` once, as the service would."""
    compiled = compile_pipeline(thing)
    assert isinstance(compiled, NativePipeline)
    await compiled.start({"threads": threads})
    dump = compiled.output.dump_json
    inputs = {"value": 1}

    def run() -> Awaitable[object]:
        return compiled.run(Call(compiled.input.validate(inputs), "run", "run"), dump)

    return run


async def microseconds(run: Callable[[], Awaitable[object]], repeats: int, rounds: int = 7) -> float:
    """The median over the rounds of the mean time of one run."""
    found = []
    for _ in range(rounds + 1):
        gc.collect()
        began = time.perf_counter()
        for _ in range(repeats):
            await run()
        found.append((time.perf_counter() - began) / repeats * 1e6)
    return statistics.median(found[1:])


async def _measure(quick: bool) -> dict[str, float]:
    threads = ThreadPool(4, "bench")
    share = 5 if quick else 1
    found: dict[str, float] = {}
    for name, thing in (
        ("three async steps, one after the other", three_async),
        ("three async steps, side by side", three_side_by_side),
        ("a chain of three sync steps", three_sync),
    ):
        found[name] = await microseconds(await runner(thing, threads), 2000 // share)
    for length in LENGTHS[: 4 if quick else None]:
        took = await microseconds(await runner(chain(length), threads), max(2, 20000 // length // share), 5)
        found[f"per step, chain of {length} async steps"] = took / length
    threads.close()
    return found


def measure_engine(*, quick: bool = False) -> dict[str, float]:
    """Microseconds by what was run."""
    return uvloop.run(_measure(quick))


if __name__ == "__main__":
    for what, took in measure_engine(quick=True).items():
        print(f"{what:45} {took:8.1f} us")
