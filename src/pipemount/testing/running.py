"""What a pipeline does: alone, beside itself, when it fails, when nobody waits any more."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import RunError
from .left_behind import Leftovers
from .subject import Inputs, Started, Subject, Told, same
from .surface import check_outputs, validator
from .telling import check_blame, check_events, check_fidelity, check_result, node_of, steps_told

__all__ = [
    "check_batch",
    "check_blocking",
    "check_closing",
    "check_concurrency",
    "check_failures",
    "check_restart",
    "check_runs",
]

AT_ONCE = 8
SOON = 0.1
PROMPT = 1.0
"""Seconds in which work comes to rest that is cancelled at once, on a machine that is busy."""


async def check_runs(subject: Subject, started: Started) -> list[Told]:
    """Each of the good inputs by ``stream`` and by ``run``; what the streams told."""
    judge = validator(subject, started.pipeline.output, "output")
    found = []
    for index, inputs in enumerate(subject.good):
        with _watched(subject):
            told = await subject.within(started.stream(inputs), f"a run with {inputs!r}") or Told()
        found.append(told)
        check_result(subject, told)
        check_events(subject, told, started.pipeline.capabilities, started.pipeline.graph)
        check_fidelity(subject, told, started.pipeline.graph)
        if told.outputs is not None:
            dumped = check_outputs(subject, started.pipeline, judge, told.outputs)
            _check_expected(subject, index, dumped)
            await _check_run(subject, started, inputs, dumped)
    return found


def _check_expected(subject: Subject, index: int, dumped: Any) -> None:
    if subject.expected is not None and dumped is not None and not same(dumped, subject.expected[index]):
        subject.find(
            f"{subject.good[index]!r} gives {dumped!r}, expected was {subject.expected[index]!r}", "Mend the outputs"
        )


async def _check_run(subject: Subject, started: Started, inputs: Inputs, dumped: Any) -> None:
    run = getattr(started.pipeline, "run", None)
    if run is None:
        return
    try:
        with _watched(subject):
            outputs = await subject.within(run(started.call(inputs)), f"`run` with {inputs!r}")
    except Exception as error:  # which `stream` did not raise
        subject.find(f"`run` raises {error!r}, `stream` does not", _SAME_CODE)
        return
    direct = check_outputs(subject, started.pipeline, None, outputs)
    if not same(direct, dumped):
        subject.find(f"`run` gives {direct!r}, `stream` gives {dumped!r}", _SAME_CODE)


_SAME_CODE = "Let both call the same code"


@contextlib.contextmanager
def _watched(subject: Subject) -> Iterator[None]:
    """Whatever belongs to the whole process, or to the caller, is as it was."""
    before = _surroundings()
    yield
    for name, value in _surroundings().items():
        if value != before[name]:
            subject.find(
                f"a run changes {name}",
                "Keep what belongs to a run in the call, in local variables, or in a task of the run's own",
            )


def _surroundings() -> dict[str, Any]:
    return {
        "os.environ": dict(os.environ),
        "the working directory": Path.cwd(),
        "sys.path": list(sys.path),
        "the caller's context variables": {
            variable: id(value) for variable, value in contextvars.copy_context().items()
        },
    }


async def check_concurrency(subject: Subject, started: Started, alone: list[Told]) -> None:
    """Runs beside each other give and tell what each gives and tells alone."""
    chosen = list(itertools.islice(itertools.cycle(range(len(subject.good))), AT_ONCE))
    work = asyncio.gather(*(started.stream(subject.good[index]) for index in chosen))
    dump = started.pipeline.output.dump
    for index, told in zip(chosen, await subject.within(work, f"{AT_ONCE} runs at once") or (), strict=False):
        if told.outputs is None:
            subject.find(f"one of {AT_ONCE} runs at once raises {told.error!r}", _APART)
        elif not same(dump(told.outputs), dump(alone[index].outputs)):
            subject.find(f"{AT_ONCE} runs at once mix up their outputs", _APART)
        elif steps_told(told) != steps_told(alone[index]):
            subject.find(f"{AT_ONCE} runs at once mix up their events", _APART)


_APART = "Keep nothing of a run on the pipeline, in its state or in a global"


async def check_failures(subject: Subject, started: Started, alone: list[Told]) -> None:
    """A run that fails names its step, and the next one knows nothing of it."""
    for inputs in subject.failing:
        told = await subject.within(started.stream(inputs), f"a failing run with {inputs!r}") or Told()
        _check_failure(subject, started, told, inputs)
        await _check_run_fails(subject, started, told.error, inputs)
    if subject.failing:
        again = await subject.within(started.outputs(subject.good[0]), "a run after one that failed")
        if not same(again, started.pipeline.output.dump(alone[0].outputs)):
            subject.find(f"after a failed run, good inputs give {again!r}", "Leave nothing of a failed run behind")


def _check_failure(subject: Subject, started: Started, told: Told, inputs: Inputs) -> None:
    graph, error = started.pipeline.graph, told.error
    check_events(subject, told, started.pipeline.capabilities, graph)
    if error is None:
        subject.find(f"the failing inputs {inputs!r} do not fail", "Raise what went wrong")
    elif not isinstance(error, RunError):
        subject.find(
            f"a failing run raises {type(error).__name__}, no RunError",
            "Raise StepFailedError(step=…, cause=error) from error",
        )
    elif graph.fidelity != "opaque" and node_of(error.step or "", graph) is None:
        subject.find(f"a failing run blames the step {error.step!r}", "Name the node whose code raised")
    else:
        check_blame(subject, told, started.pipeline.capabilities, error.step or "")


async def _check_run_fails(subject: Subject, started: Started, streamed: Any, inputs: Inputs) -> None:
    """`run` fails as `stream` does."""
    run = getattr(started.pipeline, "run", None)
    if run is None or not isinstance(streamed, RunError):
        return
    try:
        outputs = await subject.within(run(started.call(inputs)), f"`run` with {inputs!r}")
    except Exception as error:  # whatever it is, it is compared
        same_fault = type(error) is type(streamed) and getattr(error, "step", None) == streamed.step
        if not same_fault:
            subject.find(f"`run` raises {error!r}, `stream` raises {streamed!r}", _SAME_CODE)
    else:
        subject.find(f"`run` gives {outputs!r}, `stream` raises {streamed!r}", _SAME_CODE)


async def check_closing(subject: Subject) -> None:
    """Who closes a stream, or is cancelled while waiting for it, leaves nothing at work."""
    inputs = subject.good[0] if subject.slow is None else subject.slow
    for leave in (_close, _cancel):
        async with subject.started() as started:
            at_once = "cancel:task" in started.pipeline.capabilities
            before, until = Leftovers(), time.monotonic() + (_prompt(subject) if at_once else subject.patience)
            await subject.within(leave(subject, started.pipeline.stream(started.call(inputs))), "closing a stream")
            if at_once and time.monotonic() > until:
                subject.find("closing a stream waits for its work", f"Cancel what is under way, {_OR_LATER}")
            await _check_rest(subject, before, until, "after its stream was closed", _OR_LATER if at_once else "")
            again = await subject.within(started.stream(subject.good[0]), "a run after a closed stream") or Told()
            check_result(subject, again)


def _prompt(subject: Subject) -> float:
    return SOON + min(PROMPT, subject.patience)


_OR_LATER = "or declare 'cancel:between-steps' in place of 'cancel:task'"


async def _check_rest(subject: Subject, before: Leftovers, until: float, when: str, instead: str = "") -> None:
    way_out = "Cancel and await tasks in a `finally`; let work in threads look at `call.cancelled`"
    for left in await before.after(until):
        subject.find(f"{left} still works {when}", f"{way_out}, {instead}" if instead else way_out)


async def _close(subject: Subject, stream: Any) -> None:
    """Take one item, if there is one soon, then leave."""
    with contextlib.suppress(StopAsyncIteration, TimeoutError):
        async with asyncio.timeout(SOON):
            await anext(stream)
    try:
        await stream.aclose()
    except Exception as error:  # which is what is looked for
        subject.find(
            f"closing a stream raises {type(error).__name__}",
            "Make `stream` an async generator that yields nothing after GeneratorExit",
        )


async def _cancel(subject: Subject, stream: Any) -> None:
    """Be cancelled while waiting for what does not come at once."""

    async def exhaust() -> None:
        async with contextlib.aclosing(stream):
            async for _ in stream:
                pass

    waiting = asyncio.ensure_future(exhaust())
    await asyncio.wait([waiting], timeout=SOON)
    cancelled = waiting.cancel()
    await asyncio.wait([waiting])
    error = None if waiting.cancelled() else waiting.exception()
    if cancelled and not waiting.cancelled() and error is None:
        subject.find("a cancelled stream goes on to its end", "Let CancelledError pass")
    if error is not None and not isinstance(error, RunError):
        subject.find(f"a cancelled stream raises {type(error).__name__}", "Let CancelledError pass")


async def check_blocking(subject: Subject, started: Started) -> None:
    """The loop is not kept from its other work: the shortest of three tries counts, as a machine may be busy."""
    for inputs in subject.good:
        longest = 60.0
        for _ in range(3):
            longest = min(longest, await _longest_block(started, inputs))
            if longest <= subject.longest_block:
                break
        else:
            subject.find(f"a run keeps the loop for {longest:.1f} s", "Work in the threads of resources['threads']")


async def _longest_block(started: Started, inputs: Inputs) -> float:
    longest, last = 0.0, time.monotonic()
    run = asyncio.ensure_future(started.stream(inputs))
    while not run.done():
        await asyncio.wait([run], timeout=0.005)
        now = time.monotonic()
        longest, last = max(longest, now - last - 0.005), now
    return longest


async def check_restart(subject: Subject, alone: list[Told]) -> None:
    """Apps share nothing: one stops and the other runs on; what was stopped can be started again."""
    before = Leftovers()
    async with subject.started() as kept:
        async with subject.started() as stopped:
            await subject.within(stopped.outputs(subject.good[0]), "a run of a second app")
        await _check_as_before(subject, kept, alone, "after another app stopped")
    async with subject.started(stopped.pipeline) as again:
        await _check_as_before(subject, again, alone, "after stop and start")
    await _check_rest(subject, before, time.monotonic() + subject.patience, "after `stop`")


async def _check_as_before(subject: Subject, started: Started, alone: list[Told], when: str) -> None:
    outputs = await subject.within(started.outputs(subject.good[0]), f"a run {when}")
    if not same(outputs, started.pipeline.output.dump(alone[0].outputs)):
        subject.find(
            f"{when}, good inputs give {outputs!r}", "Make in `start` all that runs need, and share none of it"
        )


async def check_batch(subject: Subject, started: Started) -> None:
    """With ``batch`` the inputs are a list ``rows``, and so are the outputs: to each row what it gets alone."""
    if "batch" not in started.pipeline.capabilities:
        return
    for inputs in subject.good:
        rows = inputs.get("rows")
        outputs = await subject.within(started.outputs(inputs), "a batch")
        given = outputs.get("rows") if isinstance(outputs, dict) else None
        if not isinstance(rows, list) or not isinstance(given, list) or len(rows) != len(given):
            subject.find("a batch does not give one row for each", "Take and give lists of one length, called 'rows'")
            continue
        for row, together in zip(rows, given, strict=True):
            if not same(await started.outputs({**inputs, "rows": [row]}), {**outputs, "rows": [together]}):
                subject.find("a row gets something else in a batch than alone", "Judge each row by itself")
