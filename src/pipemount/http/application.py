"""The ASGI application: finds the endpoint, asks who is calling, answers or explains."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self, overload

from starlette.routing import BaseRoute

from ..adapters.protocol import CompiledPipeline
from ..adapters.registry import compile as compile_pipeline
from ..auth.keys import AuthKeys
from ..auth.tokens import Tokens, TokenSecret
from ..browsers import SecureHeaders
from ..caller import stopped
from ..errors import ConfigurationError, PipemountError
from ..jobs.alone import Alone, find_target
from ..jobs.arrangement import Arrangement, checked
from ..jobs.desk import Jobs
from ..jobs.local import LocalRunner
from ..jobs.memory import MemoryStore
from ..jobs.store import Store
from ..pipelines.specs import Hook
from ..runtime.acting import UserProvider
from ..runtime.draining import observe
from ..runtime.elsewhere import Connections
from ..runtime.environment import StepEnvironment
from ..runtime.hooks import call_hook
from ..runtime.lending import NotInlineError
from ..runtime.lifecycle import Lifecycle
from ..runtime.sharing import admission_of
from ..runtime.threads import ThreadPool
from ..service import Service
from ..settings import Settings
from ..types import ASGIApp, Principal, Receive, Scope, Send
from .answering import answers
from .arranging import arranged
from .at_home import at_home
from .custom import Custom, table_routes
from .custom import customs as as_customs
from .exchange import Always, Exchange
from .extras import Endpoint, Extensible, Extension, Extras, StaticFolder
from .failing import confess, explain
from .front import Front
from .gate import Gate
from .headers import presents_key, read_headers
from .invocation import Invocation
from .lifespan import Lifespan, serve_lifespan
from .middleware import LifespanMiddleware, PipelineMiddleware
from .naming import name_request, named, unname_request
from .paths import locate
from .routes import Route, build_routes, build_sockets, check_name, opened
from .streams import Streams
from .table import Table
from .tokens import Signing, shows_token
from .websocket import Sockets

__all__ = ["Application"]


class Application(Extensible):
    """Pipelines as one ASGI application: mount it, include it, wrap with it, or serve it as it is.

    Args:
        pipelines: A pipeline, a plain function, anything that an adapter knows, or a mapping of names to such.
        auth: Keys that callers must present; without them every caller may do everything.
        token_secret: Signs tokens for users of the host and for the team's own code, and is mixed into those that keys
            sign; 32 characters or more. Several for a rotation: the first signs, each is accepted. Without it only
            tokens that a key signed are good in other processes.
        settings: Limits and behaviour.
        jobs: Where jobs are kept and who performs them, ``Local("sqlite:///jobs.db")`` or ``Celery(…)``; without it
            they are in this process's memory and end with it.
        step_environment: Makes a context manager that surrounds each sync step in its thread, for hosts that this
            package does not know: ``step_environment(context)``. Host adapters bring their own.
        endpoints: Endpoints of your own, or Starlette routes; see ``Endpoint``.
        middleware: ASGI middleware around all routes, the first outermost: ``Middleware(factory, …)``, or a factory.
        extensions: Functions of the app, or objects with ``install(app)``, which add such things by ``add_endpoint``,
            ``add_middleware``, ``add_static`` and ``add_hooks`` while the app is made.
        static: A folder of files beside the API, e.g. a single-page application; see ``StaticFolder``.
        on_startup: Functions, sync or async, called with the app, in order, before the pipelines start. One that raises
            is as an ``on_init`` that raises.
        on_shutdown: As those, called after the pipelines have stopped, if all of ``on_startup`` was called.

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
        jobs: Arrangement | None = None,
        step_environment: StepEnvironment | None = None,
        endpoints: Iterable[Endpoint | BaseRoute] = (),
        middleware: Iterable[Any] = (),
        extensions: Iterable[Extension] = (),
        static: str | Path | StaticFolder | None = None,
        on_startup: Iterable[Hook | Callable[..., Any]] = (),
        on_shutdown: Iterable[Hook | Callable[..., Any]] = (),
    ) -> None:
        self.settings, self.auth = settings or Settings(), auth
        self.tokens = Tokens(auth, token_secret)
        compiled = _compiled(pipelines)
        self.admission = admission_of(self.settings, compiled)
        self.services = {name: Service(name, one, self.settings, self.admission) for name, one in compiled.items()}
        self._store: Store = MemoryStore(self.settings) if jobs is None else checked(jobs).make_store(self.settings)
        self.runner = self._runner(jobs)
        fingerprints = {name: one.info.fingerprint for name, one in compiled.items()}
        self.jobs = Jobs(self._store, self.runner, fingerprints)
        self.environments: list[StepEnvironment] = [] if step_environment is None else [step_environment]
        self.users: list[UserProvider] = []
        self._stack = AsyncExitStack()
        self._pid = os.getpid()
        self.lifecycle = Lifecycle(
            start=self._start, stop=self._stop, drain=self._drain, settings=self.settings, name=", ".join(self.services)
        )
        self.lifespan = Lifespan(self.lifecycle)
        age, until_draining = self.settings.max_stream_age, self.lifecycle.until_draining
        self.streams = Streams(self.settings.max_streams, age, until_draining, self.settings.max_open_streams)
        self._extras = Extras(
            endpoints=endpoints, middleware=middleware, static=static, on_startup=on_startup, on_shutdown=on_shutdown
        )
        self._extras.install(extensions, self)
        customs = as_customs(self._extras.endpoints, self)
        # Not "routes": Starlette looks through a mounted app's "routes" when it resolves a name of the host.
        self.route_table, self.sockets = self._routes(customs)
        self.gate = Gate(self.auth, self.tokens, self.settings.trusted_origins)
        self.signing = Signing(self.tokens, (*self.route_table, *self.sockets), self.settings, self._find_job)
        invocations = {name: Invocation(service, self.lifecycle) for name, service in self.services.items()}
        self._conversations = Sockets(self, invocations)
        self._table = Table(answers(self, invocations), customs, self._extras.folders, {r.path for r in self.sockets})
        self._always = tuple(_always(self.settings.secure_headers, encrypted=encrypted) for encrypted in (False, True))
        self._front = self._build_front()

    def _runner(self, jobs: Arrangement | None) -> LocalRunner:
        if jobs is None:
            return LocalRunner(self._store, self.services, self.settings)
        alone = Alone(lambda: jobs.target or find_target(self), self.settings.cleanup_timeout * 0.4)
        return jobs.make_runner(self._store, self.services, self.settings, alone)

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
        if self._front is not None and not self._front.take_mark(scope) and scope["type"] != "lifespan":
            await self._front(scope, receive, send)
        elif scope["type"] == "http":
            exchange = self._exchange(scope, receive, send)
            request_id = exchange.headers.get(b"x-request-id")
            naming = None if request_id is None else name_request(request_id)
            try:
                endpoint = self._table.find(exchange, exchange.rest)
                exchange.principal = self.gate.identify(exchange, endpoint)
                await endpoint.answer(exchange)
            except PipemountError as error:
                await explain(exchange, error)
            except NotInlineError:
                raise
            except asyncio.CancelledError as error:
                await explain(exchange, stopped(error))
            except Exception as error:
                await confess(exchange, error)
            finally:
                if naming is not None:
                    unname_request(naming)
        elif scope["type"] == "websocket":
            await self._conversations(scope, receive, send)
        elif scope["type"] == "lifespan":
            await serve_lifespan(self.lifecycle, receive, send)

    def _exchange(self, scope: Scope, receive: Receive, send: Send) -> Exchange:
        headers = read_headers(scope["headers"])
        if self.settings.generate_request_ids and b"x-request-id" not in headers:
            headers = named(headers, scope)
        return Exchange(scope, receive, send, locate(scope), headers, self._always[scope.get("scheme") == "https"])

    def answers_inline(self, scope: Scope) -> bool:
        """Whether a thread may drive the answer to ``scope`` itself, without a loop: ``runtime.lending`` tells how.

        So it is for a synchronous invocation of a ready pipeline whose steps are a row of plain functions. Where the
        answer turns out to need a loop all the same, ``NotInlineError`` is raised before anything was read.
        """
        if scope["type"] != "http" or scope["method"] != "POST" or self._extras.middleware:
            return False
        endpoint = self._table.exact.get(locate(scope)[1], {}).get("POST")
        return (
            endpoint is not None and isinstance(endpoint.answer, Invocation) and endpoint.answer.answers_inline(scope)
        )

    def goes_by_key(self, scope: Scope) -> bool:
        """Whether a key decides who sends ``scope``: the host need not look for its user, nor for a CSRF token.

        So does a signed token, where one may stand for a key.
        """
        if self.auth is not None and presents_key(read_headers(scope["headers"])):
            return True
        if not shows_token(scope):
            return False
        return self._table.takes_token(locate(scope)[1], scope["method"])

    async def _find_job(self, job_id: str, viewer: Principal | None) -> object:
        await self.lifecycle.ensure_ready()
        return await at_home(self.lifecycle, lambda: self.jobs.get(job_id, viewer))

    @property
    def places(self) -> tuple[str, ...]:
        """Where what is beside the pipelines is, as far as the route table does not tell."""
        return self._table.places

    def knows(self, path: str) -> bool:
        """Whether something answers at ``path``, below the mount."""
        return self._table.knows(path)

    def _routes(self, customs: Sequence[Custom]) -> tuple[tuple[Route, ...], tuple[Route, ...]]:
        """Those for requests and those for WebSockets."""
        settings, names = self.settings, tuple(self.services)
        usual, sockets = build_routes(names, metrics=settings.metrics), build_sockets(names)
        arrangement = arranged((*usual, *sockets), settings.paths, settings.without)
        routes = [route for route in arrangement if route.endpoint != "socket"]
        requests = opened((*routes, *table_routes(customs)), settings.open_routes, {route.path for route in usual})
        return requests, tuple(route for route in arrangement if route.endpoint == "socket")

    def _build_front(self) -> Front | None:
        settings, middleware = self.settings, self._extras.middleware
        if not (settings.allowed_hosts or settings.cors or middleware):
            return None
        return Front(
            partial(Application.__call__, self),  # not a subclass's, which has been called already
            self._exchange,
            allowed_hosts=settings.allowed_hosts,
            cors=settings.cors,
            middleware=middleware,
        )

    def allow_hosts(self, hosts: Collection[str]) -> None:
        """Answer for these only, as by ``Settings.allowed_hosts``: for what serves the app and knows where."""
        self.settings = replace(self.settings, allowed_hosts=tuple(hosts))
        self._front = self._build_front()

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
            connections = Connections(threads)
            stack.push_async_callback(connections.close)
            for hook in self._extras.on_startup:
                await call_hook(hook, threads, self)
            for hook in reversed(self._extras.on_shutdown):
                stack.push_async_callback(call_hook, hook, threads, self)
            for service in self.services.values():
                await service.start(
                    {
                        "threads": threads,
                        "connections": connections,
                        "settings": self.settings,
                        "environments": tuple(self.environments),
                    }
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


def _always(secure: SecureHeaders | None, *, encrypted: bool) -> Always:
    if secure is None:
        return Always((), ())
    return Always(secure.lines(encrypted=encrypted), secure.lines(encrypted=encrypted, data=True))
