"""Pipelines of an app in the team's own code: from any loop and any thread, in views, commands, scripts and tests.

There is one way through, and it is async: take a place, run on the home loop, give the place back. The sync forms wait
for it in their thread, which lends itself to the steps that want the thread that asked. One short cut: where all steps
are plain functions in a row, a sync call performs them in place.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import closing, suppress
from contextvars import Context, copy_context
from os import getpid
from queue import Empty
from time import monotonic
from typing import Any, Protocol, TypeVar

from .adapters.protocol import overrides_of
from .asked import Asked
from .errors import ConfigurationError, DeadlineExceededError, RunCancelledError, StepFailedError, UnavailableError
from .inprocess import RunResult, as_result, told
from .jobs.desk import Jobs
from .jobs.models import Job
from .pipelines.steps import KEEP
from .runtime import loops
from .runtime.acting import UserProvider, acting_principal, as_principal
from .runtime.admission import OWN, Admission
from .runtime.call import Call
from .runtime.context import current_call
from .runtime.events import Event, Listener
from .runtime.failures import is_signal
from .runtime.guard import guard
from .runtime.lending import REQUEST_THREAD, InlineThread, RequestThread, WaitingThread, drive
from .runtime.lifecycle import Lifecycle
from .runtime.threads import standing_aside
from .service import Service
from .settings import Settings
from .terms import PLAIN, Terms

__all__ = ["App", "Caller", "LentThread", "Terms", "stopped", "told_in_thread"]

T = TypeVar("T")

OF_JOBS = "queue, priority, delay, max_attempts, expires and idempotency_key"


class App(Protocol):
    """What a ``Caller`` needs of the app whose pipelines it calls."""

    settings: Settings
    services: dict[str, Service]
    lifecycle: Lifecycle
    admission: Admission
    users: list[UserProvider]
    jobs: Jobs


class Caller:
    """Calls the pipelines of an app on the terms given.

    Args:
        app: The app.
        terms: For each call.
    """

    def __init__(self, app: App, terms: Terms | None = None) -> None:
        self._app, self._terms = app, terms or PLAIN

    async def run(self, pipeline: str | None = None, /, **inputs: Any) -> RunResult:
        """See ``PipelineApp.run``."""
        return await self._perform(self._ask(pipeline, inputs))

    def stream(self, pipeline: str | None = None, /, **inputs: Any) -> AsyncGenerator[Event, None]:
        """See ``PipelineApp.stream``."""
        asked = self._ask(pipeline, inputs)
        return told(lambda feed: self._perform(asked, feed))

    def run_sync(self, pipeline: str | None = None, /, **inputs: Any) -> RunResult:
        """See ``PipelineApp.run_sync``."""
        asked = self._ask(pipeline, inputs)
        try:
            found = self._in_place(asked)
            return self._waited(asked) if found is None else found
        except StepFailedError as error:
            _pass_interrupt(error)
            raise

    def stream_sync(self, pipeline: str | None = None, /, **inputs: Any) -> Generator[Event, None, None]:
        """See ``PipelineApp.stream_sync``."""
        asked = self._ask(pipeline, inputs)
        return told_in_thread(
            lambda: self._app.lifecycle.home_for_thread(self._patience(asked)),
            lambda: told(lambda feed: self._perform(asked, feed)),
        )

    async def submit(self, pipeline: str | None = None, /, **inputs: Any) -> Job:
        """See ``PipelineApp.submit``."""
        asked = self._ask(pipeline, inputs, of_a_job=True)
        app, request = self._app, asked.request()
        await app.lifecycle.ensure_ready(self._patience(asked))
        return (await app.lifecycle.call(lambda: app.jobs.submit(request))).job

    def submit_sync(self, pipeline: str | None = None, /, **inputs: Any) -> Job:
        """See ``PipelineApp.submit_sync``."""
        asked = self._ask(pipeline, inputs, of_a_job=True)
        app, request = self._app, asked.request()
        home = app.lifecycle.home_for_thread(self._patience(asked))
        return loops.call_from_thread(home, lambda: app.jobs.submit(request)).job

    # -------------------------------------------------------------------------------------- asking

    def _ask(self, name: str | None, inputs: Mapping[str, Any], *, of_a_job: bool = False) -> Asked:
        """In the thread, and under the context variables, of whoever calls."""
        app, terms = self._app, self._terms
        if terms.of_a_job and not of_a_job:
            raise ConfigurationError(f"{OF_JOBS} are for jobs: calling(…).submit(…)")
        service = _service(app.services, name)
        timeout = terms.timeout or app.settings.request_timeout
        until = monotonic() + timeout
        outer = current_call()
        around = outer is not None and not outer.completed  # else the run has left this code behind
        if outer is not None and around:
            _refuse_cancelled(outer)
            if outer.deadline is not None and outer.deadline < until:
                timeout, until = outer.timeout or timeout, outer.deadline
        return Asked(
            service=service,
            inputs=service.compiled.input.validate(inputs),
            overrides=_validated_steps(service, terms.steps),
            terms=terms,
            timeout=timeout,
            until=until,
            principal=acting_principal(app.users) if terms.principal is KEEP else as_principal(terms.principal, "host"),
            trace=None if outer is None else outer.trace,
            places=outer.places if outer is not None and around else (),
            outer=outer if around else None,
        )

    def _patience(self, asked: Asked) -> float:
        """How long a start is waited for: with nobody in front of a browser, as long as a server would."""
        return min(self._app.settings.startup_budget, asked.left())

    # ---------------------------------------------------------------------------------- performing

    async def _perform(self, asked: Asked, *listeners: Listener) -> RunResult:
        """Take a place, run, and give it back; a run within a run has one: were each to wait for its own, all might."""
        app = self._app
        await app.lifecycle.ensure_ready(self._patience(asked))
        if asked.placed:
            return await self._at_home(asked, asked.call(), listeners)
        await self._enter(asked)
        began = monotonic()
        call: Call | None = None
        try:
            call = asked.call()
            return await self._at_home(asked, call, listeners)
        finally:
            _leave(asked, call, began)

    async def _enter(self, asked: Asked) -> None:
        """Take a place: wait for one, or raise, as the terms say."""
        admission, pipeline, who = self._app.admission, asked.service.name, asked.principal or OWN
        if asked.terms.wait:
            await guard(admission.enter(pipeline, who, asked.left()), asked.timeout, deadline=asked.until)
        elif not admission.try_enter(pipeline, who):
            raise admission.refusal(pipeline, who)

    async def _at_home(self, asked: Asked, call: Call, listeners: Sequence[Listener]) -> RunResult:
        compiled = asked.service.layers.top.compiled
        try:
            sealed = await self._app.lifecycle.call(lambda: asked.service.invoke(call, listeners=listeners))
        except asyncio.CancelledError as error:
            raise stopped(error) from None
        return as_result(compiled, call, sealed)

    def _waited(self, asked: Asked) -> RunResult:
        """The run, on the home loop, waited for in this thread."""
        home = self._app.lifecycle.home_for_thread(self._patience(asked))
        with closing(LentThread()) as lent:
            return lent.call(home, lambda: self._perform(asked))

    def _in_place(self, asked: Asked) -> RunResult | None:
        """The run, driven in this thread; ``None`` where it takes a loop, or a deadline of its own to be watched."""
        app, service = self._app, asked.service
        if not self._is_ready(service) or asked.terms.timeout is not None or not _is_ours(REQUEST_THREAD.get()):
            return None
        who = asked.principal or OWN
        if loops.running_loop() is not None or not (asked.placed or app.admission.try_enter(service.name, who)):
            return None
        began = monotonic()
        token = REQUEST_THREAD.set(_INLINE)
        try:
            if not self._is_ready(service):  # it was stopped before we had a place, for which a stop waits
                return None
            call, compiled = asked.call(), service.layers.top.compiled
            return as_result(compiled, call, drive(service.invoke(call)))
        finally:
            REQUEST_THREAD.reset(token)
            if not asked.placed:
                _leave(asked, None, began)

    def _is_ready(self, service: Service) -> bool:
        lifecycle = self._app.lifecycle
        return service.inline and lifecycle.ready and lifecycle.pid == getpid()


def _leave(asked: Asked, call: Call | None, began: float) -> None:
    """Give the place back, when what still runs in threads has returned."""
    service, who = asked.service, asked.principal or OWN
    service.admission.leave_behind(None if call is None else call.stragglers, began, service.name, who)


_INLINE = InlineThread()


def _service(services: Mapping[str, Service], name: str | None) -> Service:
    if name is None and len(services) == 1:
        return next(iter(services.values()))
    known = ", ".join(services)
    if name is None:
        raise ConfigurationError(f"the app has several pipelines; say which to run, of: {known}")
    if name not in services:
        raise ConfigurationError(f"no pipeline named {name!r}; the app has: {known}")
    return services[name]


def _validated_steps(service: Service, steps: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if not steps:
        return None
    if (schema := overrides_of(service.compiled)) is None:
        raise ConfigurationError(f"steps={dict(steps)!r}: the pipeline {service.name!r} takes nothing for single steps")
    found: Mapping[str, Any] = schema.validate(steps)
    return found


def _refuse_cancelled(outer: Call) -> None:
    if outer.deadline is not None and monotonic() > outer.deadline:
        raise DeadlineExceededError(timeout=outer.timeout or 0)
    if outer.cancelled:
        raise RunCancelledError("the run that this step belongs to was cancelled; it can ask for no other")


def stopped(error: asyncio.CancelledError) -> UnavailableError:
    """What a caller is told whose run ended with the home loop. Raises ``error`` if it is the caller's own."""
    if is_signal(error):
        raise error
    return loops.gone()


def _pass_interrupt(error: StepFailedError) -> None:
    """Ctrl-C while this thread performed a step is the program's, not the step's."""
    if isinstance(error.cause, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        raise error.cause


# ----------------------------------------------------------------------------------- the thread that waits


class LentThread:
    """This thread while it waits for calls on the home loop: what asks for the thread that asked is performed here."""

    def __init__(self) -> None:
        self._thread = WaitingThread()
        self._context = copy_context()
        if _is_ours(self._context.get(REQUEST_THREAD)):
            self._context.run(REQUEST_THREAD.set, self._thread)

    def close(self) -> None:
        """The thread goes on: what is still to be performed in it fails."""
        self._thread.close()

    def call(self, home: loops.Loop, function: Callable[[], Awaitable[T]]) -> T:
        """Await ``function()`` on ``home``, and wait for it here. Raises ``UnavailableError`` when the loop ends."""
        try:
            with standing_aside():
                found: T = self._context.run(loops.call_from_thread, home, function, self._wait)
                return found
        except CancelledError:
            raise loops.gone() from None

    def _wait(self, home: loops.Loop, answer: Future[Any]) -> Any:
        answer.add_done_callback(self._thread.put)
        while not answer.done():
            with suppress(Empty):
                self._thread.get(loops.LOOK)
            if loops.has_ended(home) and not answer.done():  # it ended before it came to the call
                raise loops.gone()
        return answer.result()


def _is_ours(asked: RequestThread | None) -> bool:
    """Whether a run that this thread asks for has no other thread to turn to: none asked, or it is this one."""
    return asked is None or asked.is_here


def told_in_thread(
    find_home: Callable[[], loops.Loop], begin: Callable[[], AsyncGenerator[Event, None]]
) -> Generator[Event, None, None]:
    """The events of a stream that lives on the home loop; each ``next`` waits for one. Closing it cancels the run."""
    lent = LentThread()

    def events() -> Generator[Event, None, None]:
        home = find_home()
        stream = begin()
        try:
            while (event := lent.call(home, lambda: anext(stream, None))) is not None:
                yield event
        except StepFailedError as error:
            _pass_interrupt(error)
            raise
        except GeneratorExit:
            _end(home, stream, lent)
            raise
        finally:
            lent.close()

    return events()


def _end(home: loops.Loop, stream: AsyncGenerator[Event, None], lent: LentThread) -> None:
    if home.is_closed():
        return
    if loops.running_loop() is home:  # a generator that is collected is closed wherever that happens
        loops.spawn(home, stream.aclose, Context())
    else:
        lent.call(home, stream.aclose)
