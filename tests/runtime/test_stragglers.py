"""Functions that go on in their threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from pipemount.runtime.call import Call
from pipemount.runtime.lending import WaitingThread
from pipemount.runtime.stragglers import Stragglers
from pipemount.runtime.threads import Errand, ThreadPool


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    pool = ThreadPool(2)
    yield pool
    pool.close()


class Held:
    """A function that tells when it runs and returns when it is let go."""

    def __init__(self) -> None:
        self.running, self.free, self.done = threading.Event(), threading.Event(), threading.Event()

    def __call__(self) -> int:
        self.running.set()
        self.free.wait(30)
        self.done.set()
        return 1


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 30)


async def given_up(pool: ThreadPool, held: Held, call: Call) -> None:
    task = asyncio.ensure_future(pool.run(held, call))
    await until(held.running)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_run_hears_of_a_function_that_was_given_up_and_of_its_end(pool: ThreadPool) -> None:
    held, call, told = Held(), Call(None, "id"), threading.Event()
    await given_up(pool, held, call)

    assert call.cancelling
    assert call.stragglers is not None
    call.stragglers.then(told.set)
    assert not told.is_set()
    gone = asyncio.ensure_future(call.stragglers.gone())
    held.free.set()

    await until(told)
    await gone
    assert held.done.is_set()
    assert not call.cancelling


async def test_the_run_around_it_hears_of_it_too(pool: ThreadPool) -> None:
    held, outer, inner = Held(), Call(None, "outer"), Call(None, "inner")
    inner.outer = outer
    await given_up(pool, held, inner)
    assert outer.cancelling

    held.free.set()
    assert outer.stragglers is not None
    await outer.stragglers.gone()


async def test_what_has_ended_or_never_began_is_no_straggler() -> None:
    pool, held, call = ThreadPool(1), Held(), Call(None, "id")
    busy = asyncio.ensure_future(pool.run(held))
    await until(held.running)
    waiting = asyncio.ensure_future(pool.run(int, call))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    held.free.set()
    assert await busy == 1

    assert await pool.run(lambda: 5, call) == 5
    assert call.stragglers is None
    pool.close()


async def test_a_thread_that_lends_itself_is_waited_for_as_well() -> None:
    held, call, thread = Held(), Call(None, "id"), WaitingThread()
    task = asyncio.ensure_future(thread.run(held, call))
    await asyncio.sleep(0)
    working = threading.Thread(target=lambda: thread.get(30))
    working.start()
    await until(held.running)
    task.cancel()
    await asyncio.wait([task])

    assert call.cancelling
    held.free.set()
    assert call.stragglers is not None
    await call.stragglers.gone()
    thread.put("end")
    await asyncio.to_thread(working.join)


def test_an_end_between_the_look_and_the_word_is_heard() -> None:
    errand, stragglers = Errand(), Stragglers()
    stragglers.add(errand)
    errand.begin()
    errand.end()
    errand.tell(stragglers.ended)

    assert not stragglers
    errand.given_up(Call(None, "id"))


def test_who_waits_on_a_loop_that_is_gone_is_passed_over() -> None:
    errand, stragglers = Errand(), Stragglers()
    stragglers.add(errand)

    async def leave_behind() -> None:
        kept.append(stragglers.gone())
        kept[0].send(None)

    kept: list[Coroutine[Any, Any, None]] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_behind())
    loop.close()
    stragglers.ended(errand)

    assert not stragglers
    kept[0].close()
