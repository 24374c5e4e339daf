"""Start and stop of a runtime: once per process, in every host.

A *start* is asked for by a lifespan (``startup``) or by the first request (``ensure_ready``); whoever asks while one is
under way waits for that one, and nobody who gives up waiting cancels it. Where the start runs is the *home loop*: the
host's, if a lifespan started it, so that what the host opened on its loop can be used; otherwise a loop thread of our
own. All that the runtime does happens on its home loop; ``call`` and ``call_sync`` bring work there.

A *stop* comes from the last lifespan that ends, from the server's own shutdown where it can be reached, or from the
exit of the process, whichever is first; the others find nothing left to do. After a stop a new start may follow.

Nothing is shared between two ``Lifecycle`` objects. No thread starts at import, at construction or before a fork; a
forked child starts afresh (``os.register_at_fork``, and the process id at each entry for servers that skip that hook).
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Future, wait
from contextvars import Context, copy_context
from functools import partial
from typing import TypeAlias, TypeVar

from ..errors import UnavailableError
from ..settings import Settings
from . import draining, loops, shutdown
from .backoff import Backoff
from .draining import Draining
from .home import Home, State, shutting_down
from .loops import Loop, LoopThread, new_outcome, spawn

__all__ = ["Lifecycle", "State"]

T = TypeVar("T")
Outcome: TypeAlias = "Future[BaseException | None]"
"""What a start or a stop raised, or None; done when it has ended."""

AWAIT = "use the awaitable form there, e.g. `await pipelines.run(…)`"

logger = logging.getLogger("pipemount")


class Lifecycle(Home):
    """Starts, stops and locates one runtime.

    Args:
        start: Run on the home loop, one at a time. If it raises or is cancelled, it has undone what it did.
        stop: Run on the home loop, exactly once for each ``start`` that returned.
        drain: Awaited before ``stop``, at most ``cleanup_timeout`` seconds; returns when nothing runs any more.
        settings: ``startup_budget``, ``lazy_wait``, ``cleanup_timeout`` and ``max_stream_age`` are read.
        name: For logs and the thread's name.
        clock: Seconds; tells when a failed start may be tried again.

    Attributes:
        ready: Whether requests can be served. With ``pid`` it makes the check of the hot path:
            ``lifecycle.ready and lifecycle.pid == os.getpid()``, else ``await lifecycle.ensure_ready()``.
        error: What the last start raised.
        since: When it became ready, in seconds since the epoch; ``None`` where it is not up.
    """

    def __init__(
        self,
        *,
        start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
        drain: Callable[[], Awaitable[None]],
        settings: Settings,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start, self._stop, self._drain = start, stop, drain
        self._settings, self._clock = settings, clock
        super().__init__(name)

    def forget(self) -> None:
        """Begins from nothing, as in a forked child: what the parent process started is the parent's."""
        super().forget()
        self._draining = Draining()
        self._backoff = Backoff(self._clock)
        self._starting: Outcome = new_outcome()
        self._start_task: asyncio.Task[None] | None = None
        self._stopping: Outcome | None = None
        self._to_stop = False
        self.ready = False
        self.since: float | None = None
        self.error: BaseException | None = None

    # ---------------------------------------------------------------------------------- requests

    async def ensure_ready(self, within: float | None = None) -> None:
        """Returns when the runtime is ready, starting it if nobody did. On any loop.

        Args:
            within: Seconds that are waited for a start, instead of ``lazy_wait``.

        Raises:
            UnavailableError: Its ``detail_code`` is ``starting``, ``start-failed`` or ``draining``.
        """
        if self._home_is_lost():
            await self.aclose()
        starting = self._start_lazily()
        try:
            error = await loops.result_within(starting, self._settings.lazy_wait if within is None else within)
        except TimeoutError:
            raise _still_starting() from None
        if error is not None:
            raise self._start_failed() from error

    async def answer_probe(self) -> None:
        """As ``ensure_ready``, for readiness: not ready, either, when the process was told to stop.

        Requests are answered for as long as the server lets them in; those who balance load go elsewhere.
        """
        if self.draining:
            raise shutting_down()
        await self.ensure_ready()

    async def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Awaits ``function()`` on the home loop: in place if we are there, else handed over (about 0.1 ms).

        Starts the runtime if nobody did. Context variables are carried along, changes to them are not carried back. A
        cancelled caller cancels the call, and goes on when that has ended.

        Raises:
            UnavailableError: As ``ensure_ready``.
        """
        home = self._reachable_home()
        while home is None:
            await self.ensure_ready()
            home = self._reachable_home()
        if home is asyncio.get_running_loop():
            return await function()
        return await loops.call_from_loop(home, function)

    def call_sync(self, function: Callable[[], Awaitable[T]]) -> T:
        """As ``call``, from a thread that waits for the result.

        Raises:
            HomeLoopError: This thread runs the home loop: waiting would stop what is waited for.
            UnavailableError: As ``ensure_ready``.
        """
        return loops.call_from_thread(self.home_for_thread(), function)

    def home_for_thread(self, within: float | None = None) -> Loop:
        """The home loop, once it takes calls from this thread, which waits for that; as ``ensure_ready``.

        Raises:
            HomeLoopError: This thread runs the home loop: waiting would stop what is waited for.
            UnavailableError: As ``ensure_ready``.
        """
        self._refuse_on_home(AWAIT)
        home = self._reachable_home()
        while home is None:
            self._ensure_ready_sync(self._settings.lazy_wait if within is None else within)
            home = self._reachable_home()
        return home

    # --------------------------------------------------------------------------------- lifespans

    async def startup(self) -> None:
        """A lifespan begins on the running loop; the first one starts the runtime here.

        Waits at most ``startup_budget`` seconds, then returns while the start goes on in state ``starting``. A runtime
        that a request has started before stays where it is.

        Raises:
            BaseException: What the start raised within the budget; this lifespan does not count then.
        """
        loop = asyncio.get_running_loop()
        starting = await self._enter(loop)
        try:
            error = await loops.result_within(starting, self._settings.startup_budget)
        except TimeoutError:
            logger.warning("%s: on_init still runs; requests are answered 503 until it is done", self._name)
            return
        except asyncio.CancelledError:
            self._leave(loop)
            raise
        finally:
            with self._lock:
                self._lifespans.waiting -= 1
        if error is not None:
            self._leave(loop)
            raise error

    async def shutdown(self) -> None:
        """A lifespan ends on the running loop; the last one stops the runtime.

        So does the last one on the home loop, which will not live longer. One call too many is ignored.

        Raises:
            BaseException: What the stop raised.
        """
        if self._leave(asyncio.get_running_loop()) and (error := await self._stopped()) is not None:
            raise error

    # -------------------------------------------------------------------------------------- ends

    @property
    def draining(self) -> bool:
        """Whether the runtime stops, or its process was told to."""
        return self._draining.told or draining.server_stops()

    async def until_draining(self) -> None:
        """Returns when ``draining`` holds, on any loop: open streams end then, as servers wait for them."""
        self._check_process()
        await self._draining.wait()

    def ticks(self, seconds: float) -> AsyncGenerator[int, None]:
        """Counts from 0, one more every ``seconds``, until ``draining`` holds or ``max_stream_age`` is reached."""
        self._check_process()
        return self._draining.ticks(seconds, self._settings.max_stream_age)

    async def aclose(self) -> None:
        """Stops the runtime, whatever lifespans are open; a stop that fails is logged."""
        self._log_stop(await self._stopped())

    def close(self) -> None:
        """As ``aclose``, from a thread that waits: an exit hook, a signal handler, a test.

        Raises:
            HomeLoopError: This thread runs the home loop.
        """
        self._refuse_on_home("use `await lifecycle.aclose()` there")
        stopping = self._begin_stop()
        wait([stopping], 3 * self._settings.cleanup_timeout + 1)
        self._log_stop(stopping.result() if stopping.done() else TimeoutError("the home loop does not answer"))

    # ------------------------------------------------------------------------------------- start

    def _start_lazily(self) -> Outcome:
        self._check_process()
        with self._lock:
            if self.state == "draining" or shutdown.exiting():
                raise shutting_down()
            if (current := self._current_start()) is not None:
                return current
            if self.state == "failed" and self._backoff.wait > 0:
                raise self._start_failed()
            return self._launch(self._lifespans.running(), Context())  # not the request's: it would be kept alive

    async def _enter(self, loop: Loop) -> Outcome:
        """Counts a lifespan in when no stop is under way; the start that it waits for."""
        self._check_process()
        if self._home_is_lost():
            await self.aclose()
        while True:
            with self._lock:
                if (stopping := self._stopping) is None:
                    self._lifespans.enter(loop)
                    return self._current_start() or self._launch(loop, copy_context())
            await asyncio.wrap_future(stopping)

    def _current_start(self) -> Outcome | None:
        return self._starting if self.state in ("starting", "ready") else None

    def _launch(self, loop: Loop | None, context: Context) -> Outcome:
        """Begins a start, with the lock held, on ``loop`` or on a loop thread of our own."""
        home = self._own_loop() if loop is None else loop
        if home is loop:
            self._end_own_loop()
        self.state, self.home, self.error = "starting", home, None
        self._starting = new_outcome()
        self._draining.begin()
        draining.observe()
        shutdown.remember(self)
        spawn(home, self._run_start, context)
        return self._starting

    async def _run_start(self) -> None:
        self._start_task = asyncio.current_task()
        error = await loops.failure_within(self._start, None)
        with self._lock:
            self.error, self._to_stop = error, error is None
            if self.state == "starting":
                self._settle_start(error)
            raised = self._lifespans.waiting > 0 or isinstance(error, asyncio.CancelledError)
        if error is not None and not raised:  # nobody else tells the cause
            logger.error("%s: on_init failed; requests are answered 503", self._name, exc_info=error)
        self._starting.set_result(error)

    def _settle_start(self, error: BaseException | None) -> None:
        if error is None:
            self.state, self.ready, self.since = "ready", True, time.time()
            self._backoff.succeeded()
        else:
            self.state, self.home = "failed", None
            self._backoff.failed()

    def _ensure_ready_sync(self, within: float) -> None:
        if self._home_is_lost():
            self.close()
        starting = self._start_lazily()
        self._refuse_on_home(AWAIT)  # where the host's lifespan is open, the start is made on its loop
        try:
            error = starting.result(timeout=within)
        except TimeoutError:
            raise _still_starting() from None
        if error is not None:
            raise self._start_failed() from error

    def _start_failed(self) -> UnavailableError:
        pause = max(1, math.ceil(self._backoff.wait))
        detail = f"on_init failed, the log tells why; the next attempt is made in {pause} s"
        return UnavailableError(detail, retry_after=pause, code="start-failed")

    # -------------------------------------------------------------------------------------- stop

    def _leave(self, loop: Loop) -> bool:
        """Counts a lifespan out; whether it was the last that held the runtime up."""
        with self._lock:
            return self._lifespans.leave(loop, self.home)

    async def _stopped(self) -> BaseException | None:
        in_place = self.home is None or self._runs(self.home)
        stopping = self._begin_stop() if in_place else await asyncio.to_thread(self._begin_stop)
        return await asyncio.wrap_future(stopping)

    def _begin_stop(self) -> Outcome:
        """The stop that is under way, begun here if nobody did; with a dead home loop it is done in this thread."""
        self._check_process()
        self._draining.tell()
        with self._lock:
            if self._stopping is not None:
                return self._stopping
            if (home := self.home) is None:
                own = self._settle_stop()
                return own.ended if own else _DONE
            self._stopping = stopping = new_outcome()
            self.state, self.ready = "draining", False
        if self._runs(home):
            spawn(home, partial(self._run_stop, stopping), Context())
        else:
            loops.run_apart(partial(self._run_stop, stopping))
        return stopping

    async def _run_stop(self, stopping: Outcome) -> None:
        self.home = asyncio.get_running_loop()
        error = await loops.failure_within(self._finish_start, None)
        if self._to_stop:
            error = await self._drain_and_stop()
        self._stop_ended(stopping, error)

    async def _drain_and_stop(self) -> BaseException | None:
        self._to_stop = False
        patience = self._settings.cleanup_timeout
        if (late := await loops.failure_within(self._drain, patience)) is not None:
            why = None if isinstance(late, TimeoutError) else late
            logger.warning("%s: what still runs after %g s is waited for no more", self._name, patience, exc_info=why)
        return await loops.failure_within(self._stop, patience)

    async def _finish_start(self) -> None:
        """Lets a start end, as only what has started can be cleaned up; cancels it when that takes long."""
        task = self._start_task
        if task is None or task.get_loop() is not self.home:
            return
        _, pending = await asyncio.wait({task}, timeout=self._settings.cleanup_timeout)
        if pending:
            task.cancel()
            await asyncio.wait({task}, timeout=self._settings.cleanup_timeout)

    def _stop_ended(self, stopping: Outcome, error: BaseException | None) -> None:
        with self._lock:
            own = self._settle_stop()
        (own.ended if own else _DONE).add_done_callback(lambda _: stopping.set_result(error))

    def _settle_stop(self) -> LoopThread | None:
        """Leaves nothing behind, with the lock held; the loop thread that is about to end."""
        self.state, self.since = "new" if self.state == "new" else "stopped", None
        self.home, self._start_task, self._stopping = None, None, None
        self._lifespans.drop_closed()
        if shutdown.forget(self):
            draining.release()
        return self._end_own_loop()

    def _log_stop(self, error: BaseException | None) -> None:
        if error is not None:
            logger.error("%s: on_cleanup failed", self._name, exc_info=error)


def _still_starting() -> UnavailableError:
    return UnavailableError("on_init still runs; try again in a moment", code="starting")


_DONE: Outcome = Future()
_DONE.set_result(None)
