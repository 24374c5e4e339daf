"""Deadlines and watched callers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from time import monotonic

import pytest

from pipemount.errors import DeadlineExceededError, RunCancelledError
from pipemount.runtime.guard import guard


async def test_a_coroutine_that_never_suspends_pays_for_no_watch() -> None:
    watched = False

    async def left() -> None:
        nonlocal watched
        watched = True

    async def work() -> int:
        return 7

    assert await guard(work(), 1, left) == 7
    assert not watched


async def test_values_and_errors_of_a_suspended_coroutine_pass_through() -> None:
    async def work(fail: bool) -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if fail:
            raise ValueError("no")
        return 7

    assert await guard(work(False), 1) == 7
    with pytest.raises(ValueError, match="no"):
        await guard(work(True), 1)


async def test_errors_before_the_first_suspension_pass_through() -> None:
    async def work() -> None:
        raise ValueError("at once")

    with pytest.raises(ValueError, match="at once"):
        await guard(work(), 1)


async def test_it_runs_in_the_callers_own_task() -> None:
    async def work() -> asyncio.Task[None] | None:
        before = asyncio.current_task()
        await asyncio.sleep(0)
        assert asyncio.current_task() is before
        return before

    assert await guard(work(), 1) is asyncio.current_task()


@pytest.mark.parametrize("watched", [False, True])
async def test_the_deadline_cancels_and_says_why(watched: bool) -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(DeadlineExceededError, match=r"timeout of 0\.0[17] s"):
        await guard(work(), 0.07 if watched else 0.01, _never if watched else None)

    assert seen == ["cancelled"]
    assert _task().cancelling() == 0, "the caller's task goes on as if nothing had been"


async def test_a_caller_who_leaves_cancels() -> None:
    async def left() -> None:
        return None

    with pytest.raises(RunCancelledError, match="left"):
        await guard(asyncio.sleep(30), None, left)
    assert _task().cancelling() == 0


async def test_a_cancel_from_outside_stays_a_cancel() -> None:
    async def work() -> None:
        await guard(asyncio.sleep(30), 30, _never)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_coroutine_that_ends_in_spite_of_the_deadline_keeps_its_value() -> None:
    async def work() -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return "saved"
        return "slept"

    assert await guard(work(), 0.01) == "saved"
    assert _task().cancelling() == 0


async def test_timers_and_watches_end_with_it() -> None:
    before = asyncio.all_tasks()

    await guard(asyncio.sleep(0.06), 30, _never)
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before


_never: Callable[[], asyncio.Future[None]] = lambda: asyncio.get_running_loop().create_future()  # noqa: E731


def _task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def test_a_deadline_is_told_as_such_in_a_task_that_was_asked_to_cancel_before() -> None:
    stopped: list[str] = []

    async def asked_before() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            _task().cancel()
            await asyncio.sleep(0)
        with pytest.raises(DeadlineExceededError):
            await guard(asyncio.sleep(60), 0.01, None, lambda: stopped.append("told"))
        assert _task().cancelling() == 1

    await asyncio.ensure_future(asked_before())
    assert stopped == ["told"]


async def test_a_caller_that_is_cancelled_together_with_the_deadline_stays_cancelled() -> None:
    async def body() -> None:
        task = _task()
        with pytest.raises(asyncio.CancelledError):
            await guard(asyncio.sleep(60), 0.01, None, task.cancel)  # type: ignore[arg-type]  # a coroutine at run time
        assert task.cancelling() == 1

    await asyncio.ensure_future(body())


async def test_a_deadline_that_was_set_before_holds_and_the_error_names_what_was_asked() -> None:
    with pytest.raises(DeadlineExceededError, match=r"timeout of 30 s"):
        await guard(asyncio.sleep(60), 30, _never, deadline=monotonic() + 0.01)
    with pytest.raises(DeadlineExceededError, match=r"timeout of 30 s"):
        await guard(asyncio.sleep(60), 30, deadline=monotonic() - 1)
