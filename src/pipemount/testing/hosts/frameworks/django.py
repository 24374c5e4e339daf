"""Django: in its URLs under ASGI and WSGI, and wrapped; with sessions, users, CSRF protection and a database."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from ....errors import PipelineError
from ....inprocess import pipeline
from ....pipelines.steps import step
from ..host import Host, form
from ..process import environment
from ..product import Page, Product
from ..setup import KEY, Setup

__all__ = ["DjangoASGIHost", "DjangoWSGIHost", "configure", "create_database"]

URLS = "pipemount_testing_django_urls"
CREATE = (
    "import sys; from pipemount.testing.hosts.frameworks.django import create_database; create_database(sys.argv[1])"
)


class DjangoHost(Host):
    """What both have in common."""

    requires: ClassVar[tuple[str, ...]] = ("django",)

    def pipelines(self, setup: Setup) -> Mapping[str, Any]:
        return {"users": users, "join": join, "find": find}

    def prepare(self, folder: Path) -> None:
        shutil.copy(_template(), folder / "database")

    def configure(self, setup: Setup) -> None:
        configure(Path(setup.folder) / "database")


class DjangoASGIHost(DjangoHost):
    """Django behind an ASGI server."""

    name, kind, everywhere = "Django ASGI", "asgi", True

    @form(
        login=True, users=True, at_root=True, no_sockets="Django's own URLs serve HTTP only: wrap it, or use Channels"
    )
    def urls(self, product: Product) -> Any:
        from django.core.asgi import get_asgi_application

        route(product, with_pipelines=True)
        return get_asgi_application()

    @form(lifespan=True)
    def wrap(self, product: Product) -> Any:
        from django.core.asgi import get_asgi_application

        route(product)
        own: Any = get_asgi_application()
        return product.pipelines.wrap(own, product.mount)


class DjangoWSGIHost(DjangoHost):
    """Django behind a WSGI server."""

    name, kind, everywhere = "Django WSGI", "wsgi", True

    @form(login=True, users=True, at_root=True)
    def urls(self, product: Product) -> Any:
        from django.core.wsgi import get_wsgi_application

        route(product, with_pipelines=True)
        return get_wsgi_application()

    @form(name="wrap_wsgi")
    def wrap(self, product: Product) -> Any:
        from django.core.wsgi import get_wsgi_application

        route(product)
        return product.pipelines.wrap_wsgi(get_wsgi_application(), product.mount)


# ------------------------------------------------------------------------------------------- project


def configure(database: Path) -> None:
    """Django's settings, for this process."""
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY=KEY,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=URLS,
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": database,
                "ATOMIC_REQUESTS": True,
                "OPTIONS": {"timeout": 20},
            }
        },
        DATA_UPLOAD_MAX_MEMORY_SIZE=64 * 1024 * 1024,
        USE_TZ=True,
    )
    django.setup()


@functools.cache
def _template() -> Path:
    """An empty database, made once for all products of this process."""
    database = Path(tempfile.mkdtemp(prefix="pipemount-")) / "database"
    command = [sys.executable, "-c", CREATE, os.fspath(database)]
    subprocess.run(command, check=True, env=environment())  # noqa: S603  our own code
    return database


def create_database(database: str) -> None:
    """The tables, and Ada."""
    configure(Path(database))
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    User.objects.create_user("ada")


def route(product: Product, *, with_pipelines: bool = False) -> None:
    """The project's URLs, as the module that the settings name."""
    from django.urls import include, path

    module: Any = types.ModuleType(URLS)
    module.urlpatterns = [path(page.path[1:], _view(page)) for page in product.pages]
    module.urlpatterns += [path("sign-in", sign_in), path("connections", connections)]
    module.urlpatterns.append(path("open-transaction", functools.partial(open_transaction, product)))
    if with_pipelines:
        at = product.mount.strip("/")
        ours = product.pipelines.django_urls([login])
        module.urlpatterns.append(path(f"{at}/" if at else "", include(ours)))
    sys.modules[URLS] = module


def _view(page: Page) -> Callable[..., Any]:
    from django.http import HttpResponse

    def answer(request: Any) -> Any:
        return HttpResponse(page.answer())

    answer._non_atomic_requests = {"default"}  # type: ignore[attr-defined]  # as the decorator does
    return answer


def login(view: Callable[..., Any]) -> Callable[..., Any]:
    """Whoever does not say otherwise is Ada; a stranger is sent away."""
    from django.http import HttpResponse

    def guarded(request: Any, *args: Any, **kwargs: Any) -> Any:
        if request.headers.get("X-User", "ada") != "ada":
            return HttpResponse("log in", status=401)
        return view(request, *args, **kwargs)

    return guarded


def sign_in(request: Any) -> Any:
    """Ada's session, and the token that her pages would have."""
    from django.contrib.auth import login as sign_in_user
    from django.contrib.auth.models import User
    from django.http import JsonResponse
    from django.middleware.csrf import get_token

    sign_in_user(request, User.objects.get(username="ada"))
    return JsonResponse({"token": get_token(request)})


sign_in.csrf_exempt = True  # type: ignore[attr-defined]  # as the decorator does


def open_transaction(product: Product, request: Any) -> Any:
    """A row that only this request's transaction has, as a step in this thread sees it."""
    from django.contrib.auth.models import User
    from django.db import transaction
    from django.http import HttpResponse

    User.objects.create(username="nobody else's")
    found = product.pipelines.run_sync("find", name="nobody else's").value
    transaction.set_rollback(True)
    return HttpResponse(str(found))


def connections(request: Any) -> Any:
    """How many connections to the database this process has open, as the system sees it."""
    from django.conf import settings
    from django.http import JsonResponse

    name = os.fspath(settings.DATABASES["default"]["NAME"])
    opened = [one for one in Path("/proc/self/fd").iterdir() if _target(one) == name]
    return JsonResponse({"open": len(opened)})


connections._non_atomic_requests = {"default"}  # type: ignore[attr-defined]  # as the decorator does


def _target(link: Path) -> str:
    try:
        return os.fspath(link.readlink())
    except OSError:
        return ""


# ----------------------------------------------------------------------------------------- pipelines


@step
def count_users() -> int:
    """Of the database, asked in a thread of the app's."""
    from django.contrib.auth.models import User

    return User.objects.count()


@pipeline
def users() -> Any:
    """Counts users."""
    return count_users()


@step(affinity="request")
def create_user(name: str) -> str:
    """One row, in the request's thread."""
    from django.contrib.auth.models import User

    User.objects.create(username=name)
    return name


@step(affinity="request")
def find_user(name: str, fail: bool) -> int:
    """Whether the row is there, seen from the request's thread."""
    from django.contrib.auth.models import User

    if fail:
        raise PipelineError("not like this", status=409)
    return User.objects.filter(username=name).count()


@pipeline
def join(name: str, fail: bool = False) -> Any:
    """Creates a user and finds it, in one transaction."""
    return find_user(create_user(name), fail)


@pipeline
def find(name: str) -> Any:
    """Finds a user."""
    return find_user(name, False)
