"""``PipelineApp``: the application with the line that each host's users write."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .bridge import Dispatcher, WSGIBridge
from .caller import App, Caller
from .http.application import Application
from .job_verbs import Calls, JobVerbs
from .overriding import Override
from .pipelines.replacing import StepKey
from .pipelines.steps import KEEP
from .runtime.acting import acting_principal
from .terms import PLAIN, Terms
from .types import JsonObject

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    import httpx
    from fastapi import APIRouter
    from flask import Flask

    from .django.routing import Urls
    from .http.tokens import SignedToken
    from .inprocess import RunResult
    from .jobs.models import Job
    from .runtime.events import Event

__all__ = ["PipelineApp"]


class PipelineApp(Application, JobVerbs):
    """Pipelines as one object that an application already there can take in.

    ::

        pipelines = PipelineApp(weather, auth=AuthKeys.from_env("PIPELINE_KEYS"))

        app.mount("/ai", pipelines)                                     # Starlette, FastAPI
        app.include_router(pipelines.router(), prefix="/ai")            # FastAPI, with its own login
        app.add_middleware(PipelineMiddleware, pipelines=pipelines, path="/ai")
        app = pipelines.wrap(app, "/ai")                                # any ASGI application
        app = pipelines.wrap_wsgi(app, "/ai")                           # any WSGI application
        path("ai/", include(pipelines.django_urls([login_required])))   # Django, in its URLconf
        pipelines.init_app(app, prefix="/ai", before=[login_required])  # Flask

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

    def django_urls(
        self,
        before: Iterable[Callable[..., Any]] = (),
        *,
        name: str = "pipemount",
        principal: Callable[..., Any] | None = None,
        permissions: Mapping[str, str | Iterable[str]] | None = None,
    ) -> Urls:
        """The routes for Django's ``include()``, under WSGI and ASGI, behind the project's middleware and login.

        Args:
            before: View decorators, the outermost first: ``[login_required]``.
            name: The namespace: ``reverse("pipemount:invoke")``. Give each of several mounts its own.
            principal: Called with the request, gives who calls: a ``Principal``, a user, or ``None`` for nobody, who is
                refused. May be a coroutine function. By default ``request.user`` if logged in; superusers are admins.
            permissions: Django's permissions for ours: ``{"invoke": "desk.run_triage", "read": "desk.view_ticket"}``.
                Who is not logged in is refused then. ``cancel`` takes what ``invoke`` takes unless it is named.
        """
        from .django.routing import django_urls

        self.observe_shutdown()
        return django_urls(self, before, name=name, principal=principal, permissions=permissions)

    def init_app(
        self,
        app: Flask,
        prefix: str = "/ai",
        before: Sequence[Callable[[Any], Any]] = (),
        *,
        name: str = "pipemount",
        principal: Callable[[], Any] | None = None,
        g: Sequence[str] = (),
    ) -> None:
        """The routes as a blueprint of a Flask application, so that its login, hooks and error handlers hold.

        Args:
            app: The application; each that a factory makes may be given.
            prefix: Where the routes are; ``""`` for the root. It may have variables, as Flask's rules do.
            before: Decorators of views, the outermost first, for every route: ``[login_required]``.
            name: The blueprint's: ``url_for("pipemount.invoke")``. A second app in one host needs another.
            principal: Says, in the request, who asks: a ``Principal``, a user object, or ``None`` for nobody, who is
                refused then. Without it it is Flask-Login's current user, or ``g.user``.
            g: Names in ``flask.g`` that steps find in theirs.
        """
        from .flask import mount

        mount(self, app, prefix, before, name=name, principal=principal, g=g)

    def merge_openapi(
        self, document: Mapping[str, Any], prefix: str = "/ai", *, security: Sequence[Mapping[str, Any]] = ()
    ) -> JsonObject:
        """``document``, the host's OpenAPI document, with these pipelines in it; for hosts that make one themselves.

        Args:
            document: A dict; it is not changed. What is in it keeps its names.
            prefix: Of the mount, as callers see it.
            security: What the host asks of callers, of which any may stand for a key: ``[{"cookieAuth": []}]``.
        """
        from .http.merging import merged
        from .http.openapi import build_openapi

        schemes = self.auth.accept if self.auth else ()
        ours = build_openapi(self.pipelines, self.route_table, settings=self.settings, schemes=schemes, base=prefix)
        return merged(document, ours, prefix, security)

    @cached_property
    def wsgi(self) -> WSGIBridge:
        """The same answers as a WSGI callable, to mount or dispatch to."""
        return WSGIBridge(self)

    def wrap_wsgi(self, app: WSGIApplication, path: str) -> Dispatcher:
        """``app``, any WSGI callable, with these pipelines under ``path``."""
        self.observe_shutdown()
        return Dispatcher(app, self.wsgi, path)

    # ------------------------------------------------------------------------------ the team's own code

    def sign(self, job_id: str, permission: str = "read", max_age: float = 3600.0) -> SignedToken:
        """A token for a link: whoever has it may ``read``, or ``cancel``, this one job until it expires.

        ::

            link = pipelines.sign(job_id, max_age=86400).url("https://shop.example/ai", "events")

        Signed by whoever is acting (see ``acting_as``), else by the app itself.

        Args:
            job_id: The job's id; that there is such a job is not checked.
            permission: ``read`` or ``cancel``; who is acting must hold it.
            max_age: Seconds, at most ``Settings.max_token_age``.

        Raises:
            ConfigurationError: No such permission or age.
            ForbiddenError, UnauthenticatedError: Who is acting may not do that, or has a key that has ended.
        """
        return self.signing.sign(job_id, permission, max_age, acting_principal(self.users))

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

    async def submit(self, pipeline: str | None = None, /, **inputs: Any) -> Job:
        """Submit a job: a run that goes on when this call, and with durable jobs this process, has ended.

        ::

            job = await pipelines.submit("training", epochs=90)
            job = await pipelines.calling(queue="slow", max_attempts=3).submit("training", epochs=90)

        Args:
            pipeline: Its name; may be left out where the app has one.
            **inputs: The pipeline's parameters, as far as JSON can say them.

        The record as it is then; ``get(job)`` gives it as it is later, ``events(job)`` tells what happens in it. The
        job belongs to whoever is acting (see ``acting_as``).

        Raises:
            InvalidInputsError, OverloadedError, UnavailableError, StoreError: As over HTTP.
            ConfigurationError: The app has no such pipeline.
        """
        return await Caller(self).submit(pipeline, **inputs)

    def submit_sync(self, pipeline: str | None = None, /, **inputs: Any) -> Job:
        """As ``submit``, for code that is not async.

        Raises:
            HomeLoopError: This thread runs the loop that the pipelines live on; ``await pipelines.submit(…)`` there.
        """
        return Caller(self).submit_sync(pipeline, **inputs)

    def calling(
        self,
        *,
        timeout: float | None = None,
        run_name: str | None = None,
        principal: Any = KEEP,
        steps: Mapping[str, Any] | None = None,
        wait: bool = True,
        queue: str = "default",
        priority: int = 0,
        delay: float | None = None,
        max_attempts: int = 1,
        expires: float | None = None,
        idempotency_key: str | None = None,
    ) -> Calls:
        """``run``, ``stream``, ``submit``, the verbs of jobs, and their sync forms on terms of their own.

        As in ``await pipelines.calling(timeout=5, principal=user).run("weather", city="Oslo")``.

        Args:
            timeout: Seconds that the run may take, the wait for its place included; ``request_timeout`` is no limit.
            run_name: For people; may hold ``{date}``, ``{time}`` and ``{run_id}``.
            principal: On whose behalf: a ``Principal``, a name, the host's user, ``None`` for nobody; by default
                whoever is acting, see ``acting_as``.
            steps: Overrides of steps' own default parameters: ``{"describe": {"parameters": {"unit": "F"}}}``.
            wait: ``False`` raises ``OverloadedError`` at once where all places are taken.
            queue: Of a job: in which it waits, for limits of its own and for workers that take only some.
            priority: Of a job: those with a greater one are begun first.
            delay: Of a job: seconds in which it is not begun.
            max_attempts: Of a job: how often it is begun at most if its run fails for a reason that may pass.
            expires: Of a job: seconds from now on, ``delay`` included, after which it fails if it has not begun.
            idempotency_key: Of ``submit`` and ``retry``: as the ``Idempotency-Key`` of requests.

        Raises:
            ConfigurationError: One of them cannot be used.
        """
        terms = Terms(
            timeout=timeout,
            run_name=run_name,
            principal=principal,
            steps=steps,
            wait=wait,
            queue=queue,
            priority=priority,
            delay=delay,
            max_attempts=max_attempts,
            expires=expires,
            idempotency_key=idempotency_key,
        )
        return Calls(self, terms)

    def _asks(self) -> tuple[App, Terms]:
        return self, PLAIN

    def client(self, **options: Any) -> httpx.AsyncClient:
        """An HTTP client that reaches this app without a network: streamed, on any event loop.

        Args:
            **options: ``root_path``, where the app believes itself mounted; ``principal``, for whom a host would vouch;
                all else as for ``httpx.AsyncClient``.
        """
        from .transport import base_url, client

        return client(self, **{"base_url": base_url(self.settings.allowed_hosts), **options})

    def client_sync(self, **options: Any) -> httpx.Client:
        """As ``client``, for code that is not async; options as for ``httpx.Client``."""
        from .transport import base_url, client_sync

        return client_sync(self, **{"base_url": base_url(self.settings.allowed_hosts), **options})

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
