"""Answering through Django's handlers, asked by Django's own test clients."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.test import AsyncRequestFactory, RequestFactory
from django.urls import include, path, resolve, reverse
from tests.django.asking import JSON, OSLO, Asked, only
from tests.django.site.pipelines import pipelines, several, weather

from pipemount import PipelineApp, StaticFolder
from pipemount.http.routes import PARAMETER

ANSWER = "The weather in Oslo is 3.0 degrees Celsius."
ROUTES = [(name, route) for name, app in (("pipemount", pipelines), ("several", several)) for route in app.route_table]


def test_an_invocation(ask: Asked) -> None:
    reply = ask("POST", "/ai/invoke", OSLO)
    assert only(reply) == ANSWER
    assert reply["content-type"] == "application/json"
    assert int(reply["content-length"]) == len(reply.content)
    assert reply["x-run-id"] == reply.json()["metadata"]["run_id"]


@pytest.mark.parametrize(("name", "route"), ROUTES, ids=lambda value: getattr(value, "path", value))
def test_each_route_is_found_by_its_name(name: str, route: Any) -> None:
    mount = {"pipemount": "/ai", "several": "/several"}[name]
    assert reversed_route(name, route) == mount + route.path.replace(PARAMETER, "7")


def reversed_route(name: str, route: Any) -> str:
    return reverse(f"{name}:{route.name}", kwargs={"job_id": "7"} if PARAMETER in route.path else None)


@pytest.mark.parametrize("route", [r for r in pipelines.route_table if "GET" in r.methods], ids=lambda r: r.path)
def test_each_route_answers(ask: Asked, route: Any) -> None:
    reply = ask("GET", reversed_route("pipemount", route))
    assert reply.status_code == (404 if PARAMETER in route.path else 200)
    assert len(reply.content) == int(reply["content-length"])


def test_links_start_at_the_mount(ask: Asked) -> None:
    urls = {route["path"]: route["url"] for route in ask("GET", "/ai/").json()["routes"]}
    assert urls["/invoke"] == "/ai/invoke"
    document = ask("GET", "/several/openapi.json").json()
    assert document["servers"] == [{"url": "/several"}]


def test_a_script_name_is_part_of_the_links(ask: Asked, settings: Any) -> None:
    settings.FORCE_SCRIPT_NAME = "/app"
    urls = {route["path"]: route["url"] for route in ask("GET", "/ai/").json()["routes"]}
    assert urls["/invoke"] == "/app/ai/invoke"


def test_a_browser_is_sent_to_the_docs(ask: Asked) -> None:
    reply = ask("GET", "/ai/", headers={"accept": "text/html"})
    assert (reply.status_code, reply["location"]) == (307, "/ai/docs")
    assert "content-type" not in reply


def test_unknown_paths_are_answered_by_the_app(ask: Asked) -> None:
    reply = ask("GET", "/ai/not/here", headers={"x-request-id": "r-1"})
    assert reply.status_code == 404
    assert reply["content-type"] == "application/problem+json"
    assert reply.json()["instance"] == "/ai/not/here"
    assert reply["x-request-id"] == "r-1"


@pytest.mark.parametrize("name", ["%C3%AA", "%F3%9E%B1%BC", "%FF", "%E2%82", "+", "%25"])
def test_a_path_in_any_script_reaches_the_app(ask: Asked, name: str) -> None:
    """Django decodes the path in the WSGI environment itself."""
    reply = ask("GET", f"/ai/jobs/{name}")
    assert (reply.status_code, reply.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize("path", ["/ai/invoke/", "/ai/pipelines/weather/invoke/"])
def test_a_slash_at_the_end_changes_nothing(ask: Asked, path: str) -> None:
    assert only(ask("POST", path, OSLO)) == ANSWER


def test_nothing_is_redirected_for_want_of_a_slash(ask: Asked) -> None:
    assert ask("GET", "/ai/info").status_code == 200
    assert ask("GET", "/ai/nothing").status_code == 404


def test_other_methods(ask: Asked) -> None:
    reply = ask("DELETE", "/ai/invoke")
    assert (reply.status_code, reply["allow"]) == (405, "POST")
    head = ask("HEAD", "/ai/info")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head["content-length"]) > 0


def test_a_mount_may_have_variables(ask: Asked) -> None:
    assert only(ask("POST", "/acme/ai/weather/invoke", OSLO)) == ANSWER
    assert ask("GET", "/acme/ai/").json()["routes"][0]["url"].startswith("/acme/ai/")


def test_faults_are_problems(ask: Asked) -> None:
    reply = ask("POST", "/ai/invoke", {"parameters": {"city": []}})
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid-inputs")
    reply = ask("POST", "/ai/invoke", "{", JSON)
    assert (reply.status_code, reply.json()["code"]) == (400, "malformed-request")


def test_an_upload_of_many_parts(ask: Asked) -> None:
    city = "O" * 3_000_000
    assert len(only(ask("POST", "/ai/invoke", {"parameters": {"city": city}}))) > 3_000_000


def test_the_view_is_a_coroutine_function_where_a_loop_runs() -> None:
    view = resolve("/ai/invoke").func

    async def on_a_loop() -> bool:
        return iscoroutinefunction(view)

    assert asyncio.run(on_a_loop())
    assert not iscoroutinefunction(view)
    with pytest.raises(AttributeError, match="something"):
        view.something  # type: ignore[attr-defined]  # noqa: B018 - the view has no such thing


def test_request_factories() -> None:
    view, args, kwargs = resolve("/ai/invoke")
    request = RequestFactory().post("/ai/invoke", OSLO, content_type=JSON)
    assert only_of(view(request, *args, **kwargs)) == ANSWER


async def test_async_request_factories() -> None:
    view, args, kwargs = resolve("/ai/invoke")
    request = AsyncRequestFactory().post("/ai/invoke", OSLO, content_type=JSON)
    assert only_of(await view(request, *args, **kwargs)) == ANSWER


def test_a_sync_wrapper_around_the_view_under_asgi(ask: Asked) -> None:
    """As some of the packages do that put decorators around an include: the request is an ASGI one, the view sync."""
    assert only(ask("POST", "/wrapped/invoke", OSLO)) == ANSWER


def test_what_a_middleware_has_read_is_there_still(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.django.site.middleware.READ", True)
    assert only(ask("POST", "/ai/invoke", OSLO)) == ANSWER


def test_a_middleware_that_knows_no_loop(ask: Asked, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.django.site.middleware.sync_only"]
    reply = Asked(ask.kind)("POST", "/ai/invoke", OSLO)
    assert only(reply) == ANSWER
    assert reply["x-sync-only"] == "yes"


def only_of(response: Any) -> Any:
    assert response.status_code == 200, response.content
    [value] = json.loads(response.content)["outputs"].values()
    return value


def test_the_page_of_a_folder_beside_the_api(ask: Asked, settings: Any, tmp_path: Path) -> None:
    """It is found at its slash, and is not sent there again and again."""
    (tmp_path / "index.html").write_text("<h1>app</h1>")
    app = PipelineApp(weather, static=StaticFolder(tmp_path, path="/app"))
    urls = ModuleType("urls")
    urls.__dict__["urlpatterns"] = [path("ai/", include(app.django_urls()))]
    settings.ROOT_URLCONF = urls
    assert ask("GET", "/ai/app")["location"] == "/ai/app/"
    assert ask("GET", "/ai/app/").content == b"<h1>app</h1>"
    assert ask("GET", "/ai/info/").status_code == 200
