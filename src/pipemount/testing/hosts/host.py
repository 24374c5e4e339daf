"""What a host is to the suite: one class, whose methods build the product in the forms in which it takes pipelines.

::

    class MyFramework(Host):
        name, kind, requires = "My framework", "asgi", ("my_framework",)

        @form(lifespan=True)
        def wrap(self, product: Product) -> Any:
            app = my_framework.App()
            for page in product.pages:
                app.route(page.path)(page.answer)
            return product.pipelines.wrap(app, product.mount)
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from .servers import Kind

if TYPE_CHECKING:
    from .product import Product
    from .setup import Setup

__all__ = ["HOSTS", "Form", "Host", "find_host", "form"]

Build = Callable[[Any, "Product"], Any]


@dataclass(frozen=True, slots=True)
class Form:
    """A way in which a host takes pipelines.

    Attributes:
        name: In the table: the method's, e.g. ``mount``.
        build: The method; gives the application that the server is told to serve.
        lifespan: Whether the pipelines hear of it where the server tells that it starts and stops.
        host_lifespan: Whether the product's own start and stop (``product.lifespan``) run there.
        login: Whether the host's login stands in front of the pipelines. The product's lets everybody in who does not
            call himself something else than ``ada`` in ``X-User``.
        users: Whether who signs in (``POST /sign-in``) is the principal; the answer's ``token`` is what his pages send.
        at_root: Whether it can take the pipelines at ``/``, behind its own pages.
        shares_root: Whether at ``/`` what the pipelines do not know is the host's to answer.
        no_sockets: Why no WebSocket reaches the pipelines; empty if they do.
        nested: Whether the pipelines start after the host and stop before it; else they are around it.
    """

    name: str
    build: Build
    lifespan: bool = False
    host_lifespan: bool = False
    login: bool = False
    users: bool = False
    at_root: bool = False
    nested: bool = False
    shares_root: bool = False
    no_sockets: str = ""


def form(*, name: str = "", **facts: Any) -> Callable[[Build], Form]:
    """Makes a form of a method of a ``Host``; ``facts`` are the attributes of ``Form``."""
    return lambda build: Form(name or build.__name__, build, **facts)


class Host:
    """A framework that takes pipelines in.

    Attributes:
        name: In the table.
        kind: What its applications are: ``"asgi"`` or ``"wsgi"``.
        requires: Modules without which it is not installed.
        needs_lifespan: Whether the framework itself does not serve unless the server tells that it starts.
        everywhere: Whether it is run on every server of its kind; else on ``FEW``, as its interface is the bare one.
        without: Clauses that cannot hold, by name, with the reason; shown in the table.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]
    requires: ClassVar[tuple[str, ...]] = ()
    needs_lifespan: ClassVar[bool] = False
    everywhere: ClassVar[bool] = False
    without: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def reference(cls) -> str:
        """Where the class is, for the server's process: ``module:Class``."""
        return f"{cls.__module__}:{cls.__qualname__}"

    @classmethod
    def forms(cls) -> dict[str, Form]:
        """By name, the most usual first."""
        found = [value for kind in cls.__mro__ for value in vars(kind).values() if isinstance(value, Form)]
        return {form.name: form for form in found}

    @classmethod
    def missing(cls) -> str:
        """The first of the modules that it requires and that is not there; empty if all are."""
        return next((name for name in cls.requires if importlib.util.find_spec(name) is None), "")

    def pipelines(self, setup: Setup) -> Mapping[str, Any]:
        """Pipelines that only this host's clauses need."""
        return {}

    def configure(self, setup: Setup) -> None:
        """Called in the server's process, before anything else."""

    def prepare(self, folder: Path) -> None:
        """Called before a server starts, in the process of the tests: makes a database, say."""


FRAMEWORKS = "pipemount.testing.hosts.frameworks"
HOSTS: dict[str, str] = {
    "Starlette": f"{FRAMEWORKS}.starlette:StarletteHost",
    "FastAPI": f"{FRAMEWORKS}.fastapi:FastAPIHost",
    "Django ASGI": f"{FRAMEWORKS}.django:DjangoASGIHost",
    "Django WSGI": f"{FRAMEWORKS}.django:DjangoWSGIHost",
    "Flask": f"{FRAMEWORKS}.flask:FlaskHost",
    "Litestar": f"{FRAMEWORKS}.litestar:LitestarHost",
    "Quart": f"{FRAMEWORKS}.quart:QuartHost",
    "Sanic": f"{FRAMEWORKS}.sanic:SanicHost",
    "Channels": f"{FRAMEWORKS}.channels:ChannelsHost",
    "Bare ASGI": f"{FRAMEWORKS}.bare:BareHost",
    "Plain WSGI": f"{FRAMEWORKS}.wsgi:PlainHost",
    "Bottle": f"{FRAMEWORKS}.wsgi:BottleHost",
    "Pyramid": f"{FRAMEWORKS}.wsgi:PyramidHost",
    "Falcon": f"{FRAMEWORKS}.wsgi:FalconHost",
}
"""Where the hosts of the suite are; loaded when they are asked for."""


def find_host(reference: str) -> type[Host]:
    """The host at ``module:Class``."""
    module, _, name = reference.partition(":")
    found: type[Host] = getattr(importlib.import_module(module), name)
    return found
