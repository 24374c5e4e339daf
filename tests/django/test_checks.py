"""``manage.py check``: each way in which a mount would not work as it was meant."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.decorators import login_not_required, login_required
from django.core.checks import run_checks
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, clear_url_caches, include, path, re_path

from pipemount import AuthKeys, PipelineApp, Settings, pipeline, step
from pipemount.django.checks import TAG

URLS = "tests.django.site.urls_of_a_test"
LOGIN = "django.contrib.auth.middleware.LoginRequiredMiddleware"
KEYS = AuthKeys(["correct-horse-battery-staple"])


@step
def work(number: int) -> int:
    return number


@step(affinity="request")
def ask(number: int) -> int:
    return number


def load() -> None: ...


@pipeline
def plain(number: int = 1) -> Any:
    return work(number)


@pipeline
def bound(number: int = 1) -> Any:
    return ask(number)


@pipeline
def outer(numbers: list[int]) -> Any:
    return plain.map(numbers)


@pipeline(on_init=load)
def loading(number: int = 1) -> Any:
    return ask(number)


def other(request: HttpRequest, **captured: str) -> HttpResponse:
    return HttpResponse()


Patterns = list[URLPattern | URLResolver]


@pytest.fixture
def check(settings: Any) -> Iterator[Any]:
    """The ids of what the checks tell about a project with these URLs."""

    def run(*patterns: URLPattern | URLResolver) -> list[str]:
        module = ModuleType(URLS)
        module.urlpatterns = list(patterns)  # type: ignore[attr-defined]  # what Django looks for
        sys.modules[URLS] = module
        settings.ROOT_URLCONF = URLS
        clear_url_caches()
        run.found = run_checks(tags=[TAG])  # type: ignore[attr-defined]  # for tests that read the text
        return [str(message.id).removeprefix("pipemount.") for message in run.found]  # type: ignore[attr-defined]

    yield run
    sys.modules.pop(URLS, None)
    clear_url_caches()


def mount(at: str, app: PipelineApp, *before: Any, **options: Any) -> Any:
    return path(at, include(app.django_urls(before, **options)))


def closed(*pipelines: Any, **settings: Any) -> PipelineApp:
    named = {one.name: one for one in pipelines or (bound,)}
    return PipelineApp(named, auth=KEYS, settings=Settings(**settings))


def test_the_app_registers_the_checks_and_a_model_without_a_table() -> None:
    config = apps.get_app_config("pipemount")
    assert config.name == "pipemount.django"
    assert [(model.__name__, model._meta.managed) for model in config.get_models()] == [("Job", False)]


def test_a_good_mount(check: Any) -> None:
    assert check(mount("ai/", closed())) == []
    assert check() == []


def test_a_pattern_in_front(check: Any) -> None:
    assert check(path("<path:anything>", other), mount("ai/", closed())) == ["W001"]
    assert "/ai/ do not get to the pipelines: other" in check.found[0].msg
    assert check(mount("ai/", closed()), path("<path:anything>", other)) == []
    assert check(mount("", closed(), name="all"), mount("ai/", closed())) == ["W001"]
    assert check(path("<slug:a>/info", other), mount("<slug:a>/", closed())) == []  # cannot be told


def test_a_mount_at_the_root_in_front_of_others(check: Any) -> None:
    assert check(mount("", closed()), path("page/", other)) == ["W011"]
    assert "/page/ get to the pipelines" in check.found[0].msg
    assert check(path("page/", other), mount("", closed())) == []
    assert check(path("", include([mount("", closed())])), path("page/", other)) == []  # is not looked for


def test_a_mount_under_an_include(check: Any) -> None:
    inner = include([path("invoke", other), mount("", closed())])
    assert check(path("deep/", inner)) == ["W001"]
    assert "/deep/invoke" in check.found[0].msg


def test_a_mount_at_an_expression(check: Any) -> None:
    assert check(re_path("^ai/", include(closed().django_urls()))) == []
    assert check(path("deep/", include([re_path("^ai/", include(closed().django_urls()))]))) == []  # cannot be told


def test_a_mount_without_its_slash(check: Any) -> None:
    assert check(mount("ai", closed())) == ["W002"]
    assert "path('ai/', include(...))" in check.found[0].hint


def test_a_mount_that_is_open_to_all(check: Any, settings: Any) -> None:
    app = PipelineApp(bound)
    assert check(mount("ai/", app)) == ["W003"]
    assert check(mount("ai/", app, login_required)) == []
    assert check(mount("ai/", app, permissions={"invoke": "site.run_notes"})) == []
    assert check(mount("ai/", app, principal=lambda request: None)) == []
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN]
    assert check(mount("ai/", app)) == []


def test_keys_behind_a_login_for_all(check: Any, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN]
    assert check(mount("ai/", closed())) == ["W010"]
    assert check(mount("ai/", closed(), login_not_required)) == []


class Asgi:
    """``settings.ASGI_APPLICATION`` points into it."""

    application: Any = None


def test_no_lifespan_for_a_start_that_takes_its_time(
    check: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, host = closed(loading), object()
    module = ModuleType("tests_asgi")
    monkeypatch.setitem(sys.modules, "tests_asgi", module)
    monkeypatch.setattr(module, "application", host, raising=False)
    assert check(mount("ai/", app)) == []
    settings.ASGI_APPLICATION = "tests_asgi.application"
    assert check(mount("ai/", app)) == ["W004"]
    assert check(mount("ai/", closed(bound))) == []
    for wrapped in (
        app.wrap(host, "/ai"),  # type: ignore[call-overload]  # never called
        SimpleNamespace(application=app.wrap(host, "/ai")),  # type: ignore[call-overload]  # never called
        SimpleNamespace(application_mapping={"http": host, "lifespan": app}),
    ):
        monkeypatch.setattr(module, "application", wrapped)
        assert check(mount("ai/", app)) == []
    loop = SimpleNamespace(app=None)
    loop.app = loop
    monkeypatch.setattr(module, "application", loop)
    assert check(mount("ai/", app)) == ["W004"]
    settings.ASGI_APPLICATION = "tests_asgi.nothing"
    assert check(mount("ai/", app)) == []


def test_atomic_requests_with_steps_in_other_threads(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    assert check(mount("ai/", closed(plain))) == ["W005"]
    assert "for work: they run" in check.found[0].msg
    assert check(mount("ai/", closed(outer))) == ["W005"]
    assert check(mount("ai/", closed(bound))) == []
    assert check(mount("ai/", closed(plain, affinity="request"))) == []


def test_sqlite_in_memory_with_steps_in_other_threads(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", ":memory:")
    assert check(mount("ai/", closed(plain))) == ["W006"]
    assert check(mount("ai/", closed(bound))) == []


def test_uwsgi_without_threads(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt={}))
    assert check(mount("ai/", closed(bound))) == ["W007"]
    assert check() == []
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt={"enable-threads": True}))
    assert check(mount("ai/", closed(bound))) == []


@pytest.mark.parametrize("age", [None, 60])
def test_connections_that_live_on_in_many_threads(check: Any, monkeypatch: pytest.MonkeyPatch, age: int | None) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", age)
    assert check(mount("ai/", closed(plain, threads=7))) == ["W008"]
    assert "each of up to 7 threads that run work" in check.found[0].msg
    assert check(mount("ai/", closed(bound))) == []


def test_a_limit_for_forms_only(check: Any, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert check(mount("ai/", closed())) == ["W009"]
    assert check(mount("ai/", closed(max_body_bytes=1000))) == []


def test_an_app_that_is_mounted_twice_is_told_once(check: Any, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    app = closed()
    assert check(mount("a/", app), mount("b/", app, name="b")) == ["W009"]


def test_many_steps_are_counted(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)

    @pipeline
    def row(number: int = 1) -> Any:
        for name in "abcde":
            number = work.with_options(name=name)(number)
        return number

    assert check(mount("ai/", closed(row))) == ["W005"]
    assert "a, b, c and 2 more" in check.found[0].msg
