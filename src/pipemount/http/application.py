"""The ASGI application: finds the endpoint, asks who is calling, answers or explains."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, NamedTuple, Self, overload

from ..adapters.protocol import CompiledPipeline
from ..adapters.registry import compile as compile_pipeline
from ..auth.keys import AuthKeys
from ..auth.tokens import Tokens, TokenSecret
from ..caller import stopped
from ..errors import (
    ConfigurationError,
    ForbiddenError,
    MethodNotAllowedError,
    NotFoundError,
    PipemountError,
    RunCancelledError,
    UnauthenticatedError,
    UnsupportedError,
)
from ..jobs.desk import Jobs
from ..jobs.local import Local
from ..jobs.memory import MemoryStore
from ..runtime.acting import UserProvider
from ..runtime.admission import Admission
from ..runtime.draining import observe
from ..runtime.environment import StepEnvironment
from ..runtime.lending import NotInlineError
from ..runtime.lifecycle import Lifecycle
from ..runtime.threads import ThreadPool
from ..service import Service
from ..settings import Settings
from ..types import ASGIApp, Principal, Receive, Scope, Send
from .at_home import at_home
from .batch import BatchEndpoint
from .describe import link
from .endpoints import About, Endpoints
from .exchange import Exchange
from .handover import handed_over
from .headers import read_headers
from .invocation import Invocation
from .jobs import JobRoutes, Keyed, Submission
from .lifespan import Lifespan, serve_lifespan
from .middleware import LifespanMiddleware, PipelineMiddleware
from .monitoring import Monitoring
from .origin import from_script, refuse_foreign
from .paths import locate
from .problems import log_failure, problem
from .routes import PARAMETER, Route, as_template, build_routes, check_name
from .streaming import Events
from .streams import Streams
from .tokens import PLACES, Signing, bearer, shows_token

__all__ = ["Application"]

logger = logging.getLogger("pipemount")

Answer = Callable[[Exchange], Awaitable[None]]


class Endpoint(NamedTuple):
    """What answers a method at a path, and the permission that it takes (``None``: open to all).

    Attributes:
        takes_token: Whether ``?token=`` may stand for a key.
    """

    answer: Answer
    permission: str | None
    takes_token: bool = False


class Application:
    """Pipelines as one ASGI application: mount it, include it, wrap with it, or serve it as it is.

    Args:
        pipelines: A pipeline, a plain function, anything that an adapter knows, or a mapping of names to such.
        auth: Keys that callers must present; without them every caller may do everything.
        token_secret: Signs tokens for users of the host and for the team's own code, and is mixed into those that keys
            sign; 32 characters or more. Several for a rotation: the first signs, each is accepted. Without it only
            tokens that a key signed are good in other processes.
        settings: Limits and behaviour.
        step_environment: Makes a context manager that surrounds each sync step in its thread, for hosts that this
            package does not know: ``step_environment(context)``. Host adapters bring their own.

    Raises:
        CompileError: A pipeline cannot be compiled.
        ConfigurationError: A name, key or setting cannot be used.

    Requests may come from any event loop; runs happen on the app's home loop (see ``Lifecycle``).
    """

    def __init__(
        self,
        pipelines: Any,
        *,
        auth: AuthKeys | None = None,
        token_secret: TokenSecret | None = None,
        settings: Settings | None = None,
        step_environment: StepEnvironment | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.auth = auth
        self.tokens = Tokens(auth, token_secret)
        self.admission = Admission(self.settings.max_concurrency, self.settings.max_queue)
        self.services = {
            name: Service(name, compiled, self.settings, self.admission)
            for name, compiled in _compiled(pipelines).items()
        }
        self._store = MemoryStore(self.settings)
        self.jobs = Jobs(self._store, Local(self._store, self.services, self.settings))
        self.environments: list[StepEnvironment] = [] if step_environment is None else [step_environment]
        self.users: list[UserProvider] = []
        self._stack = AsyncExitStack()
        self._pid = os.getpid()
        self.lifecycle = Lifecycle(
            start=self._start,
            stop=self._stop,
            drain=self._drain,
            settings=self.settings,
            name=", ".join(self.services),
        )
        self.lifespan = Lifespan(self.lifecycle)
        self.streams = Streams(self.settings.max_streams, self.settings.max_stream_age, self.lifecycle.until_draining)
        # Not "routes": Starlette looks through a mounted app's "routes" when it resolves a name of the host.
        self.route_table = build_routes(tuple(self.services), self.settings.open_routes, self.settings.metrics)
        self.signing = Signing(self.tokens, self.route_table, self.settings, self._find_job)
        table = self._build_table()
        self._table = {path: methods for path, methods in table.items() if PARAMETER not in path}
        self._templates = {path: methods for path, methods in table.items() if PARAMETER in path}

    def __deepcopy__(self, memo: object) -> Self:
        """The app itself, of which a process has one: hosts copy what is mounted in them, as Litestar's routers do."""
        return self

    @property
    def pipelines(self) -> Mapping[str, CompiledPipeline]:
        """The compiled pipelines by name."""
        return {name: service.compiled for name, service in self.services.items()}

    # ------------------------------------------------------------------------------------------- ASGI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI scope: ``http``, ``lifespan`` or ``websocket``."""
        if scope["type"] == "http":
            base, rest = locate(scope)
            exchange = Exchange(scope, receive, send, base, read_headers(scope["headers"]))
            try:
                endpoint = self._endpoint(exchange, rest)
                exchange.principal = self._principal(exchange, endpoint)
                await endpoint.answer(exchange)
            except PipemountError as error:
                await _explain(exchange, error)
            except NotInlineError:
                raise
            except asyncio.CancelledError as error:
                await _explain(exchange, stopped(error))
            except Exception as error:
                await _confess(exchange, error)
        elif scope["type"] == "lifespan":
            await serve_lifespan(self.lifecycle, receive, send)
        elif scope["type"] == "websocket":
            await _refuse_websocket(scope, receive, send)

    def answers_inline(self, scope: Scope) -> bool:
        """Whether a thread may drive the answer to ``scope`` itself, without a loop: ``runtime.lending`` tells how.

        So it is for a synchronous invocation of a ready pipeline whose steps are a row of plain functions. Where the
        answer turns out to need a loop all the same, ``NotInlineError`` is raised before anything was read.
        """
        if scope["type"] != "http" or scope["method"] != "POST":
            return False
        endpoint = self._table.get(locate(scope)[1], {}).get("POST")
        return (
            endpoint is not None and isinstance(endpoint.answer, Invocation) and endpoint.answer.answers_inline(scope)
        )

    def goes_by_key(self, scope: Scope) -> bool:
        """Whether a key decides who sends ``scope``: the host need not look for its user, nor for a CSRF token.

        So does a signed token, where one may stand for a key.
        """
        if self.auth is not None and read_headers(scope["headers"]).presents_key:
            return True
        if not shows_token(scope):
            return False
        endpoint = self._templates.get(as_template(locate(scope)[1])[0], {}).get(scope["method"])
        return endpoint is not None and endpoint.takes_token

    def _endpoint(self, exchange: Exchange, rest: str) -> Endpoint:
        methods = self._table.get(rest)
        if methods is None:
            template, value = as_template(rest)
            methods, exchange.params = self._templates.get(template), {"job_id": value}
        if methods is None:
            raise NotFoundError(f"nothing is served at {rest}; GET {link(exchange.base, '/')} lists what is")
        endpoint = methods.get(exchange.scope["method"])
        if endpoint is None:
            raise MethodNotAllowedError(method=exchange.scope["method"], allowed=tuple(methods))
        return endpoint

    def _principal(self, exchange: Exchange, endpoint: Endpoint) -> Principal | None:
        """Who is calling, and that they may. Decided from the headers, or from a token in the query.

        A user for whom the host vouches needs no key; a key or a token that is sent all the same is checked.
        """
        host, permission = handed_over(exchange.scope), endpoint.permission
        principal = host.principal
        if permission is None:
            return principal
        if endpoint.takes_token and shows_token(exchange.scope):
            return bearer(exchange, self.tokens, permission, keyed=self.auth is not None)
        headers = exchange.headers
        by_key = self.auth is not None and headers.presents_key
        if self.auth is not None and (by_key or principal is None):
            principal = self.auth.authenticate(headers.authorization, headers.api_key, duplicated=headers.duplicated)
        elif principal is None and host.guarded:
            raise ForbiddenError(permission=permission, principal=None)
        if not host.token_checked and not (by_key and headers.is_deliberate):
            refuse_foreign(exchange.scope, self.settings.trusted_origins)
        if principal is not None and not principal.may(permission):
            raise ForbiddenError(permission=permission, principal=principal.name)
        return principal

    async def _find_job(self, job_id: str, viewer: Principal | None) -> object:
        await self.lifecycle.ensure_ready()
        return await at_home(self.lifecycle, lambda: self.jobs.get(job_id, viewer))

    def _build_table(self) -> dict[str, dict[str, Endpoint]]:
        schemes = self.auth.accept if self.auth else ()
        about = About(self.pipelines, self.route_table, self.settings, schemes)
        endpoints = Endpoints(about, self.lifecycle.answer_probe)
        events = Events(self.jobs, self.lifecycle, self.settings, self.streams)
        invocations = {name: Invocation(service, self.lifecycle) for name, service in self.services.items()}
        for invocation in invocations.values():
            invocation.others |= {
                "async": Submission(invocation, self.jobs),
                "keyed": Keyed(invocation, self.jobs),
                "stream": partial(events.invoke, invocation),
            }
        jobs = JobRoutes(self.jobs, self.lifecycle)
        monitoring = Monitoring(self, schemes)
        special: dict[str, Callable[[Route], Answer]] = {
            "events": lambda route: events,
            "invoke": lambda route: invocations[route.pipeline or ""],
            "submit": lambda route: invocations[route.pipeline or ""].others["async"],
            "jobs": lambda route: jobs.list,
            "job": lambda route: jobs.job,
            "delete": lambda route: jobs.job,
            "cancel": lambda route: jobs.cancel,
            "batch": lambda route: BatchEndpoint(self.services[route.pipeline or ""], self.lifecycle),
            "metrics": lambda route: monitoring.metrics,
            "status": lambda route: monitoring.status,
            "tokens": lambda route: self.signing,
        }
        table: dict[str, dict[str, Endpoint]] = {}
        for route in self.route_table:
            answer = special.get(route.endpoint, endpoints.answer)(route)
            methods = table.setdefault(route.path, {})
            for method in route.methods:
                takes_token = (route.endpoint, method) in PLACES
                methods[method] = Endpoint(answer, route.permission, takes_token)
        return table

    # ------------------------------------------------------------------------------- start and stop

    async def _start(self) -> None:
        """Start every pipeline, in order; if one fails, those that were started are stopped."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self.admission.forget()
            self._store.forget()
            for service in self.services.values():
                service.meter.forget()
            self.streams.forget()
        async with AsyncExitStack() as stack:
            threads = ThreadPool(self.settings.threads)
            stack.callback(threads.close)
            await threads.run(int)  # one thread is up before the interpreter exits: then 3.12 starts none
            for service in self.services.values():
                await service.start(
                    {"threads": threads, "settings": self.settings, "environments": tuple(self.environments)}
                )
                stack.push_async_callback(service.stop)
            await self.jobs.start()
            stack.push_async_callback(self.jobs.stop)
            self._stack = stack.pop_all()

    async def _drain(self) -> None:
        """Let what runs end; jobs that only wait are cancelled."""
        await self.jobs.drain()
        await self.admission.drained()

    async def _stop(self) -> None:
        """Stop in reverse order; a failing ``on_cleanup`` does not keep the others from theirs, and is raised."""
        await self._stack.aclose()

    def observe_shutdown(self) -> None:
        """Hear of the signals that end this process, so that streams end and ``on_cleanup`` runs.

        Hosts are made known with it (``wrap``, ``init_app`` and the like call it), in the main thread; elsewhere it
        does nothing. What handled a signal before still does.
        """
        observe()

    @property
    def draining(self) -> bool:
        """Whether the server was told to stop. Requests are still answered; streams should end."""
        return self.lifecycle.draining

    async def until_draining(self) -> None:
        """Return when the server was told to stop. For the host's own streams, on any event loop."""
        await self.lifecycle.until_draining()

    def ticks(self, seconds: float) -> AsyncGenerator[int, None]:
        """Count every ``seconds`` until the server was told to stop, for a stream of the host's own.

        ::

            async for _ in pipelines.ticks(1.0):
                yield temperature()
            yield goodbye

        It ends at ``Settings(max_stream_age=…)`` as well, for readers to come back.
        """
        return self.lifecycle.ticks(seconds)

    @overload
    def wrap(self, app: ASGIApp, path: str) -> PipelineMiddleware: ...
    @overload
    def wrap(self, app: ASGIApp, path: None = None) -> LifespanMiddleware: ...
    def wrap(self, app: ASGIApp, path: str | None = None) -> LifespanMiddleware:
        """``app`` with these pipelines under ``path``; the lifespans of both run.

        Without a path only the lifespan is added: for pipelines that ``app`` serves itself and whose start and stop it
        does not tell, e.g. in Django's URLs.
        """
        self.observe_shutdown()
        if path is None:
            return LifespanMiddleware(app, pipelines=self)
        return PipelineMiddleware(app, pipelines=self, path=path)


def _compiled(pipelines: Any) -> dict[str, CompiledPipeline]:
    if isinstance(pipelines, Mapping):
        if not pipelines:
            raise ConfigurationError("PipelineApp({}) has no pipeline; give at least one")
        return {check_name(name): compile_pipeline(thing) for name, thing in pipelines.items()}
    compiled = compile_pipeline(pipelines)
    return {check_name(compiled.info.name): compiled}


# ----------------------------------------------------------------------------------------- failures


async def _explain(exchange: Exchange, error: PipemountError) -> None:
    """Answer with a problem document, unless there is nobody left to read it."""
    if isinstance(error, RunCancelledError) or exchange.started:
        logger.info("%s: %s", error.code, error)
        return
    log_failure(error)
    if isinstance(error, UnauthenticatedError) and from_script(exchange.scope):
        error = error.for_script()
    await exchange.respond(*problem(error, instance=_instance(exchange.scope)))


def _instance(scope: Scope) -> str:
    """The path that was asked for, as a URI reference (RFC 9457, section 3.1.5)."""
    return link(*locate(scope))


async def _confess(exchange: Exchange, error: Exception) -> None:
    """A fault of our own: logged whole, answered without a word of its inside."""
    if exchange.started:
        raise error
    logger.error("an unexpected error while answering", exc_info=error)
    unknown = PipemountError("an unexpected error; see the log")
    await exchange.respond(*problem(unknown, instance=_instance(exchange.scope)))


async def _refuse_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """No WebSocket route exists yet: the handshake is refused, with the reason if the server can send it, else 403."""
    await receive()
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1000})
        return
    error = UnsupportedError("WebSockets are not available yet; POST …/invoke runs and waits")
    status, headers, body = problem(error, instance=_instance(scope))
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
