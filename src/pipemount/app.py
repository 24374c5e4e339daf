"""``PipelineApp``: the application with the line that each host's users write."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .bridge import Dispatcher, WSGIBridge
from .caller import Caller, Terms
from .http.application import Application
from .overriding import Override
from .pipelines.replacing import StepKey
from .pipelines.steps import KEEP

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    import httpx
    from fastapi import APIRouter

    from .inprocess import RunResult
    from .runtime.events import Event

__all__ = ["PipelineApp"]


class PipelineApp(Application):
    """Pipelines as one object that an application already there can take in.

    ::

        pipelines = PipelineApp(weather, auth=AuthKeys.from_env("PIPELINE_KEYS"))

        app.mount("/ai", pipelines)                                     # Starlette, FastAPI
        app.include_router(pipelines.router(), prefix="/ai")            # FastAPI, with its own login
        app.add_middleware(PipelineMiddleware, pipelines=pipelines, path="/ai")
        app = pipelines.wrap(app, "/ai")                                # any ASGI application
        app = pipelines.wrap_wsgi(app, "/ai")                           # any WSGI application

    See ``Application`` for the arguments and for what it answers.
    """

    def router(self, *, principal: Any = None, **options: Any) -> APIRouter:
        """The routes as a FastAPI router, so that the host's dependencies, login and OpenAPI document hold.

        Args:
            principal: A FastAPI dependency whose value is handed to steps as ``context.principal``.
            **options: As for ``fastapi.APIRouter``.
        """
        from .fastapi import router

        return router(self, principal=principal, **options)

    @cached_property
    def wsgi(self) -> WSGIBridge:
        """The same answers as a WSGI callable, to mount or dispatch to."""
        return WSGIBridge(self)

    def wrap_wsgi(self, app: WSGIApplication, path: str) -> Dispatcher:
        """``app``, any WSGI callable, with these pipelines under ``path``."""
        self.observe_shutdown()
        return Dispatcher(app, self.wsgi, path)

    # ------------------------------------------------------------------------------ the team's own code

    async def run(self, pipeline: str | None = None, /, **inputs: Any) -> RunResult:
        """Run a pipeline of this app from the team's own code: same state, validation and limits, no network.

        Args:
            pipeline: Its name; may be left out where the app has one.
            **inputs: The pipeline's parameters.

        Raises:
            InvalidInputsError, OverloadedError, UnavailableError, RunError: As over HTTP.
            ConfigurationError: The app has no such pipeline.

        On any event loop. Starts the app if no server did, and waits ``startup_budget`` seconds for that. A step may
        run another pipeline; that takes no place beside the one that its own run has, ends when that one must, and is
        on behalf of the same principal.
        """
        return await Caller(self).run(pipeline, **inputs)

    def run_sync(self, pipeline: str | None = None, /, **inputs: Any) -> RunResult:
        """As ``run``, for code that is not async: the thread waits, and performs steps with ``affinity="request"``.

        Raises:
            HomeLoopError: This thread runs the loop that the pipelines live on; ``await pipelines.run(…)`` there.
        """
        return Caller(self).run_sync(pipeline, **inputs)

    def stream(self, pipeline: str | None = None, /, **inputs: Any) -> AsyncGenerator[Event, None]:
        """As ``run``, but tells what happens: ``async for event in pipelines.stream("weather", city="Oslo")``.

        Ends after ``run_completed``, which has the outputs. Of a run that fails or is cancelled the error is raised
        after its last event. Leaving the loop early cancels the run; ``contextlib.aclosing`` does so at once.
        """
        return Caller(self).stream(pipeline, **inputs)

    def stream_sync(self, pipeline: str | None = None, /, **inputs: Any) -> Generator[Event, None, None]:
        """As ``stream``, for code that is not async: ``for event in pipelines.stream_sync("weather", city="Oslo")``.

        The run begins with the first event that is asked for. The thread lends itself to steps while it waits for an
        event. ``contextlib.closing`` cancels the run at once when the loop is left early.

        Raises:
            HomeLoopError: As ``run_sync``, when the first event is asked for.
        """
        return Caller(self).stream_sync(pipeline, **inputs)

    def calling(
        self,
        *,
        timeout: float | None = None,
        run_name: str | None = None,
        principal: Any = KEEP,
        steps: Mapping[str, Any] | None = None,
    ) -> Caller:
        """``run``, ``run_sync``, ``stream`` and ``stream_sync`` on terms of their own.

        ::

            await pipelines.calling(timeout=5, principal=user).run("weather", city="Oslo")

        Args:
            timeout: Seconds that the run may take, the wait for its place included. Unlike a request's it may be longer
                than ``Settings.request_timeout``; within another run it never goes beyond the end of that.
            run_name: For people; may hold ``{date}``, ``{time}`` and ``{run_id}``.
            principal: On whose behalf: a ``Principal``, a name, the host's user, ``None`` for nobody; by default
                whoever is acting, see ``acting_as``.
            steps: Overrides of steps' own default parameters: ``{"describe": {"parameters": {"unit": "F"}}}``.

        Raises:
            ConfigurationError: One of them cannot be used.
        """
        return Caller(self, Terms(timeout=timeout, run_name=run_name, principal=principal, steps=steps))

    def client(self, **options: Any) -> httpx.AsyncClient:
        """An HTTP client that reaches this app without a network: streamed, on any event loop.

        Args:
            **options: ``root_path``, where the app believes itself mounted; ``principal``, for whom a host would vouch;
                all else as for ``httpx.AsyncClient``.
        """
        from .transport import client

        return client(self, **options)

    def client_sync(self, **options: Any) -> httpx.Client:
        """As ``client``, for code that is not async; options as for ``httpx.Client``."""
        from .transport import client_sync

        return client_sync(self, **options)

    def override(
        self, steps: Mapping[StepKey, Any] | None = None, /, *, state: Any = KEEP, **functions: Any
    ) -> Override:
        """For tests: other functions in the places of steps, another state, while a ``with`` block lasts.

        ::

            with pipelines.override(describe=lambda city, temperature: "fake"):
                assert client.post("/ai/invoke", json=request).json()["outputs"] == {"output": "fake"}

        Args:
            steps: By step, or by names that Python cannot write as keywords: ``{"outer/describe": function}``.
            state: In the place of what ``on_init`` made; an app that starts meanwhile does not call ``on_init``. Where
                the app has several pipelines, by pipeline.
            **functions: By the name of a step, for all its calls, or by the id of one node.

        What a function returns is validated as what the step promises. Runs that are under way keep what they began
        with. Holds in this process, for requests too.

        Raises:
            UnknownStepError: No pipeline has such a step.
            ConfigurationError: A function cannot be called as the step is.
        """
        layers = {name: service.layers for name, service in self.services.items()}
        named: dict[StepKey, Any] = dict(steps or {})
        named.update(functions)
        return Override(layers, named, state)
