"""Lifecycle: one start, one home loop, one stop."""

import asyncio
import concurrent.futures
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

import pytest

from pipemount.errors import HomeLoopError, UnavailableError
from pipemount.runtime.lifecycle import Lifecycle
from pipemount.settings import Settings


async def opened(gate: threading.Event) -> None:
    """Waits for an event of any thread."""
    while not gate.is_set():
        await asyncio.sleep(0.001)


class Runtime:
    """What a lifecycle starts and stops; notes what happens, and where."""

    def __init__(self, **settings: float) -> None:
        self.notes: list[str] = []
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.failures: list[BaseException] = []
        self.stop_failure: BaseException | None = None
        self.gate: threading.Event | None = None
        self.now = 0.0
        self.entered = threading.Event()
        self.lifecycle = Lifecycle(
            start=self.start,
            stop=self.stop,
            drain=self.drain,
            settings=Settings(**{"lazy_wait": 30.0, **settings}),  # type: ignore[arg-type]  # floats all
            name="test",
            clock=lambda: self.now,
        )

    async def start(self) -> None:
        self.notes.append("start")
        self.loops.append(asyncio.get_running_loop())
        self.entered.set()
        if self.gate:
            await opened(self.gate)
        if self.failures:
            raise self.failures.pop(0)

    async def drain(self) -> None:
        self.notes.append("drain")

    async def stop(self) -> None:
        self.notes.append("stop")
        self.loops.append(asyncio.get_running_loop())
        if self.stop_failure:
            raise self.stop_failure

    def hold(self) -> threading.Event:
        self.gate = threading.Event()
        return self.gate


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    runtime = Runtime()
    yield runtime
    runtime.lifecycle.close()


async def current_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def in_thread(work: Coroutine[Any, Any, None]) -> threading.Thread:
    thread = threading.Thread(target=lambda: asyncio.run(work))
    thread.start()
    return thread


# --------------------------------------------------------------------------------------- lazy start


def test_nothing_starts_at_construction() -> None:
    before = set(threading.enumerate())
    lifecycle = Runtime().lifecycle
    assert lifecycle.state == "new"
    assert not lifecycle.ready
    assert lifecycle.home is None
    assert set(threading.enumerate()) <= before


async def test_concurrent_first_requests_share_one_start_on_a_loop_of_its_own(runtime: Runtime) -> None:
    await asyncio.gather(*(runtime.lifecycle.ensure_ready() for _ in range(20)))
    assert runtime.notes == ["start"]
    assert runtime.lifecycle.ready
    assert runtime.lifecycle.home is runtime.loops[0] is not asyncio.get_running_loop()


def test_first_requests_from_several_loops_share_one_start(runtime: Runtime) -> None:
    threads = [in_thread(runtime.lifecycle.ensure_ready()) for _ in range(5)]
    for thread in threads:
        thread.join()
    assert runtime.notes == ["start"]


async def test_a_request_gives_up_waiting_and_the_start_goes_on() -> None:
    runtime = Runtime(lazy_wait=0.0)
    gate = runtime.hold()
    with pytest.raises(UnavailableError) as raised:
        await runtime.lifecycle.ensure_ready()
    assert (raised.value.detail_code, raised.value.retry_after) == ("starting", 1)
    assert runtime.lifecycle.state == "starting"
    gate.set()
    await until_ready(runtime)
    await runtime.lifecycle.aclose()
    assert runtime.notes == ["start", "drain", "stop"]


async def until_ready(runtime: Runtime) -> None:
    while not runtime.lifecycle.ready:
        await asyncio.sleep(0.001)


async def test_a_cancelled_request_does_not_cancel_the_start(runtime: Runtime) -> None:
    gate = runtime.hold()
    request = asyncio.create_task(runtime.lifecycle.ensure_ready())
    await asyncio.to_thread(runtime.entered.wait)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    gate.set()
    await runtime.lifecycle.ensure_ready()
    assert runtime.notes == ["start"]


async def test_the_start_does_not_inherit_the_first_request_s_context(runtime: Runtime) -> None:
    user = contextvars.ContextVar("user", default="nobody")
    seen: list[str] = []

    async def start() -> None:
        seen.append(user.get())

    runtime.lifecycle._start = start
    user.set("ada")
    await runtime.lifecycle.ensure_ready()
    assert seen == ["nobody"]


async def test_a_failed_start_is_logged_and_retried_with_growing_pauses(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    runtime.failures = [ValueError("no database"), ValueError("still none"), ValueError("nor now")]
    waits = []
    for _ in range(3):
        with pytest.raises(UnavailableError) as first:
            await runtime.lifecycle.ensure_ready()
        with pytest.raises(UnavailableError) as second:
            await runtime.lifecycle.ensure_ready()
        assert first.value.detail_code == second.value.detail_code == "start-failed"
        assert "database" not in str(first.value)
        waits.append(second.value.retry_after)
        assert runtime.lifecycle.state == "failed"
        runtime.now += waits[-1]
    assert waits == [1, 2, 4]
    assert [str(r.exc_info[1]) for r in caplog.records if r.exc_info] == ["no database", "still none", "nor now"]
    assert {r.name for r in caplog.records} == {"pipemount"}
    await runtime.lifecycle.ensure_ready()
    assert runtime.lifecycle.error is None
    assert runtime.notes == ["start"] * 4
    assert len(set(runtime.loops)) == 1


async def test_the_pause_has_an_upper_bound(runtime: Runtime) -> None:
    waits = []
    for _ in range(8):
        runtime.failures = [ValueError()]
        with pytest.raises(UnavailableError) as raised:
            await runtime.lifecycle.ensure_ready()
        waits.append(raised.value.retry_after)
        runtime.now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


async def test_an_exit_from_on_init_is_a_failed_start(runtime: Runtime) -> None:
    runtime.failures = [SystemExit(3)]
    with pytest.raises(UnavailableError):
        await runtime.lifecycle.ensure_ready()
    assert isinstance(runtime.lifecycle.error, SystemExit)


async def test_closing_after_a_failed_start_ends_its_loop_and_stops_nothing(runtime: Runtime) -> None:
    runtime.failures = [ValueError()]
    with pytest.raises(UnavailableError):
        await runtime.lifecycle.ensure_ready()
    await runtime.lifecycle.aclose()
    assert runtime.notes == ["start"]
    assert runtime.loops[0].is_closed()
    assert runtime.lifecycle.state == "stopped"


# ----------------------------------------------------------------------------------------- lifespan


async def test_a_lifespan_makes_its_loop_the_home(runtime: Runtime) -> None:
    await runtime.lifecycle.startup()
    assert runtime.lifecycle.home is asyncio.get_running_loop()
    await runtime.lifecycle.ensure_ready()
    await runtime.lifecycle.shutdown()
    assert runtime.notes == ["start", "drain", "stop"]
    assert set(runtime.loops) == {asyncio.get_running_loop()}
    assert runtime.lifecycle.state == "stopped"
    assert not runtime.lifecycle.ready
    assert runtime.lifecycle.home is None


async def test_lifespans_are_counted(runtime: Runtime) -> None:
    for _ in range(3):
        await runtime.lifecycle.startup()
    for _ in range(2):
        await runtime.lifecycle.shutdown()
        assert runtime.lifecycle.ready
    await runtime.lifecycle.shutdown()
    await runtime.lifecycle.shutdown()
    assert runtime.notes == ["start", "drain", "stop"]


def test_a_restart_lives_on_the_new_loop(runtime: Runtime) -> None:
    async def lifespan() -> None:
        await runtime.lifecycle.startup()
        await runtime.lifecycle.call(current_loop)
        await runtime.lifecycle.shutdown()

    asyncio.run(lifespan())
    asyncio.run(lifespan())
    assert runtime.notes == ["start", "drain", "stop"] * 2
    assert len(set(runtime.loops)) == 2


async def test_a_runtime_that_a_request_started_stays_where_it_is_and_stops_with_the_lifespan(runtime: Runtime) -> None:
    await runtime.lifecycle.ensure_ready()
    home = runtime.lifecycle.home
    await runtime.lifecycle.startup()
    assert runtime.lifecycle.home is home
    await runtime.lifecycle.shutdown()
    assert runtime.notes == ["start", "drain", "stop"]
    assert home is not None
    assert home.is_closed()


async def test_a_lifespan_after_a_failed_lazy_start_tries_at_once_on_its_loop(runtime: Runtime) -> None:
    runtime.failures = [ValueError()]
    with pytest.raises(UnavailableError):
        await runtime.lifecycle.ensure_ready()
    await runtime.lifecycle.startup()
    assert runtime.lifecycle.home is asyncio.get_running_loop()
    await runtime.lifecycle.shutdown()


async def test_a_failure_within_the_budget_is_raised_and_not_logged(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    failure = ValueError("no model")
    runtime.failures = [failure]
    with pytest.raises(ValueError, match="no model") as raised:
        await runtime.lifecycle.startup()
    assert raised.value is failure is runtime.lifecycle.error
    assert runtime.lifecycle.state == "failed"
    assert not caplog.records
    await runtime.lifecycle.shutdown()
    assert runtime.notes == ["start"]


async def test_beyond_the_budget_the_lifespan_is_let_go_and_requests_wait() -> None:
    runtime = Runtime(startup_budget=0.0, lazy_wait=0.0)
    gate = runtime.hold()
    await runtime.lifecycle.startup()
    assert runtime.lifecycle.state == "starting"
    with pytest.raises(UnavailableError):
        await runtime.lifecycle.ensure_ready()
    gate.set()
    await until_ready(runtime)
    await runtime.lifecycle.ensure_ready()
    await runtime.lifecycle.shutdown()
    assert runtime.notes == ["start", "drain", "stop"]


async def test_a_late_failure_is_logged_and_retried_on_the_host_s_loop(caplog: pytest.LogCaptureFixture) -> None:
    runtime = Runtime(startup_budget=0.0)
    runtime.failures = [ValueError("late")]
    gate = runtime.hold()
    await runtime.lifecycle.startup()
    gate.set()
    with pytest.raises(UnavailableError):
        await runtime.lifecycle.ensure_ready()
    assert [str(r.exc_info[1]) for r in caplog.records if r.exc_info] == ["late"]
    runtime.now = 1.0
    await runtime.lifecycle.ensure_ready()
    assert runtime.lifecycle.home is asyncio.get_running_loop()
    await runtime.lifecycle.shutdown()
    assert runtime.notes == ["start", "start", "drain", "stop"]


async def test_a_cancelled_lifespan_does_not_count_and_does_not_cancel_the_start(runtime: Runtime) -> None:
    gate = runtime.hold()
    lifespan = asyncio.create_task(runtime.lifecycle.startup())
    await opened(runtime.entered)
    lifespan.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lifespan
    gate.set()
    await runtime.lifecycle.ensure_ready()
    await runtime.lifecycle.shutdown()
    assert runtime.lifecycle.ready
    await runtime.lifecycle.aclose()


async def test_a_second_lifespan_waits_for_the_stop_of_the_first(runtime: Runtime) -> None:
    await runtime.lifecycle.startup()
    stopping = asyncio.create_task(runtime.lifecycle.shutdown())
    await asyncio.sleep(0)
    await runtime.lifecycle.startup()
    assert runtime.notes == ["start", "drain", "stop", "start"]
    await stopping
    await runtime.lifecycle.shutdown()


def test_the_last_lifespan_of_the_home_loop_stops_even_if_another_loop_has_one(runtime: Runtime) -> None:
    first_up, second_up, first_down = threading.Event(), threading.Event(), threading.Event()

    async def first() -> None:
        await runtime.lifecycle.startup()
        first_up.set()
        await asyncio.to_thread(second_up.wait)
        await runtime.lifecycle.shutdown()
        first_down.set()

    async def second() -> None:
        await asyncio.to_thread(first_up.wait)
        await runtime.lifecycle.startup()
        second_up.set()
        await asyncio.to_thread(first_down.wait)
        assert runtime.notes == ["start", "drain", "stop"]
        await runtime.lifecycle.ensure_ready()
        assert runtime.lifecycle.home is asyncio.get_running_loop()
        await runtime.lifecycle.shutdown()

    thread = in_thread(first())
    asyncio.run(second())
    thread.join()
    assert runtime.notes == ["start", "drain", "stop"] * 2


# --------------------------------------------------------------------------------------------- stop


async def test_requests_are_refused_while_draining_and_what_runs_is_waited_for(runtime: Runtime) -> None:
    draining, release = asyncio.Event(), asyncio.Event()

    async def drain() -> None:
        draining.set()
        await release.wait()
        runtime.notes.append("drained")

    runtime.lifecycle._drain = drain
    await runtime.lifecycle.startup()
    stopping = asyncio.create_task(runtime.lifecycle.shutdown())
    await draining.wait()
    assert (runtime.lifecycle.state, runtime.lifecycle.ready) == ("draining", False)
    with pytest.raises(UnavailableError) as raised:
        await runtime.lifecycle.ensure_ready()
    assert raised.value.detail_code == "draining"
    assert await runtime.lifecycle.call(current_loop) is asyncio.get_running_loop()
    release.set()
    await stopping
    assert runtime.notes == ["start", "drained", "stop"]


async def test_a_drain_that_takes_too_long_is_abandoned(caplog: pytest.LogCaptureFixture) -> None:
    runtime = Runtime(cleanup_timeout=0.0)

    async def drain() -> None:
        await asyncio.Event().wait()

    runtime.lifecycle._drain = drain
    await runtime.lifecycle.startup()
    await runtime.lifecycle.shutdown()
    assert runtime.notes == ["start", "stop"]
    assert [r.levelno for r in caplog.records] == [logging.WARNING]


async def test_a_failing_stop_is_raised_by_the_lifespan(runtime: Runtime) -> None:
    runtime.stop_failure = ValueError("left open")
    await runtime.lifecycle.startup()
    with pytest.raises(ValueError, match="left open"):
        await runtime.lifecycle.shutdown()
    assert runtime.lifecycle.state == "stopped"


async def test_a_failing_stop_is_logged_elsewhere(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    runtime.stop_failure = ValueError("left open")
    await runtime.lifecycle.ensure_ready()
    await runtime.lifecycle.aclose()
    await runtime.lifecycle.aclose()
    assert [str(r.exc_info[1]) for r in caplog.records if r.exc_info] == ["left open"]


async def test_a_failing_drain_does_not_keep_from_the_stop(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    async def drain() -> None:
        raise ValueError("confused")

    runtime.lifecycle._drain = drain
    await runtime.lifecycle.ensure_ready()
    await runtime.lifecycle.aclose()
    assert runtime.notes == ["start", "stop"]
    assert [str(r.exc_info[1]) for r in caplog.records if r.exc_info] == ["confused"]


async def test_several_stops_are_one(runtime: Runtime) -> None:
    release = threading.Event()

    async def drain() -> None:
        runtime.notes.append("drain")
        await opened(release)

    runtime.lifecycle._drain = drain
    await runtime.lifecycle.ensure_ready()
    stops = [asyncio.create_task(runtime.lifecycle.aclose()) for _ in range(5)]
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(*stops)
    assert runtime.notes == ["start", "drain", "stop"]
    assert len(set(runtime.loops)) == 1


async def test_a_stop_lets_a_start_end_so_that_it_can_be_cleaned_up(runtime: Runtime) -> None:
    gate = runtime.hold()
    request = asyncio.create_task(runtime.lifecycle.ensure_ready())
    await asyncio.to_thread(runtime.entered.wait)
    stopping = asyncio.create_task(runtime.lifecycle.aclose())
    await asyncio.sleep(0)
    assert runtime.lifecycle.state == "draining"
    gate.set()
    await asyncio.gather(stopping, request)
    assert runtime.notes == ["start", "drain", "stop"]


async def test_a_stop_cancels_a_start_that_takes_too_long() -> None:
    runtime = Runtime(cleanup_timeout=0.0)
    runtime.lifecycle._settings = Settings(cleanup_timeout=0.05, lazy_wait=30.0)
    runtime.hold()
    request = asyncio.create_task(runtime.lifecycle.ensure_ready())
    await asyncio.to_thread(runtime.entered.wait)
    await runtime.lifecycle.aclose()
    assert isinstance(runtime.lifecycle.error, asyncio.CancelledError)
    assert runtime.notes == ["start"]
    with pytest.raises(UnavailableError):
        await request


async def test_closing_what_never_started_changes_nothing(runtime: Runtime) -> None:
    await runtime.lifecycle.aclose()
    assert runtime.lifecycle.state == "new"
    assert runtime.notes == []


def test_close_gives_up_on_a_home_loop_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    runtime, blocked, release = Runtime(cleanup_timeout=0.0), threading.Event(), threading.Event()

    async def block() -> None:
        blocked.set()
        release.wait()

    caller = threading.Thread(target=runtime.lifecycle.call_sync, args=[block])
    caller.start()
    blocked.wait()
    runtime.lifecycle.close()
    assert [str(r.exc_info[1]) for r in caplog.records if r.exc_info] == ["the home loop does not answer"]
    release.set()
    caller.join()
    runtime.lifecycle.close()
    assert runtime.lifecycle.state == "stopped"


async def test_a_stop_that_is_cancelled_still_stops(runtime: Runtime) -> None:
    await runtime.lifecycle.startup()
    draining = asyncio.Event()

    async def drain() -> None:
        draining.set()
        await asyncio.Event().wait()

    runtime.lifecycle._drain = drain
    stopping = asyncio.create_task(runtime.lifecycle.shutdown())
    await draining.wait()
    for task in asyncio.all_tasks() - {asyncio.current_task(), stopping}:
        task.cancel()  # as the end of the host's loop does
    await stopping
    assert runtime.notes == ["start", "stop"]


async def test_close_refuses_to_block_the_home_loop(runtime: Runtime) -> None:
    await runtime.lifecycle.startup()
    with pytest.raises(HomeLoopError, match="aclose"):
        runtime.lifecycle.close()
    await runtime.lifecycle.shutdown()


def test_a_home_loop_that_was_closed_without_a_word_is_replaced(runtime: Runtime) -> None:
    asyncio.run(runtime.lifecycle.startup())
    asyncio.run(runtime.lifecycle.ensure_ready())
    assert runtime.notes == ["start", "drain", "stop", "start"]
    assert runtime.lifecycle.call_sync(current_loop) is runtime.lifecycle.home is runtime.loops[-1]


def test_a_thread_replaces_a_closed_home_loop_too(runtime: Runtime) -> None:
    asyncio.run(runtime.lifecycle.startup())
    assert runtime.lifecycle.call_sync(current_loop) is runtime.lifecycle.home
    assert runtime.notes == ["start", "drain", "stop", "start"]


async def call_from_a_thread_with_a_loop(runtime: Runtime) -> None:
    assert runtime.lifecycle.call_sync(current_loop) is runtime.lifecycle.home


def test_a_thread_that_runs_a_loop_replaces_a_closed_home_loop_too(runtime: Runtime) -> None:
    asyncio.run(runtime.lifecycle.startup())
    asyncio.run(call_from_a_thread_with_a_loop(runtime))
    assert runtime.notes == ["start", "drain", "stop", "start"]


def test_nobody_waits_for_a_home_loop_that_stands_still(runtime: Runtime) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(runtime.lifecycle.startup())
    with pytest.raises(HomeLoopError, match="stands still"):
        runtime.lifecycle.call_sync(current_loop)
    with pytest.raises(HomeLoopError, match="stands still"):
        runtime.lifecycle.serving_loop()
    with pytest.raises(HomeLoopError, match="stands still"):
        asyncio.run(runtime.lifecycle.call(current_loop))
    assert loop.run_until_complete(runtime.lifecycle.call(current_loop)) is loop
    loop.run_until_complete(runtime.lifecycle.shutdown())
    loop.close()


def test_a_lifespan_replaces_a_closed_home_loop_too(runtime: Runtime) -> None:
    asyncio.run(runtime.lifecycle.startup())

    async def lifespan() -> None:
        await runtime.lifecycle.startup()
        assert runtime.lifecycle.home is asyncio.get_running_loop()
        await runtime.lifecycle.shutdown()

    asyncio.run(lifespan())
    assert runtime.notes == ["start", "drain", "stop"] * 2


def test_close_from_a_thread_stops_on_the_home_loop_or_without_it(runtime: Runtime) -> None:
    asyncio.run(runtime.lifecycle.ensure_ready())
    runtime.lifecycle.close()
    assert runtime.loops[0] is runtime.loops[1]
    asyncio.run(runtime.lifecycle.startup())
    runtime.lifecycle.close()
    assert runtime.loops[2] is not runtime.loops[3]
    assert runtime.notes == ["start", "drain", "stop"] * 2


# --------------------------------------------------------------------------------------------- call


@pytest.fixture
async def elsewhere(runtime: Runtime) -> AsyncIterator[Runtime]:
    """A runtime whose home is another loop than the test's."""
    await runtime.lifecycle.ensure_ready()
    yield runtime
    await runtime.lifecycle.aclose()


async def test_a_call_starts_what_nobody_started(runtime: Runtime) -> None:
    assert await runtime.lifecycle.call(current_loop) is runtime.lifecycle.home


async def test_a_call_on_the_home_loop_stays_in_its_task(runtime: Runtime) -> None:
    await runtime.lifecycle.startup()

    async def task() -> asyncio.Task[None] | None:
        return asyncio.current_task()

    assert await runtime.lifecycle.call(task) is asyncio.current_task()
    await runtime.lifecycle.shutdown()


async def test_a_call_from_elsewhere_carries_context_and_exceptions(elsewhere: Runtime) -> None:
    user = contextvars.ContextVar[str]("user")
    user.set("ada")
    failure = KeyError("intact")

    async def work() -> str:
        assert asyncio.get_running_loop() is elsewhere.lifecycle.home
        return user.get()

    async def fail() -> None:
        raise failure

    assert await elsewhere.lifecycle.call(work) == "ada"
    with pytest.raises(KeyError) as raised:
        await elsewhere.lifecycle.call(fail)
    assert raised.value is failure


async def test_a_cancelled_caller_cancels_the_call_and_goes_on_when_it_has_ended(elsewhere: Runtime) -> None:
    running, notes = threading.Event(), []

    async def work() -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            notes.append("cleaned up")

    caller = asyncio.create_task(elsewhere.lifecycle.call(work))
    await asyncio.to_thread(running.wait)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert notes == ["cleaned up"]


async def test_a_call_may_answer_its_cancellation(elsewhere: Runtime) -> None:
    running = threading.Event()

    async def work() -> str:
        running.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "partial"
        return "complete"

    caller = asyncio.create_task(elsewhere.lifecycle.call(work))
    await asyncio.to_thread(running.wait)
    caller.cancel()
    assert await caller == "partial"


async def test_a_call_that_is_cancelled_at_home_ends_its_caller(elsewhere: Runtime) -> None:
    async def work() -> None:
        task = asyncio.current_task()
        assert task
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await elsewhere.lifecycle.call(work)


async def test_the_end_of_the_home_loop_ends_the_calls_on_it(runtime: Runtime) -> None:
    running = threading.Event()

    async def work() -> None:
        running.set()
        await asyncio.Event().wait()

    await runtime.lifecycle.ensure_ready()
    caller = asyncio.create_task(runtime.lifecycle.call(work))
    await asyncio.to_thread(running.wait)
    await runtime.lifecycle.aclose()
    with pytest.raises(asyncio.CancelledError):
        await caller


def test_a_thread_calls_and_gets_results_and_exceptions(runtime: Runtime) -> None:
    async def fail() -> None:
        raise KeyError("intact")

    async def cancel() -> None:
        raise asyncio.CancelledError

    assert runtime.lifecycle.call_sync(current_loop) is runtime.lifecycle.home
    with pytest.raises(KeyError, match="intact"):
        runtime.lifecycle.call_sync(fail)
    with pytest.raises(concurrent.futures.CancelledError):
        runtime.lifecycle.call_sync(cancel)


def test_an_exit_in_a_call_ends_the_loop_and_a_new_one_is_started(runtime: Runtime) -> None:
    async def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        runtime.lifecycle.call_sync(leave)
    runtime.lifecycle._own.ended.result()  # type: ignore[union-attr]  # it is what ends
    assert runtime.lifecycle.call_sync(current_loop) is runtime.lifecycle.home
    assert runtime.notes == ["start", "drain", "stop", "start"]


def test_a_thread_that_cannot_start_is_a_shutdown(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(UnavailableError) as raised:
        runtime.lifecycle.call_sync(current_loop)
    assert raised.value.detail_code == "draining"


def test_a_thread_is_told_of_a_failed_or_slow_start() -> None:
    runtime = Runtime(lazy_wait=0.0)
    gate = runtime.hold()
    with pytest.raises(UnavailableError) as raised:
        runtime.lifecycle.call_sync(current_loop)
    assert raised.value.detail_code == "starting"
    runtime.failures = [ValueError()]
    runtime.lifecycle._settings = Settings(lazy_wait=30.0)
    gate.set()
    with pytest.raises(UnavailableError) as raised:
        runtime.lifecycle.call_sync(current_loop)
    assert raised.value.detail_code == "start-failed"
    runtime.lifecycle.close()


async def test_a_blocking_call_on_the_home_loop_names_the_way_out(runtime: Runtime) -> None:
    await runtime.lifecycle.startup()
    with pytest.raises(HomeLoopError, match=r"await pipelines\.run"):
        runtime.lifecycle.call_sync(current_loop)
    await runtime.lifecycle.shutdown()


async def test_a_blocking_call_on_another_loop_works(elsewhere: Runtime) -> None:
    assert elsewhere.lifecycle.call_sync(current_loop) is elsewhere.lifecycle.home


async def test_two_lifecycles_share_nothing() -> None:
    one, other = Runtime(), Runtime()
    await one.lifecycle.ensure_ready()
    await other.lifecycle.ensure_ready()
    assert one.lifecycle.home is not other.lifecycle.home
    await one.lifecycle.aclose()
    assert other.lifecycle.ready
    await other.lifecycle.aclose()
