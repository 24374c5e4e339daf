"""The app's own thread pool."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from pipemount.runtime.threads import ThreadPool, standing_aside

PLACE: ContextVar[str] = ContextVar("place", default="nowhere")


async def test_it_starts_no_thread_before_it_is_asked() -> None:
    before = set(threading.enumerate())

    pool = ThreadPool(4)

    assert set(threading.enumerate()) <= before
    pool.close()


async def test_it_calls_in_a_thread_of_its_own_and_returns_the_value() -> None:
    pool = ThreadPool(1, "own")

    name = await pool.run(lambda: threading.current_thread().name)

    assert name == "own-1"
    pool.close()


async def test_an_idle_thread_is_used_again() -> None:
    pool = ThreadPool(4)

    names = {await pool.run(lambda: threading.current_thread().name) for _ in range(5)}

    assert len(names) == 1
    pool.close()


async def test_it_never_runs_more_than_its_size() -> None:
    pool = ThreadPool(3)
    barrier = threading.Barrier(3)
    running, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        barrier.wait(5)
        with lock:
            running -= 1

    await asyncio.gather(*(pool.run(work) for _ in range(9)))

    assert most == 3
    pool.close()


async def test_context_variables_are_copied_in_and_not_back() -> None:
    pool = ThreadPool(1)
    PLACE.set("here")

    def work() -> str:
        seen = PLACE.get()
        PLACE.set("there")
        return seen

    assert await pool.run(work) == "here"
    assert PLACE.get() == "here"
    pool.close()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), StopIteration()])
async def test_what_the_function_raises_reaches_the_waiter(error: BaseException) -> None:
    pool = ThreadPool(1)

    def work() -> None:
        raise error

    with pytest.raises(RuntimeError if isinstance(error, StopIteration) else type(error)):
        await pool.run(work)
    assert await pool.run(lambda: 1) == 1, "the thread lives on"
    pool.close()


async def test_a_waiter_that_is_cancelled_in_time_withdraws_its_call() -> None:
    pool = ThreadPool(1)
    free = threading.Event()
    called: list[int] = []
    first = asyncio.create_task(pool.run(lambda: free.wait(5)))
    second = asyncio.create_task(pool.run(lambda: called.append(2)))
    await asyncio.sleep(0)

    second.cancel()
    await asyncio.wait([second])
    free.set()
    await first
    await pool.run(lambda: None)

    assert called == []
    pool.close()


async def test_a_waiter_that_is_cancelled_late_is_released_at_once() -> None:
    pool = ThreadPool(1)
    started, free = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        free.wait(5)

    task = asyncio.create_task(pool.run(work))
    while not started.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not free.is_set()
    free.set()
    pool.close()


async def test_a_closed_pool_says_so() -> None:
    pool = ThreadPool(1)
    await pool.run(lambda: None)
    pool.close()

    with pytest.raises(RuntimeError, match="closed"):
        await pool.run(lambda: None)


def test_a_loop_that_closed_meanwhile_is_no_fault() -> None:
    pool = ThreadPool(1)
    started, free, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        free.wait(5)

    async def leave() -> None:
        task = asyncio.create_task(pool.run(work))
        while not started.is_set():
            await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(leave())
    free.set()
    asyncio.run(pool.run(done.set))

    assert done.is_set(), "the thread outlived the loop that had gone"
    pool.close()


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit, StopIteration])
async def test_what_the_loop_uses_for_itself_comes_out_of_a_thread_as_a_failure(kind: type[BaseException]) -> None:
    def fail() -> None:
        raise kind

    pool = ThreadPool(1)
    with pytest.raises(RuntimeError, match=kind.__name__) as caught:
        await pool.run(fail)
    pool.close()
    assert type(caught.value.__cause__) is kind


async def test_where_the_system_gives_no_more_threads_those_that_there_are_do_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool, none = ThreadPool(4), ThreadPool(4)
    await pool.run(int)
    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert await asyncio.gather(*(pool.run(lambda i=i: i) for i in range(9))) == list(range(9))  # type: ignore[misc]  # a default in a lambda
    with pytest.raises(RuntimeError, match="start new thread"):
        await none.run(int)
    pool.close()


async def test_while_a_thread_waits_for_other_work_another_takes_its_place() -> None:
    pool = ThreadPool(1, "own")
    loop = asyncio.get_running_loop()

    def wait_for(depth: int) -> list[str]:
        if depth == 0:
            return [threading.current_thread().name]
        with standing_aside():
            inner = asyncio.run_coroutine_threadsafe(pool.run(lambda: wait_for(depth - 1)), loop).result(10)
        return [threading.current_thread().name, *inner]

    assert await pool.run(lambda: wait_for(2)) == ["own-1", "own-2", "own-3"]
    pool.close()


async def test_a_job_that_waits_is_taken_when_a_thread_stands_aside() -> None:
    pool = ThreadPool(1)
    begun, waits, go_on = threading.Event(), threading.Event(), threading.Event()

    def stand_aside() -> None:
        begun.set()
        waits.wait(10)
        with standing_aside():
            go_on.wait(10)

    first = asyncio.create_task(pool.run(stand_aside))
    await asyncio.to_thread(begun.wait, 10)
    second = asyncio.create_task(pool.run(go_on.set))
    await asyncio.sleep(0)
    waits.set()

    await asyncio.gather(first, second)
    pool.close()


async def test_afterwards_there_are_no_more_threads_than_before() -> None:
    pool = ThreadPool(1, "own")
    loop = asyncio.get_running_loop()

    def wait() -> None:
        with standing_aside():
            asyncio.run_coroutine_threadsafe(pool.run(int), loop).result(10)

    for _ in range(5):
        await pool.run(wait)
    names = {await pool.run(lambda: threading.current_thread().name) for _ in range(3)}

    assert len(names) == 1
    assert sum(thread.name.startswith("own-") for thread in threading.enumerate()) <= 2
    pool.close()


async def test_a_thread_may_stand_aside_when_its_pool_is_closed() -> None:
    pool = ThreadPool(1)

    def wait() -> bool:
        with standing_aside():
            pool.close()
        return True

    assert await pool.run(wait)


def test_a_thread_of_no_pool_has_no_place_to_give() -> None:
    with standing_aside():
        pass
