"""Places for runs."""

from __future__ import annotations

import asyncio

import pytest

from pipemount.errors import OverloadedError
from pipemount.runtime.admission import Admission


async def test_places_are_taken_until_none_is_left() -> None:
    admission = Admission(2, 0)

    assert admission.try_enter()
    await admission.enter()

    with pytest.raises(OverloadedError) as caught:
        await admission.enter()
    assert caught.value.headers == {"retry-after": "1"}
    assert (admission.active, admission.queued, admission.rejected) == (2, 0, 1)


async def test_who_waits_is_served_in_order() -> None:
    admission = Admission(1, 5)
    order: list[int] = []

    async def run(number: int) -> None:
        await admission.enter()
        order.append(number)
        await asyncio.sleep(0)
        admission.leave(0.01)

    await asyncio.gather(*(run(number) for number in range(5)))

    assert order == [0, 1, 2, 3, 4]
    assert (admission.active, admission.queued) == (0, 0)


async def test_a_newcomer_does_not_overtake_the_queue() -> None:
    admission = Admission(1, 1)
    await admission.enter()
    waiting = asyncio.create_task(admission.enter())
    await asyncio.sleep(0)
    admission.leave(0.01)

    assert not admission.try_enter(), "the place that came free is the waiter's"
    await waiting
    assert admission.active == 1


async def test_who_gives_up_waiting_leaves_the_queue() -> None:
    admission = Admission(1, 1)
    await admission.enter()
    waiting = asyncio.create_task(admission.enter())
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.wait([waiting])

    assert admission.queued == 0
    admission.leave(0.01)
    assert admission.active == 0


async def test_a_place_granted_to_somebody_who_gave_up_goes_on_to_the_next() -> None:
    admission = Admission(1, 2)
    await admission.enter()
    first, second = asyncio.create_task(admission.enter()), asyncio.create_task(admission.enter())
    await asyncio.sleep(0)

    admission.leave(0.01)
    first.cancel()
    await asyncio.wait([first])
    await second

    assert admission.active == 1
    admission.leave(0.01)
    assert admission.active == 0


async def test_a_place_granted_and_taken_in_the_same_tick_is_given_back_on_cancel() -> None:
    admission = Admission(1, 2)
    await admission.enter()
    first = asyncio.create_task(admission.enter())
    await asyncio.sleep(0)
    admission.leave(0.01)
    asyncio.get_running_loop().call_soon(first.cancel)
    await asyncio.wait([first])

    assert admission.active == 0


def test_a_waiter_whose_loop_closed_is_passed_over() -> None:
    admission = Admission(1, 2)

    async def wait() -> None:
        await admission.enter()
        task = asyncio.create_task(admission.enter())
        await asyncio.sleep(0)
        task.remove_done_callback(print)  # the task is left behind with its loop

    loop = asyncio.new_event_loop()
    loop.run_until_complete(wait())
    pending = asyncio.all_tasks(loop)
    loop.close()
    admission.leave(0.01)

    assert (admission.active, admission.queued) == (0, 0)
    for task in pending:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # its loop is gone on purpose


async def test_retry_after_grows_with_what_runs_take() -> None:
    admission = Admission(1, 0)
    for _ in range(200):
        await admission.enter()
        admission.leave(20.0)
    await admission.enter()

    with pytest.raises(OverloadedError) as caught:
        admission.try_enter()

    assert 15 <= caught.value.retry_after <= 20


async def test_drained_returns_when_the_last_run_left() -> None:
    admission = Admission(1, 0)
    await admission.enter()
    drained = asyncio.create_task(admission.drained())
    await asyncio.sleep(0.02)
    assert not drained.done()

    admission.leave(0.01)

    await asyncio.wait_for(drained, 5)
    assert admission.active == 0


async def test_who_gives_up_waiting_for_the_drain_is_forgotten() -> None:
    admission = Admission(1, 0)
    await admission.enter()
    waiting = asyncio.create_task(admission.drained())
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.wait([waiting])
    admission.leave(0.01)

    assert admission.active == 0


def test_a_drain_whose_loop_closed_is_no_fault() -> None:
    admission = Admission(1, 0)
    admission.try_enter()

    async def leave_behind() -> asyncio.Future[None]:
        coroutine = admission.drained()
        future: asyncio.Future[None] = coroutine.send(None)
        kept.append(coroutine)
        return future

    kept: list[object] = []
    asyncio.run(leave_behind())
    admission.leave(0.01)

    assert admission.active == 0
    kept[0].close()  # type: ignore[attr-defined]  # a coroutine
