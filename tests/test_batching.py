"""Many runs that were asked for at once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from time import monotonic
from typing import Any

import pytest
from tests.support.fakes import FakePipeline, fake

from pipemount import compile as compile_pipeline
from pipemount import pipeline, step
from pipemount.adapters.protocol import Call, Result
from pipemount.batching import Batch, Done, Outcome, Place
from pipemount.errors import (
    DeadlineExceededError,
    InvalidInputsError,
    PipelineError,
    PipemountError,
    RunCancelledError,
    StepFailedError,
)
from pipemount.runtime.admission import Admission
from pipemount.runtime.threads import ThreadPool
from pipemount.service import Service, new_run_id
from pipemount.settings import Settings


class Gate:
    """Counts who is inside, and lets them out when told."""

    def __init__(self) -> None:
        self.inside = self.most = self.entered = self.cancelled = 0
        self.open = asyncio.Event()

    async def pass_through(self) -> None:
        self.inside += 1
        self.entered += 1
        self.most = max(self.most, self.inside)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.inside -= 1

    async def until(self, entered: int) -> None:
        while self.entered < entered:
            await asyncio.sleep(0)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def gated(gate: Gate) -> Any:
    @step
    async def enter(number: int) -> int:
        if number < 0:
            raise PipelineError("below zero", status=409)
        if number > 100:
            raise ValueError(number)
        if number:
            await gate.pass_through()
        return 2 * number

    @pipeline
    def entering(number: int) -> Any:
        return enter(number)

    return compile_pipeline(entering)


@contextlib.asynccontextmanager
async def started(compiled: Any, *, places: int = 8, queue: int = 8) -> AsyncIterator[Service]:
    threads, settings = ThreadPool(4), Settings()
    service = Service("gated", compiled, settings, Admission(places, queue))
    await service.start({"threads": threads, "settings": settings})
    try:
        yield service
    finally:
        await service.stop()
        threads.close()


def call(service: Service, **inputs: Any) -> Call:
    return Call(service.compiled.input.validate(inputs), new_run_id())


def batch(
    service: Service, calls: Sequence[Call | PipemountError], *, place: Place | None = None, **options: Any
) -> Batch:
    options = {"width": 4, "timeout": 30.0} | options
    return Batch(service, calls, place=place, deadline=monotonic() + options["timeout"], **options)


def values(outcomes: Sequence[Outcome]) -> list[Any]:
    return [one.sealed[0]["output"] if isinstance(one, Done) else type(one).__name__ for one in outcomes]


async def test_each_has_an_outcome_in_its_place(gated: Any) -> None:
    async with started(gated) as service:
        refused = InvalidInputsError(errors=[])
        last = call(service, number=101)
        outcomes = await batch(service, [call(service, number=0), refused, call(service, number=-1), last]).perform()
        results = service.meter.results()
    assert values(outcomes) == [0, "InvalidInputsError", "PipelineError", "StepFailedError"]
    assert outcomes[1] is refused
    assert isinstance(outcomes[3], StepFailedError) and outcomes[3].run_id == last.run_id
    assert (results["success"], results["failure"]) == (1, 2)


async def test_an_empty_batch_has_no_outcomes(gated: Any) -> None:
    async with started(gated) as service:
        assert await batch(service, []).perform() == []


async def test_as_many_run_at_the_same_time_as_may(gated: Any, gate: Gate) -> None:
    async with started(gated) as service:
        await service.admission.enter()
        calls = [call(service, number=1) for _ in range(10)]
        performing = asyncio.create_task(batch(service, calls).perform())
        await gate.until(4)
        assert (gate.inside, service.admission.active) == (4, 4)
        gate.open.set()
        assert values(await performing) == [2] * 10
        assert service.admission.active == 1  # the place of the batch itself, which is not its to give back
    assert gate.most == 4


async def test_a_batch_takes_no_more_places_than_are_free(gated: Any, gate: Gate) -> None:
    async with started(gated, places=2) as service:
        await service.admission.enter()
        calls = [call(service, number=1) for _ in range(6)]
        performing = asyncio.create_task(batch(service, calls).perform())
        await gate.until(2)
        for _ in range(10):
            await asyncio.sleep(0)
        assert (gate.entered, service.admission.active, service.admission.queued) == (2, 2, 0)
        gate.open.set()
        assert values(await performing) == [2] * 6
    assert gate.most == 2


async def test_between_two_runs_those_go_first_who_wait(gated: Any, gate: Gate) -> None:
    """However long, a batch is one request among others: on the only place there is, it waits for its turn."""
    async with started(gated, places=1) as service:
        admission, order = service.admission, []
        await admission.enter()
        place = Place(admission, "gated", None)

        async def other() -> None:
            await admission.enter()
            order.append(gate.entered)
            admission.leave(0.0)

        calls = [call(service, number=1) for _ in range(5)]
        performing = asyncio.create_task(batch(service, calls, place=place).perform())
        await gate.until(1)
        others = [asyncio.create_task(other()) for _ in range(3)]
        while admission.queued < 3:
            await asyncio.sleep(0)
        gate.open.set()
        assert values(await performing) == [2] * 5
        await asyncio.gather(*others)
        place.leave()
        place.leave()  # at most once
        assert (admission.active, admission.queued) == (0, 0)
    assert order == [1, 1, 1]  # all three waited before the second run of the batch, and went before it


async def test_a_queue_that_is_full_does_not_refuse_who_had_a_place_before() -> None:
    admission = Admission(1, 1)
    await admission.enter()
    place = Place(admission, "gated", None)
    waiting = asyncio.create_task(admission.enter())
    while not admission.queued:
        await asyncio.sleep(0)
    giving_way = asyncio.create_task(place.give_way(30.0, monotonic() + 30.0))
    await waiting  # the place went to the one who waited …
    assert (admission.queued, giving_way.done()) == (1, False)
    admission.leave(0.0)
    await giving_way  # … and came back
    assert admission.active == 1
    place.leave()
    assert (admission.active, admission.rejected) == (0, 0)


async def test_one_deadline_holds_for_all(gated: Any, gate: Gate) -> None:
    async with started(gated) as service:
        calls = [call(service, number=number) for number in (0, 1, 1, 1, 0)]
        outcomes = await batch(service, calls, width=2, timeout=0.05).perform()
        assert service.admission.active == 0
    assert values(outcomes)[:1] == [0]
    late = [one for one in outcomes if isinstance(one, DeadlineExceededError)]
    assert len(late) >= 3 and {str(one) for one in late} == {
        "the run took longer than its timeout of 0.05 s and was cancelled"
    }
    assert gate.cancelled == 2


async def test_all_are_cancelled_when_nobody_waits_any_more(gated: Any, gate: Gate) -> None:
    async with started(gated) as service:
        calls = [call(service, number=1) for _ in range(10)]
        performing = asyncio.create_task(batch(service, calls).perform())
        await gate.until(4)
        performing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await performing
        assert (gate.inside, gate.cancelled, gate.entered) == (0, 4, 4)
        assert service.admission.active == 0


async def test_a_fault_of_ours_is_one_runs_own(gated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with started(gated) as service:
        invoke = service.invoke

        async def faulty(call: Call) -> Any:
            if call.inputs.number == 0:
                raise LookupError("inside")
            return await invoke(call)

        monkeypatch.setattr(service, "invoke", faulty)
        outcomes = await batch(service, [call(service, number=0), call(service, number=-1)]).perform()
    assert [str(outcome) for outcome in outcomes] == ["an unexpected error; see the log", "below zero"]


async def test_runs_that_never_wait_let_others_have_the_loop(gated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipemount.batching.SLICE", 0.0)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with started(gated) as service:
        turning = asyncio.create_task(turn())
        await batch(service, [call(service, number=0) for _ in range(20)], width=1).perform()
        turning.cancel()
    assert turns >= 19


# ------------------------------------------------------------------------------------------ as one


class Doubler(FakePipeline):
    """Doubles numbers, many at once if asked to."""

    def __init__(self) -> None:
        made = fake({"number": (int, ...)}, {"output": (int, ...)})
        super().__init__(made.input, made.output)
        self.batches: list[list[int]] = []
        self.singles: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.given: Any = None

    async def start(self, resources: Mapping[str, Any]) -> Any:
        return "the state"

    async def stop(self, state: Any) -> None:
        pass

    async def stream(self, call: Call) -> AsyncIterator[Any]:
        yield Result(await self.run(call))

    async def run(self, call: Call) -> Mapping[str, Any]:
        assert not call.cancelled
        self.singles.append(call.inputs.number)
        if call.inputs.number < 0:
            raise PipelineError("below zero", status=409)
        return {"output": 2 * call.inputs.number}

    async def run_batch(self, calls: Sequence[Call]) -> Sequence[Mapping[str, Any]]:
        self.batches.append([call.inputs.number for call in calls])
        assert {call.state for call in calls} == {"the state"}
        try:
            await self.open.wait()
        finally:
            self.cancelled = [call.cancelled for call in calls]
            for call in calls:
                call.cancelled = True
        if min(self.batches[-1]) < 0:
            raise ValueError("one of them")
        return self.given or [{"output": 2 * call.inputs.number} for call in calls]


async def test_a_pipeline_that_can_runs_all_at_once() -> None:
    doubler = Doubler()
    async with started(doubler) as service:
        refused = InvalidInputsError(errors=[])
        outcomes = await batch(service, [call(service, number=1), refused, call(service, number=2)]).perform()
        results = service.meter.results()
        assert service.meter.active == 0
    assert values(outcomes) == [2, "InvalidInputsError", 4]
    assert (doubler.batches, doubler.singles) == ([[1, 2]], [])
    assert results["success"] == 2
    first, _, last = outcomes
    assert isinstance(first, Done) and isinstance(last, Done)
    assert [first.call.run_index, last.call.run_index] == [1, 2]
    assert last.call.run_name == f"gated-{last.call.run_id}"
    assert first.seconds == last.seconds
    assert last.sealed[1] == b'{"output":4}'


async def test_one_that_fails_fails_alone() -> None:
    doubler = Doubler()
    async with started(doubler) as service:
        outcomes = await batch(service, [call(service, number=number) for number in (1, -1, 3)]).perform()
        results = service.meter.results()
    assert values(outcomes) == [2, "PipelineError", 6]
    assert doubler.batches == [[1, -1, 3]]
    assert sorted(doubler.singles) == [-1, 1, 3]
    assert (results["success"], results["failure"]) == (2, 1)
    assert sorted(one.call.run_index for one in outcomes if isinstance(one, Done)) == [1, 3]


@pytest.mark.parametrize("given", [[{"output": 1}], [{"output": 1}, {"output": "no number"}]])
async def test_answers_that_do_not_fit_are_asked_for_one_by_one(given: Any) -> None:
    doubler = Doubler()
    doubler.given = given
    async with started(doubler) as service:
        outcomes = await batch(service, [call(service, number=1), call(service, number=2)]).perform()
    assert values(outcomes) == [2, 4]


async def test_one_alone_needs_no_batch_and_overrides_are_for_one() -> None:
    doubler = Doubler()
    async with started(doubler) as service:
        await batch(service, [call(service, number=1)]).perform()
        overridden = [call(service, number=2), call(service, number=3)]
        overridden[1].overrides = {"step": {}}
        await batch(service, overridden).perform()
    assert (doubler.batches, sorted(doubler.singles)) == ([], [1, 2, 3])


async def test_the_deadline_holds_for_all_at_once_too() -> None:
    doubler = Doubler()
    doubler.open.clear()
    async with started(doubler) as service:
        calls = [call(service, number=1), call(service, number=2)]
        outcomes = await batch(service, calls, timeout=0.02).perform()
        assert service.meter.active == 0
    assert values(outcomes) == ["DeadlineExceededError"] * 2
    assert doubler.cancelled == [True, True]
    assert doubler.singles == []


async def test_all_at_once_is_cancelled_at_once() -> None:
    doubler = Doubler()
    doubler.open.clear()
    async with started(doubler) as service:
        performing = asyncio.create_task(batch(service, [call(service, number=n) for n in (1, 2)]).perform())
        while not doubler.batches:
            await asyncio.sleep(0)
        performing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await performing
    assert doubler.singles == []


async def test_a_batch_that_cancels_itself_is_not_run_again() -> None:
    doubler = Doubler()

    async def leave(calls: Sequence[Call]) -> Any:
        raise RunCancelledError("no")

    doubler.run_batch = leave  # type: ignore[method-assign]  # for this test
    async with started(doubler) as service:
        with pytest.raises(RunCancelledError):
            await batch(service, [call(service, number=n) for n in (1, 2)]).perform()
    assert doubler.singles == []


async def test_steps_in_threads_are_counted_like_others() -> None:
    @step
    def sleep(number: int) -> int:
        time.sleep(0.001)
        return number

    @pipeline
    def sleeping(number: int) -> Any:
        return sleep(number)

    async with started(compile_pipeline(sleeping)) as service:
        outcomes = await batch(service, [call(service, number=number) for number in range(20)]).perform()
    assert values(outcomes) == list(range(20))
