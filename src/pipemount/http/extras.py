"""What an app is given beside its pipelines: endpoints, middleware, folders, hooks, extensions.

Values, and how they are put together; nothing here answers a request.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from ..errors import ConfigurationError
from ..pipelines.specs import Hook
from ..types import ASGIApp, JsonObject

if TYPE_CHECKING:
    from .application import Application

__all__ = ["Endpoint", "Extensible", "Extension", "Extras", "StaticFolder"]

Permission: TypeAlias = Literal["by-method"] | str | None
"""What a caller's key must hold. ``by-method``: ``read`` for GET and HEAD, ``invoke`` for all else. ``None``: open."""


class Installs(Protocol):
    """An extension that is an object."""

    def install(self, app: Any) -> object:
        """Adds to ``app``, by its ``add_…`` methods."""


Extension: TypeAlias = "Callable[[Any], object] | Installs"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of the author's own, beside those of the pipelines or in the place of one.

    ::

        async def version(request):
            return {"version": "7", "asked_by": request.state.principal.name}

        PipelineApp(weather, endpoints=[Endpoint("/version", version)])

    Attributes:
        path: Below the app's mount, as in Starlette's routes: ``"/version"``, ``"/models/{name}"``.
        handler: A function of the request, sync (called in a thread) or async, that returns a Starlette ``Response`` or
            a value for JSON; a Starlette ``HTTPEndpoint``; or any ASGI application, which also gets what is below
            ``path`` unless ``methods`` are given. ``request.app`` is the app, ``request.state.principal`` who asks.
        methods: Of the route; of a function GET if none are given. The same method at the same path as one of the app's
            routes replaces that.
        permission: What a caller's key must hold; ``None`` where everybody may.
        openapi: The operation object that the OpenAPI document shows; without one the endpoint is not in it.
    """

    path: str
    handler: Any
    methods: Sequence[str] | None = None
    permission: Permission = "by-method"
    openapi: JsonObject | None = None

    def __post_init__(self) -> None:
        _check_path(self.path, "Endpoint")
        if not callable(self.handler):
            raise ConfigurationError(f"Endpoint({self.path!r}): {self.handler!r} cannot be called")
        if isinstance(self.methods, str):
            raise ConfigurationError(f"Endpoint(methods={self.methods!r}): give a list, e.g. [{self.methods!r}]")


@dataclass(frozen=True, slots=True)
class StaticFolder:
    """Files beside the API, such as a single-page application.

    A path that is no file is 404, as for every other client; with ``fallback`` a browser that navigates there gets
    ``index.html``, except below the API's own paths. What the API answers comes first.

    Attributes:
        folder: Where the files are. ``index.html`` in it is what browsers get at ``path``.
        path: Below the app's mount.
        permission: What a caller's key must hold; ``None`` where everybody may.
        fallback: Whether the application in ``index.html`` has paths of its own.
        max_age: Seconds for which browsers may keep a file; they ask for HTML each time.
        content_security_policy: Of these files; those of the app's answers would let nothing run.
    """

    folder: str | Path
    path: str = "/"
    permission: Permission = "by-method"
    fallback: bool = False
    max_age: int = 3600
    content_security_policy: str | None = (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
        "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )

    def __post_init__(self) -> None:
        if not Path(self.folder).is_dir():
            raise ConfigurationError(f"StaticFolder({str(self.folder)!r}): there is no such folder")
        if self.fallback and not (Path(self.folder) / "index.html").is_file():
            raise ConfigurationError(f"StaticFolder({str(self.folder)!r}, fallback=True): it has no index.html")
        _check_path(self.path, "StaticFolder")


def _check_path(path: str, where: str) -> None:
    if not isinstance(path, str) or not path.startswith("/") or (path != "/" and path[-1] == "/"):
        raise ConfigurationError(f"{where}(path={path!r}): a path starts with '/' and does not end with it")


class Extras:
    """Everything that was given, in the order in which it was; frozen once the app is made."""

    def __init__(
        self,
        *,
        endpoints: Iterable[Endpoint | BaseRoute] = (),
        middleware: Iterable[Any] = (),
        static: str | Path | StaticFolder | None = None,
        on_startup: Iterable[Hook | Callable[..., Any]] = (),
        on_shutdown: Iterable[Hook | Callable[..., Any]] = (),
    ) -> None:
        self.endpoints: tuple[Endpoint | BaseRoute, ...] = ()
        self.middleware: tuple[Middleware, ...] = ()
        self.folders: tuple[StaticFolder, ...] = ()
        self.on_startup: tuple[Hook, ...] = ()
        self.on_shutdown: tuple[Hook, ...] = ()
        self._frozen = False
        for endpoint in endpoints:
            self.add_endpoint(endpoint)
        for one in middleware:
            self.add_middleware(one)
        if static is not None:
            self.add_static(static)
        self.add_hooks(on_startup, on_shutdown)

    def add_endpoint(self, endpoint: Endpoint | BaseRoute) -> None:
        """One more; of two for the same method and path the later answers."""
        self._check_open()
        if not isinstance(endpoint, Endpoint | BaseRoute):
            raise ConfigurationError(f"endpoints=[{endpoint!r}]: give Endpoint(path, handler), or a Starlette route")
        self.endpoints = (*self.endpoints, endpoint)

    def add_middleware(self, middleware: Any) -> None:
        """One more, inside of those before."""
        self._check_open()
        self.middleware = (*self.middleware, as_middleware(middleware))

    def add_static(self, folder: str | Path | StaticFolder) -> None:
        """One more folder."""
        self._check_open()
        self.folders = (*self.folders, folder if isinstance(folder, StaticFolder) else StaticFolder(folder))

    def add_hooks(
        self, on_startup: Iterable[Hook | Callable[..., Any]], on_shutdown: Iterable[Hook | Callable[..., Any]]
    ) -> None:
        """More hooks, called after those before."""
        self._check_open()
        self.on_startup = (*self.on_startup, *map(as_hook, on_startup))
        self.on_shutdown = (*self.on_shutdown, *map(as_hook, on_shutdown))

    def install(self, extensions: Iterable[Extension], app: Application) -> None:
        """Let each extension add what it wants to, and then nobody any more."""
        for extension in extensions:
            install = getattr(extension, "install", extension)
            if not callable(install):
                raise ConfigurationError(
                    f"extensions=[{extension!r}]: give a function of the app, or an object that "
                    "has a method install(app)"
                )
            install(app)
        self._frozen = True

    def _check_open(self) -> None:
        if self._frozen:
            raise ConfigurationError(
                "the app is made; give it endpoints, middleware, folders and hooks at its making, or by an extension"
            )


class Extensible:
    """What extensions see of an app: they add to it while it is made."""

    _extras: Extras

    def add_endpoint(self, endpoint: Endpoint | BaseRoute) -> None:
        """For extensions: one more endpoint; of two for the same method and path the later answers."""
        self._extras.add_endpoint(endpoint)

    def add_middleware(self, middleware: Any) -> None:
        """For extensions: one more middleware, inside of those before."""
        self._extras.add_middleware(middleware)

    def add_static(self, folder: str | Path | StaticFolder) -> None:
        """For extensions: one more folder of files."""
        self._extras.add_static(folder)

    def add_hooks(
        self,
        *,
        on_startup: Iterable[Hook | Callable[..., Any]] = (),
        on_shutdown: Iterable[Hook | Callable[..., Any]] = (),
    ) -> None:
        """For extensions: more hooks, called after those before."""
        self._extras.add_hooks(on_startup, on_shutdown)


def as_middleware(given: Any) -> Middleware:
    """Starlette's value for a class or function, or that value itself."""
    if isinstance(given, Middleware):
        return given
    if not callable(given):
        raise ConfigurationError(f"middleware=[{given!r}]: give Middleware(factory, …), or a factory of an ASGI app")
    return Middleware(given)


def wrapped(app: ASGIApp, middleware: Sequence[Middleware]) -> ASGIApp:
    """``app`` inside of ``middleware``, the first outermost.

    A coroutine function is called as ``function(app, scope, receive, send, **arguments)``, all else makes an ASGI app:
    ``factory(app, *arguments, **arguments)``.
    """
    for factory, args, kwargs in reversed([tuple(one) for one in middleware]):
        if inspect.iscoroutinefunction(factory):
            app = functools.partial(factory, app, *args, **kwargs)
        else:
            app = factory(app, *args, **kwargs)
    return app


def as_hook(given: Hook | Callable[..., Any] | str) -> Hook:
    """A hook of a function, or of the ``module:function`` that names one."""
    hook = given if isinstance(given, Hook) else Hook(given)
    if not (callable(hook.target) or isinstance(hook.target, str)):
        raise ConfigurationError(f"{hook.target!r} is no hook; give a function, or 'module:function'")
    return hook
