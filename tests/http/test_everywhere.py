"""Settings for browsers and what is beside the pipelines: in every host they are as they are alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import httpx
import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.test import override_settings
from django.urls import include, path, reverse
from fastapi import FastAPI
from flask import Flask, url_for
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Mount
from starlette.testclient import TestClient
from tests.contract.catalogue import flask
from tests.support.asgi import get, post
from tests.support.sockets import Socket

from pipemount import AuthKeys, Cors, Endpoint, PipelineApp, Settings, StaticFolder, pipeline, step
from pipemount.auth.key import Key
from pipemount.bridge import WSGIBridge
from pipemount.testing.hosts.frameworks.django import configure
from pipemount.types import ASGIApp, Receive, Scope, Send

READER, INVOKER = "reader-reader-reader-1", "invoker-invoker-invoker"
APP = "https://app.example"
INVOKE: dict[str, Any] = {"parameters": {}}


@step
def greet(name: str) -> str:
    return f"Hello, {name}!"


@pipeline
def greeting(name: str = "Ada") -> Any:
    return greet(name)


async def version(asked: Request) -> dict[str, Any]:
    return {"by": asked.state.principal and asked.state.principal.name, "url": asked.url.path}


def models(asked: Request) -> str:
    return str(asked.path_params["name"])


class Product:
    """An app with everything, and what it noted."""

    def __init__(self, folder: Path) -> None:
        self.notes: list[str] = []
        keys = AuthKeys([Key("reader", READER, permissions=("read",)), Key("invoker", INVOKER)])
        self.app = PipelineApp(
            greeting,
            auth=keys,
            endpoints=[Endpoint("/version", version, methods=["GET", "POST"]), Endpoint("/models/{name}", models)],
            static=StaticFolder(folder, path="/app", permission=None),
            middleware=[
                Middleware(cast("Any", self.note), mark="first"),
                Middleware(cast("Any", self.note), mark="second"),
            ],
            settings=Settings(
                allowed_hosts=("shop.example",),
                cors=Cors([APP]),
                generate_request_ids=True,
                paths={"/invoke": "/predict", "/jobs": "/tasks", "/stream": "/live"},
                without=("/schema",),
            ),
            on_startup=[self.start, partial(self.start_later, mark="started late")],
            on_shutdown=[self.stop, self.stop_later],
        )

    async def note(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, mark: str) -> None:
        self.notes.append(mark)
        await app(scope, receive, send)

    def start(self) -> None:
        self.notes.append("started")

    async def start_later(self, app: PipelineApp, *, mark: str) -> None:
        await asyncio.sleep(0)
        self.notes.append(mark)

    def stop(self, app: PipelineApp) -> None:
        self.notes.append("stopped")

    async def stop_later(self) -> None:
        self.notes.append("stopped late")


def wsgi_client(host: Any) -> httpx.Client:
    return httpx.Client(transport=httpx.WSGITransport(app=host), base_url="http://shop.example")


def asgi_client(host: Any) -> httpx.Client:
    made: Any = TestClient(host, base_url="http://shop.example", raise_server_exceptions=False)
    return cast("httpx.Client", made)  # as far as the tests use it


def included(app: PipelineApp) -> FastAPI:
    host = FastAPI()
    host.include_router(app.router(), prefix="/ai")
    return host


def under_wsgi(app: PipelineApp) -> Any:
    return app.wrap_wsgi(Flask("host"), "/ai")


HOSTS: dict[str, Callable[[PipelineApp], httpx.Client]] = {
    "mount": lambda app: asgi_client(Starlette(routes=[Mount("/ai", app)])),
    "wrap": lambda app: asgi_client(app.wrap(Starlette(), "/ai")),
    "router": lambda app: asgi_client(included(app)),
    "django-asgi": lambda app: asgi_client(get_asgi_application()),
    "django-wsgi": lambda app: wsgi_client(get_wsgi_application()),
    "flask": lambda app: wsgi_client(flask(app, "/ai")),
    "wrapped-wsgi": lambda app: wsgi_client(under_wsgi(app)),
}


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    (tmp_path / "index.html").write_text("<h1>app</h1>")
    made = Product(tmp_path)
    yield made
    made.app.lifecycle.close()


@pytest.fixture(params=HOSTS)
def client(request: pytest.FixtureRequest, product: Product) -> Iterator[httpx.Client]:
    with ExitStack() as stack:
        if request.param.startswith("django"):
            stack.enter_context(in_django(product.app))
        made = HOSTS[request.param](product.app)
        yield made if request.param == "django-asgi" else stack.enter_context(made)  # Django knows no lifespan


@contextmanager
def in_django(app: PipelineApp, **options: Any) -> Iterator[None]:
    """A project whose URLs have the app; Django keeps its other settings for the process."""
    if not settings.configured:
        configure(Path(os.devnull))
    urls: Any = ModuleType("urls")
    urls.urlpatterns = [path("ai/", include(app.django_urls(**options)))]
    with override_settings(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"]):
        yield


AS_READER, AS_INVOKER = {"X-API-Key": READER}, {"X-API-Key": INVOKER}


def test_c3_other_hosts_are_refused_in_every_host(client: httpx.Client) -> None:
    for headers, status in (({}, 200), ({"Host": "evil.example"}, 421), ({"Host": "shop.example.evil"}, 421)):
        answer = client.post("/ai/predict", json=INVOKE, headers=AS_INVOKER | headers)
        assert answer.status_code == status
    refused = client.get("/ai/health/live", headers={"Host": "evil.example"})
    assert (refused.status_code, refused.json()["code"]) == (421, "host-not-allowed")
    assert refused.headers["x-content-type-options"] == "nosniff"


def test_c4_only_named_origins_are_let_in_in_every_host(client: httpx.Client) -> None:
    for origin, sent in ((APP, APP), ("https://evil.example", None), ("null", None)):
        own = AS_INVOKER | {"Origin": origin}
        answer = client.post("/ai/predict", json=INVOKE, headers=own)
        assert (answer.status_code, answer.headers.get("access-control-allow-origin")) == (200, sent)
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = client.options("/ai/predict", headers=asked)
        assert preflight.status_code == (204 if sent else 400)
        assert preflight.headers.get("access-control-allow-origin") == sent


def test_every_answer_is_named_and_has_each_header_once(client: httpx.Client) -> None:
    asked: list[tuple[str, str, dict[str, str]]] = [
        ("POST", "/predict", AS_INVOKER),
        ("GET", "/nothing", AS_READER),
        ("GET", "/version", {}),
        ("GET", "/app/", {}),
    ]
    for method, where, headers in asked:
        answer = client.request(method, f"/ai{where}", json=INVOKE, headers=headers)
        names = [name.lower() for name, _ in answer.headers.multi_items()]
        assert len(names) == len(set(names)), names
        assert len(answer.headers["x-request-id"]) == 32
        assert answer.headers["x-content-type-options"] == "nosniff"
        named = client.request(method, f"/ai{where}", json=INVOKE, headers=headers | {"X-Request-ID": "desk-7"})
        assert named.headers["x-request-id"] == "desk-7"


def test_endpoints_and_files_are_behind_keys_and_permissions(client: httpx.Client) -> None:
    asked: list[tuple[str, str, dict[str, str], int]] = [
        *[("GET", "/version", {}, 401), ("GET", "/version", AS_READER, 200), ("POST", "/version", AS_READER, 403)],
        *[("POST", "/version", AS_INVOKER, 200), ("GET", "/models/a", {}, 401), ("GET", "/models/a", AS_READER, 200)],
        *[
            ("POST", "/predict", AS_READER, 403),
            ("POST", "/invoke", AS_INVOKER, 404),
            ("GET", "/schema", AS_READER, 404),
        ],
        *[("GET", "/app/index.html", {}, 200), ("GET", "/app/nothing", {}, 404), ("GET", "/tasks", AS_READER, 200)],
        *[("GET", "/jobs", AS_READER, 404), ("DELETE", "/version", AS_READER, 405)],
    ]
    found = [client.request(m, f"/ai{where}", json=INVOKE, headers=h).status_code for m, where, h, _ in asked]
    assert found == [status for *_, status in asked]
    assert client.get("/ai/version", headers=AS_READER).json() == {"by": "reader", "url": "/ai/version"}
    accepted = client.post("/ai/submit", json=INVOKE, headers=AS_INVOKER)
    assert accepted.headers["location"].startswith("/ai/tasks/")
    assert client.get(accepted.headers["location"], headers=AS_READER).status_code in (200, 404)  # another key's


def test_a_page_is_opened_with_a_slash_and_shown_there(client: httpx.Client) -> None:
    assert client.get("/ai/app/", follow_redirects=False).text == "<h1>app</h1>"
    opened = client.get("/ai/app", follow_redirects=False)
    assert (opened.status_code, opened.headers["location"]) == (307, "/ai/app/")
    again = client.get("/ai/app/index.html", headers={"If-None-Match": client.get("/ai/app/").headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_case_22_middleware_and_hooks_once_in_every_host(product: Product, client: httpx.Client) -> None:
    client.post("/ai/predict", json=INVOKE, headers=AS_INVOKER)
    product.notes[:] = [note for note in product.notes if note.startswith("started")]
    assert product.notes == ["started", "started late"]
    for _ in range(3):
        assert client.post("/ai/predict", json=INVOKE, headers=AS_INVOKER).status_code == 200
    assert product.notes[2:] == ["first", "second"] * 3
    product.notes.clear()
    client.close()
    if not product.app.lifecycle.ready:  # the lifespan has ended it
        return
    product.app.lifecycle.close()
    assert product.notes == ["stopped", "stopped late"]


# ----------------------------------------------------------------------------- what a host calls them


def test_django_finds_moved_routes_and_endpoints_by_name(product: Product) -> None:
    with in_django(product.app, name="shop"):
        assert reverse("shop:invoke") == "/ai/predict"
        assert reverse("shop:job", kwargs={"job_id": "7"}) == "/ai/tasks/7"
        assert reverse("shop:custom_version") == "/ai/version"


def test_flask_finds_moved_routes_and_endpoints_by_name(product: Product) -> None:
    host = flask(product.app, "/ai")
    with host.test_request_context():
        assert url_for("pipemount.invoke") == "/ai/predict"
        assert url_for("pipemount.cancel", job_id="7") == "/ai/tasks/7/cancel"
        assert url_for("pipemount.custom_version") == "/ai/version"


def test_a_fastapi_host_documents_moved_routes(product: Product) -> None:
    paths = included(product.app).openapi()["paths"]
    assert {"/ai/predict", "/ai/tasks", "/ai/tasks/{job_id}"} <= paths.keys()
    assert not {"/ai/invoke", "/ai/jobs", "/ai/schema"} & paths.keys()
    merged = product.app.merge_openapi({"openapi": "3.1.0", "paths": {}}, "/ai")["paths"]
    assert "/ai/predict" in merged
    assert "/ai/invoke" not in merged


@pytest.mark.parametrize("root", ["", "/"])
def test_at_the_root_of_flask_what_the_app_has_is_found_and_the_rest_left(root: str, tmp_path: Path) -> None:
    (tmp_path / "app.js").write_text("start()")
    app = PipelineApp(
        greeting, endpoints=[Endpoint("/models/{name}", models)], static=StaticFolder(tmp_path, path="/app")
    )
    host = Flask("host")
    host.add_url_rule("/own/<name>", "own", lambda name: f"own {name}")
    host.register_error_handler(404, lambda error: ("the host's page", 404))
    app.init_app(host, root)
    ask = host.test_client()
    assert ask.get("/models/x").json == "x"
    with ask.get("/app/app.js") as answer:
        assert answer.get_data() == b"start()"
    assert ask.options("/own/thing").allow == {"GET", "HEAD", "OPTIONS"}
    assert ask.get("/own/thing").text == "own thing"
    assert ask.get("/nothing").text == "the host's page"
    app.lifecycle.close()


# -------------------------------------------------------------------------------------- WebSockets


async def test_sockets_move_with_their_path_and_pass_the_middleware(product: Product) -> None:
    own = {"host": "shop.example", "x-api-key": INVOKER}
    async with product.app.lifespan(None), Socket(product.app, "/live", headers=own) as client:
        async with Socket(product.app, "/greeting/live", headers=own):
            assert product.app.sign("7", "read").paths["websocket"].startswith("/live?token=")
        assert await client.ask(type="ping") == {"type": "pong"}
        assert product.notes[-2:] == ["first", "second"]
        told = await client.ask(type="invoke", parameters={})
        assert told["type"] == "accepted"
        assert (await client.hear_until("ended"))[-1]["job_id"] == told["job_id"]
    for where in ("/stream", "/greeting/stream"):
        assert (await Socket(product.app, where, headers=own).refusal())["status"] == 404
    assert (await Socket(product.app, "/live", headers=own | {"host": "evil.example"}).refusal())["status"] == 421


async def test_sockets_and_jobs_switched_off() -> None:
    app = PipelineApp(greeting, settings=Settings(without=("/stream", "/jobs")))
    assert (await Socket(app, "/stream").refusal())["status"] == 404
    assert app.sign("7", "read").paths == {}
    async with app.lifespan(None):
        accepted = await post(app, "/submit", INVOKE)
        assert (accepted.status, "location" in accepted.headers) == (202, False)
        assert (accepted.json()["poll_url"], accepted.json()["stream_url"]) == (None, None)
        stream = await post(app, "/invoke?mode=stream", INVOKE)
        assert (stream.status, "location" in stream.headers) == (200, False)
    assert (await get(app, "/jobs")).status == 404


# ---------------------------------------------------------------------------------- without a loop


def test_a_thread_that_answers_by_itself_keeps_to_the_front() -> None:
    app = PipelineApp(greeting, settings=Settings(allowed_hosts=("shop.example",), cors=Cors([APP])))
    scope = {"type": "http", "method": "POST", "path": "/invoke", "query_string": b"", "headers": []}
    ask = wsgi_client(WSGIBridge(app))
    assert ask.post("/invoke", json=INVOKE, headers={"Origin": APP}).status_code == 200
    assert app.answers_inline(scope)
    answer = ask.post("/invoke", json=INVOKE, headers={"Origin": APP})
    assert answer.headers["access-control-allow-origin"] == APP
    assert ask.post("/invoke", json=INVOKE, headers={"Host": "evil.example"}).status_code == 421
    with_middleware = PipelineApp(greeting, middleware=[Passing])
    assert not with_middleware.answers_inline(scope)  # middleware may wait for a loop
    assert wsgi_client(WSGIBridge(with_middleware)).post("/invoke", json=INVOKE).status_code == 200
    for one in (app, with_middleware):
        one.lifecycle.close()


class Passing:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        await self.app(scope, receive, send)
