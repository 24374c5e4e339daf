"""Calls between loops at the edges: interrupted, too late, or with nobody left to tell."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pipemount.errors import UnavailableError
from pipemount.runtime.loops import LoopThread, _Answer, _Call, call_from_loop, call_from_thread


@pytest.fixture
def home() -> Iterator[LoopThread]:
    home = LoopThread("test-home")
    yield home
    home.stop().result()
    home.stop().result()


async def nothing() -> None: ...


def test_an_interrupted_wait_cancels_the_call(home: LoopThread) -> None:
    cancelled = threading.Event()
    main = threading.get_ident()

    async def work() -> None:
        signal.pthread_kill(main, signal.SIGUSR1)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            call_from_thread(home.loop, work)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert cancelled.wait(30)


def test_an_interrupt_between_sending_and_waiting_cancels_the_call(
    home: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, started, cancelled = home.loop.call_soon_threadsafe, threading.Event(), threading.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    def interrupted(*args: Any, **kwargs: Any) -> None:
        monkeypatch.undo()
        send(*args, **kwargs)
        assert started.wait(30)
        raise KeyboardInterrupt

    monkeypatch.setattr(home.loop, "call_soon_threadsafe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call_from_thread(home.loop, work)
    assert cancelled.wait(30)


def test_an_interrupt_before_sending_leaves_nothing_to_cancel(
    home: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[Any] = []
    home.loop.set_exception_handler(lambda _, context: faults.append(context))

    def interrupted(*_: Any, **__: Any) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(home.loop, "call_soon_threadsafe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call_from_thread(home.loop, nothing)
    call_from_thread(home.loop, nothing)  # whatever was queued before has run
    assert faults == []


def test_a_caller_whose_loop_is_closed_is_not_told(home: LoopThread, caplog: pytest.LogCaptureFixture) -> None:
    running, release = threading.Event(), asyncio.Event()

    async def work() -> None:
        running.set()
        await release.wait()

    async def ask() -> None:
        asking = asyncio.create_task(call_from_loop(home.loop, work))
        await asyncio.to_thread(running.wait)
        abandoned.append(asking)

    abandoned: list[asyncio.Task[None]] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(ask())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    home.loop.call_soon_threadsafe(release.set)
    call_from_thread(home.loop, nothing)
    call_from_thread(home.loop, nothing)
    assert not abandoned[0].done()
    abandoned[0]._log_destroy_pending = False  # type: ignore[attr-defined]  # abandoned on purpose, so not worth a log
    assert not caplog.records


def test_the_caller_s_loop_may_be_closed_and_the_home_loop_as_well(home: LoopThread) -> None:
    call = _Call(home.loop, nothing)
    home.stop().result()
    call.cancel()
    with pytest.raises(UnavailableError):
        call.send()


async def test_an_answer_that_was_given_cannot_be_cancelled(home: LoopThread) -> None:
    answer: _Answer[str] = _Answer(_Call(home.loop, nothing))
    answer.set_result("given")
    assert not answer.cancel()
    assert await answer == "given"
