"""Who is blamed: steps that raise what the loop uses for itself, or keep a cancellation to themselves."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pipemount import Retry, StepContext, get_step_context, pipeline, step
from pipemount import compile as compile_pipeline
from pipemount.adapters.native import NativePipeline
from pipemount.errors import DeadlineExceededError, InvalidOutputsError, RunError, StepFailedError, StepTimeoutError
from pipemount.inprocess import run_compiled
from pipemount.runtime.admission import Admission
from pipemount.runtime.call import Call
from pipemount.runtime.events import Event
from pipemount.runtime.executor import Executor
from pipemount.runtime.threads import ThreadPool
from pipemount.service import Service
from pipemount.settings import Settings


class Panic(BaseException):
    """What extensions written in Rust raise: no ``Exception``."""


@step
async def beside(x: int) -> int:
    await asyncio.sleep(0)
    return x


RAISED = [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit, SystemExit, Panic, ExceptionGroup]


def make(kind: type[BaseException]) -> BaseException:
    return ExceptionGroup("several", [ValueError()]) if kind is ExceptionGroup else kind("x")


def alone(body: Any) -> Any:
    @pipeline
    def one(x: int) -> Any:
        return body(x)

    return one


def accompanied(body: Any) -> Any:
    @pipeline
    def two(x: int) -> Any:
        return body(x), beside(x)

    return two


@pytest.mark.parametrize("kind", RAISED)
@pytest.mark.parametrize("around", [alone, accompanied])
@pytest.mark.parametrize("timeout", [None, 60])
async def test_whatever_a_step_raises_in_a_thread_is_the_steps_failure(
    kind: type[BaseException], around: Any, timeout: float | None
) -> None:
    @step(timeout=timeout)
    def fail(x: int) -> Any:
        raise make(kind)

    with pytest.raises(StepFailedError, match=f"step 'fail' raised {kind.__name__}"):
        await around(fail).run(x=1)


@pytest.mark.parametrize("kind", [asyncio.CancelledError, SystemExit, Panic, ExceptionGroup])
@pytest.mark.parametrize("around", [alone, accompanied])
@pytest.mark.parametrize("retry", [None, Retry(attempts=1)])
async def test_whatever_a_step_raises_on_the_loop_is_the_steps_failure(
    kind: type[BaseException], around: Any, retry: Retry | None
) -> None:
    @step(retry=retry)
    async def fail(x: int) -> Any:
        raise make(kind)

    with pytest.raises(StepFailedError, match=f"step 'fail' raised {kind.__name__}"):
        await around(fail).run(x=1)


@pytest.mark.parametrize("retry", [None, Retry(attempts=2)])
def test_an_interrupt_on_the_loop_is_the_terminals_not_the_steps(retry: Retry | None) -> None:
    @step(retry=retry)
    async def interrupted(x: int) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        alone(interrupted)(x=1)


async def test_a_cancellation_inside_a_step_is_retried_where_the_filter_names_it() -> None:
    attempts: list[int] = []

    @step(retry=Retry(attempts=2, on=(asyncio.CancelledError,)))
    async def flaky() -> int:
        attempts.append(get_step_context().attempt)
        if len(attempts) == 1:
            inner = asyncio.ensure_future(asyncio.sleep(60))
            inner.cancel()
            await inner
        return len(attempts)

    @step(retry=Retry(attempts=2))  # of exceptions, which this is not
    def other() -> int:
        attempts.append(3)
        raise asyncio.CancelledError

    await run_compiled(compile_pipeline(flaky), {})
    with pytest.raises(StepFailedError):
        await run_compiled(compile_pipeline(other), {})

    assert attempts == [1, 2, 3]


# --------------------------------------------------------------- cancellations that are not passed on


def unheeding(after: list[str], **options: Any) -> Any:
    @step(**options)
    async def keep(x: int) -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            after.append("cancelled")
        return x

    return keep


@pytest.mark.parametrize("options", [{}, {"retry": Retry(attempts=3)}, {"timeout": 60}, {"on_end": int}])
async def test_a_step_that_keeps_a_cancellation_to_itself_does_not_outlive_the_deadline(options: Any) -> None:
    done: list[str] = []
    keep = unheeding(done, **options)

    @step
    async def next_step(x: int) -> int:
        done.append("next")
        return x

    @pipeline
    def stubborn(x: int) -> Any:
        return next_step(keep(x))

    with pytest.raises(DeadlineExceededError):
        await run_compiled(compile_pipeline(stubborn), {"x": 1}, timeout=0.05)
    assert done == ["cancelled"]


@pytest.mark.parametrize("retry", [None, Retry(attempts=3)])
async def test_a_step_that_makes_a_failure_of_a_cancellation_is_not_blamed_nor_retried(retry: Retry | None) -> None:
    attempts: list[int] = []

    @step(retry=retry)
    async def convert(x: int) -> int:
        attempts.append(x)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ConnectionError from None
        return x

    with pytest.raises(DeadlineExceededError):
        await run_compiled(compile_pipeline(convert), {"x": 1}, timeout=0.05)
    assert attempts == [1]


async def test_a_step_that_keeps_its_timeout_to_itself_has_timed_out_all_the_same() -> None:
    done: list[str] = []

    with pytest.raises(StepTimeoutError):
        await run_compiled(compile_pipeline(unheeding(done, timeout=0.02)), {"x": 1})
    assert done == ["cancelled"]


async def test_a_sibling_that_keeps_a_cancellation_to_itself_starts_nothing_more() -> None:
    done: list[str] = []
    keep = unheeding(done)

    @step
    async def fail(x: int) -> int:
        await asyncio.sleep(0.01)
        raise ValueError

    @step
    async def next_step(x: int) -> int:
        done.append("next")
        return x

    @pipeline
    def fork(x: int) -> Any:
        return next_step(keep(x)), fail(x)

    with pytest.raises(StepFailedError, match="'fail'"):
        await fork.run(x=1)
    assert done == ["cancelled"]


async def test_the_deadline_ends_the_pause_between_attempts() -> None:
    attempts: list[int] = []

    @step(retry=Retry(attempts=9, delay=60), timeout=60, on_failure=lambda: attempts.append(-1))
    def fail() -> int:
        attempts.append(get_step_context().attempt)
        raise ValueError

    with pytest.raises(DeadlineExceededError):
        await run_compiled(compile_pipeline(fail), {}, timeout=0.1)
    assert attempts == [1, -1]


# ------------------------------------------------------------------------------- threads of a step


@pytest.mark.parametrize("timeout", [None, 0.05])
async def test_what_an_async_step_left_in_a_thread_learns_that_nobody_waits(timeout: float | None) -> None:
    told = threading.Event()

    def work(context: StepContext) -> None:
        while not context.cancelled:
            threading.Event().wait(0.001)
        told.set()

    @step(timeout=timeout)
    async def delegate(context: StepContext) -> int:
        await asyncio.to_thread(work, context)
        return 1

    with pytest.raises((DeadlineExceededError, StepTimeoutError)):
        await run_compiled(compile_pipeline(delegate), {}, timeout=5 if timeout else 0.05)
    assert await asyncio.to_thread(told.wait, 10)


async def test_an_abandoned_attempt_and_an_ended_run_tell_nothing_more() -> None:
    events: list[Event] = []
    go_on, over = threading.Event(), threading.Event()

    @step(timeout=0.05)
    def late(context: StepContext) -> int:
        context.emit("early")
        go_on.wait(10)
        context.emit("late")
        over.set()
        return 1

    @step
    def late_too(context: StepContext) -> int:
        go_on.wait(10)
        context.emit("late, too")
        return 1

    @pipeline
    def both() -> Any:
        return late(), late_too()

    with pytest.raises(StepTimeoutError):
        await run_compiled(compile_pipeline(both), {}, listener=events.append)
    go_on.set()
    assert await asyncio.to_thread(over.wait, 10)
    await asyncio.sleep(0.01)
    assert [event.data["value"] for event in events if event.kind == "data"] == ["early"]
    assert events[-1].kind == "run_failed"


async def test_a_timeout_does_not_count_while_the_step_waits_for_a_thread() -> None:
    taken, release = threading.Event(), threading.Event()

    @step
    def occupy() -> int:
        taken.set()
        release.wait(10)
        return 1

    @step(timeout=0.2)
    def quick() -> int:
        return 2

    @pipeline
    def crowded() -> Any:
        return {"a": occupy(), "b": quick()}

    compiled, settings, threads = NativePipeline(crowded.compile()), Settings(), ThreadPool(1)
    service = Service("crowded", compiled, settings, Admission(1, 0))
    await service.start({"threads": threads, "settings": settings})
    run = asyncio.ensure_future(service.invoke(Call(compiled.input.validate({}), "id")))
    await asyncio.to_thread(taken.wait, 10)
    await asyncio.sleep(0.4)
    release.set()
    outputs, _ = await run
    threads.close()

    assert outputs == {"a": 1, "b": 2}


async def test_a_hundred_steps_side_by_side_on_two_threads_all_end() -> None:
    @step(retry=Retry(attempts=2))
    def one(x: int) -> int:
        if get_step_context().attempt == 1 and x % 3 == 0:
            raise ValueError
        return x

    @step(timeout=30, on_end=int)
    def watched(x: int) -> int:
        return x

    @pipeline
    def wide() -> Any:
        return {f"o{i}": (watched if i % 2 else one)(i) for i in range(100)}

    snapshot, threads = wide.compile(), ThreadPool(2)
    outputs = await Executor(snapshot, threads).run(Call(snapshot.input.validate({}), "id"), dict)
    threads.close()

    assert outputs == {f"o{i}": i for i in range(100)}


async def test_a_chain_of_a_thousand_steps_of_both_kinds() -> None:
    @step
    def plain(x: int) -> int:
        return x + 1

    @step
    async def awaited(x: int) -> int:
        return x + 1

    @pipeline
    def deep(x: int) -> Any:
        for i in range(1000):
            x = awaited(x) if i % 3 == 0 else plain(x)
        return x

    assert (await deep.run(x=0)).value == 1000


# ----------------------------------------------------------------------------------- retries, outputs


async def test_a_timeout_of_ours_is_a_timeout_for_the_retry_filter() -> None:
    attempts: list[int] = []

    @step(retry=Retry(attempts=2, on=(TimeoutError,)), timeout=0.05)
    async def slow(x: int) -> int:
        attempts.append(x)
        await asyncio.sleep(60 if len(attempts) == 1 else 0)
        return x

    @pipeline
    def patient(x: int) -> Any:
        return slow(x)

    assert (await patient.run(x=1)).value == 1
    assert attempts == [1, 1]


async def test_a_step_may_raise_a_timeout_error_of_its_own() -> None:
    @step(timeout=60)
    async def fail(x: int) -> int:
        raise TimeoutError

    with pytest.raises(StepFailedError, match="TimeoutError"):
        await alone(fail).run(x=1)


async def test_a_field_of_an_output_that_raises_fails_the_run() -> None:
    class Lazy:
        @property
        def secret(self) -> int:
            raise ValueError("s3cret")

    @step
    def make_lazy(x: int) -> Lazy:
        return Lazy()

    @pipeline
    def reading(x: int) -> Any:
        return make_lazy(x).secret

    with pytest.raises(InvalidOutputsError, match="raised ValueError") as caught:
        await reading.run(x=1)
    assert "s3cret" not in str(caught.value)


async def test_parameters_may_have_the_names_that_the_runtime_uses() -> None:
    @step
    def join(self: str, function: str, context: str, run: str, id: int) -> str:
        return f"{self}{function}{context}{run}{id}"

    @pipeline
    def names(self: str, cls: str, values: str, inputs: str, copy: str, _copy: str, model_config: str) -> Any:
        joined = join(self=self, function=cls, context=values, run=inputs, id=1)
        return {"a": joined, "b": echo(copy), "c": echo(_copy), "d": echo(model_config)}

    @step
    def echo(text: str) -> str:
        return text

    given = {"self": "s", "cls": "c", "values": "v", "inputs": "i", "copy": "1", "_copy": "2", "model_config": "3"}
    assert (await names.run(**given)).value == {"a": "scvi1", "b": "1", "c": "2", "d": "3"}
    assert join(self="a", function="b", context="c", run="d", id=2) == "abcd2"


def test_a_pipeline_with_a_parameter_self_is_called_by_keyword() -> None:
    @pipeline
    def own(self: int) -> Any:
        return beside(self)

    assert own(self=3) == 3


async def test_a_step_that_cancels_its_own_task_beside_others_ends_the_run() -> None:
    @step
    async def giving_up(x: int) -> int:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)
        return x

    with pytest.raises(RunError, match="cancelled the task that runs it"):
        await accompanied(giving_up).run(x=1)


async def test_a_caller_that_is_cancelled_cancels_steps_side_by_side_and_stays_cancelled() -> None:
    begun: list[str] = []

    @step
    async def sleep(x: int) -> int:
        begun.append("begun")
        try:
            await asyncio.sleep(60)
        finally:
            begun.append("ended")
        return x

    task = asyncio.ensure_future(accompanied(sleep).run(x=1))
    while not begun:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert begun == ["begun", "ended"]
