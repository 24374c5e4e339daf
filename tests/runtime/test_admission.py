"""Places for runs."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from pipemount.errors import OverloadedError
from pipemount.runtime.admission import Admission, Ticket
from pipemount.runtime.stragglers import Stragglers
from pipemount.runtime.threads import Errand
from pipemount.types import Principal


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


# ------------------------------------------------------------------------------------------- lining up

ANN, BOB = Principal("ann"), Principal("bob")


async def granted(*tickets: Ticket) -> list[bool]:
    await asyncio.sleep(0.01)
    return [ticket.future.done() for ticket in tickets]


async def test_callers_who_wait_have_turns() -> None:
    admission = Admission(1, 10)
    await admission.enter("p", ANN)
    many = [admission.line_up("p", ANN) for _ in range(3)]
    one = admission.line_up("p", BOB)

    admission.leave(0.01, "p", ANN)
    admission.leave(0.01, "p", ANN)

    assert await granted(*many, one) == [True, False, False, True]


async def test_a_check_takes_no_place() -> None:
    admission = Admission(1, 1)
    for _ in range(5):
        admission.check()
    await admission.enter()
    admission.check(count=3)
    ticket = admission.line_up()

    with pytest.raises(OverloadedError, match="all places are taken"):
        admission.check()
    with pytest.raises(OverloadedError):
        admission.line_up()
    admission.line_up(again=True).future.cancel()
    ticket.future.cancel()
    assert admission.refusals == {"app": 2}
    assert admission.rejected == 2


async def test_who_would_wait_in_vain_is_refused() -> None:
    admission = Admission(2, 100)
    for _ in range(2):
        assert admission.try_enter()
        admission.leave(1.0)
    for _ in range(2):
        assert admission.try_enter()

    tickets = [admission.line_up(within=4.0) for _ in range(3)]
    with pytest.raises(OverloadedError) as refused:
        admission.line_up(within=3.9)
    assert refused.value.retry_after == 2, "four wait for two places, a second each"
    tickets.append(admission.line_up(within=4.1))
    tickets.append(admission.line_up())
    assert admission.queued == 5
    for ticket in tickets:
        ticket.future.cancel()


async def test_what_has_run_for_long_counts_though_nothing_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("pipemount.runtime.admission.monotonic", lambda: now[0])
    admission = Admission(1, 1)
    await admission.enter()
    ticket = admission.line_up()
    now[0] += 20

    with pytest.raises(OverloadedError) as refused:
        admission.check()
    assert refused.value.retry_after == 40
    now[0] += 2000
    with pytest.raises(OverloadedError) as refused:
        admission.check()
    assert refused.value.retry_after == 300
    ticket.future.cancel()


async def test_who_reads_a_body_has_no_place_and_counts_as_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    admission = Admission(1, 1)
    await admission.enter()
    assert admission.step_aside()
    assert (admission.active, admission.reading) == (0, 1)

    await admission.enter()
    monkeypatch.setattr("pipemount.runtime.admission.READERS", 1)
    assert not admission.step_aside(), "as many read as may"
    with pytest.raises(OverloadedError):
        await admission.enter()
    ticket = admission.come_back()
    assert (admission.reading, admission.queued) == (0, 1)
    admission.leave(0.01)
    await ticket.place()
    admission.leave(0.01)


async def test_a_drain_waits_for_who_reads() -> None:
    admission = Admission(1, 1)
    await admission.enter()
    admission.step_aside()
    drained = asyncio.create_task(admission.drained())
    await asyncio.sleep(0.01)
    assert not drained.done()

    admission.stay_away()

    await asyncio.wait_for(drained, 5)


async def test_a_place_is_left_behind_with_those_who_still_need_it() -> None:
    admission, stragglers, errand = Admission(1, 0), Stragglers(), Errand()
    await admission.enter()
    stragglers.add(errand)

    admission.leave_behind(stragglers, monotonic())
    assert admission.active == 1
    stragglers.ended(errand)
    assert admission.active == 0


async def test_spare_places_are_those_that_nobody_waits_for() -> None:
    admission = Admission(2, 2)
    admission.charge(ANN, 100)
    assert admission.spare == 2
    assert admission.try_spare()
    assert admission.try_spare()
    assert not admission.try_spare()
    ticket = admission.line_up()
    assert admission.spare == 0
    assert not admission.try_spare()
    ticket.future.cancel()


async def test_many_whose_loop_is_gone_are_passed_over() -> None:
    admission = Admission(1, 5000)
    await admission.enter()

    async def line_up() -> None:
        for _ in range(3000):
            admission.line_up()

    await asyncio.to_thread(lambda: asyncio.run(line_up()))
    admission.leave(0.01)

    assert (admission.active, admission.queued) == (0, 0)
