"""What an engine gains: a map of CPU-bound items in the app's own threads, and on one and two workers of Ray and Dask.

Beside each the same items as tasks of the engine itself, without us.

    python benchmarks/executors.py                 # one round of 1,000 items, eight minutes
    python benchmarks/executors.py --items 100

The rounds are interleaved; what is told is the median over them. One cluster serves both rows of an engine: one worker
is had by asking for both CPUs with each call (Ray), or by naming a worker (Dask).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

sys.path.append(str(Path(__file__).parents[1] / "src"))

from pipemount import PipelineApp, pipeline, step
from pipemount.dask import Dask
from pipemount.pipelines.executors import StepExecutor
from pipemount.pipelines.steps import Step
from pipemount.ray import Ray

__all__ = ["ExecutorsReport", "compute", "measure_executors"]

ITEMS = 1000
LOOPS = 800_000  # about 50 ms of one core
THREADS = "the app's threads"

Way: TypeAlias = "Callable[[Step, list[int]], Awaitable[list[int]]]"
"""How a step is performed for each item."""


@step
def compute(number: int) -> int:
    total = 0
    for value in range(LOOPS):
        total += value * value % 7
    return total + number


@step
def where(number: int) -> int:
    compute.function(number)
    return os.getpid()


@dataclass
class ExecutorsReport:
    """What was found.

    Attributes:
        found: Seconds, one per round, by place and number of workers.
        items: How many a map has.
        rounds: How many medians are over.
    """

    found: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    items: int = ITEMS
    rounds: int = 0

    def __bool__(self) -> bool:
        return bool(self.found)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Seconds on one worker and on two, and how many times as fast that is."""
        yield f"{self.items:,} items", "one worker, s", "two workers, s", "times as fast"
        for place in dict.fromkeys(place for place, _ in self.found):
            one, two = self.found.get((place, 1), []), self.found.get((place, 2), [])
            ratios = [before / after for before, after in zip(one, two, strict=False)]
            yield place, *(_median(figures, 2) for figures in (one, two, ratios))

    def notes(self) -> Iterable[str]:
        """None."""
        return ()


def _median(figures: list[float], digits: int) -> str:
    return f"{statistics.median(figures):.{digits}f}" if figures else ""


def measure_executors(*, rounds: int = 1, items: int = ITEMS) -> ExecutorsReport:
    """Every place, in interleaved rounds."""
    report = ExecutorsReport(items=items, rounds=rounds)
    with ExitStack() as stack:
        ways: dict[tuple[str, int], Way] = {(THREADS, 1): _Ours(None)}
        for engine, open_cluster in (("Dask", _dask), ("Ray", _ray)):
            for workers, (executor, own) in enumerate(stack.enter_context(open_cluster()), 1):
                ways[engine, workers] = _Ours(executor)
                ways[f"{engine}, its own tasks", workers] = own
        asyncio.run(_measure(ways, report))
    return report


async def _measure(ways: dict[tuple[str, int], Way], report: ExecutorsReport) -> None:
    items = list(range(report.items))
    for _ in range(report.rounds):
        for (place, workers), way in ways.items():
            seen: set[int] = set()
            while len(seen) < workers:  # Ray ends those that have nothing to do for a second, and starts others
                seen = set(await way(where, list(range(40))))
            began = time.perf_counter()
            found = await way(compute, items)
            took = time.perf_counter() - began
            if [value - found[0] for value in found] != items:
                raise ValueError(f"{place} gave other values")
            report.found.setdefault((place, workers), []).append(took)
    for way in ways.values():
        if isinstance(way, _Ours):
            await way.app.lifecycle.aclose()


class _Ours:
    """A map of a pipeline whose step has ``executor``."""

    def __init__(self, executor: StepExecutor | None) -> None:
        self.app = PipelineApp({each.name: _mapping(each, executor) for each in (compute, where)})

    async def __call__(self, work: Step, items: list[int]) -> list[int]:
        return list((await self.app.run(work.name, numbers=items)).value)


def _mapping(work: Step, executor: StepExecutor | None) -> Any:
    there = work.with_options(executor=executor)

    @pipeline
    def mapping(numbers: list[int]) -> Any:
        return there.map(numbers)

    return mapping


@contextmanager
def _dask() -> Iterator[list[tuple[StepExecutor, Way]]]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        one = next(iter(cluster.workers.values())).worker_address

        def own(workers: list[str] | None) -> Way:
            async def perform(work: Step, items: list[int]) -> list[int]:
                futures = client.map(work.function, items, pure=False, workers=workers)
                return list(await asyncio.to_thread(client.gather, futures))

            return perform

        address = cluster.scheduler_address
        yield [(Dask(address, workers=(one,)), own([one])), (Dask(address), own(None))]


@contextmanager
def _ray() -> Iterator[list[tuple[StepExecutor, Way]]]:
    import ray

    same = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}}
    quiet: Any = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}

    def own(cpus: int) -> Way:
        async def perform(work: Step, items: list[int]) -> list[int]:
            task = ray.remote(work.function).options(num_cpus=cpus)
            return list(await asyncio.to_thread(ray.get, [task.remote(item) for item in items]))

        return perform

    ray.init(num_cpus=2, runtime_env=same, **quiet)
    try:
        yield [(Ray(num_cpus=cpus), own(cpus)) for cpus in (2, 1)]
    finally:
        ray.shutdown()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--items", type=int, default=ITEMS)
    options = parser.parse_args()
    for row in measure_executors(rounds=options.rounds, items=options.items).rows():
        print(" | ".join(row))


if __name__ == "__main__":
    main()
