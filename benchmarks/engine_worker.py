"""Runs the graphs of one engine, in that engine's own environment: ``python engine_worker.py NAME``.

Reads a JSON line per order, ``{"case": …, "seconds": …, "expected": …}``; answers each with a line:
``{"took": microseconds per run}``, ``{"reason": …}`` or, for a case that the engine does not have, ``{}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import uvloop

SLOW = 1.0
"""Seconds: what takes longer than this for one run is measured once."""


async def timed(run: Callable[[], Any], repeats: int) -> float:
    """Microseconds per run."""
    began = time.perf_counter()
    if inspect.iscoroutinefunction(run):
        for _ in range(repeats):
            await run()
    else:
        for _ in range(repeats):
            run()
    return (time.perf_counter() - began) / repeats * 1e6


class Worker:
    """The engine's graphs, each built when it is first asked for."""

    def __init__(self, name: str) -> None:
        self.cases = importlib.import_module(f"engines.{name}").CASES
        self.built: dict[str, tuple[Callable[[], Any], int, float | None]] = {}

    async def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        case = order["case"]
        if case not in self.cases:
            return {}
        if case not in self.built:
            self.built[case] = await self.build(case, order["expected"], order["seconds"])
        run, repeats, took = self.built[case]
        gc.collect()
        return {"took": await timed(run, repeats) if took is None else took}

    async def build(self, case: str, expected: Any, seconds: float) -> tuple[Callable[[], Any], int, float | None]:
        """What runs the case, seen to give what it should; how often it runs in that time; what is slow is run once."""
        run = self.cases[case]()
        began = time.perf_counter()
        found = await run() if inspect.iscoroutinefunction(run) else run()
        took = (time.perf_counter() - began) * 1e6
        if found != expected:
            raise ValueError(f"gave {found!r:.80}")
        if took > SLOW * 1e6:
            return run, 1, took
        took = await timed(run, 1)
        took = await timed(run, max(1, int(seconds * 1e5 / took)))
        return run, max(1, int(seconds * 1e6 / took)), None


async def main(name: str, answers: Any) -> None:
    worker = Worker(name)
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            answer = await worker.answer(json.loads(line))
        except Exception as error:
            answer = {"reason": f"{type(error).__name__}: {error}"[:160]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    own = os.fdopen(os.dup(1), "w")
    with contextlib.redirect_stdout(sys.stderr):  # what libraries print is no answer
        uvloop.run(main(sys.argv[1], own))
