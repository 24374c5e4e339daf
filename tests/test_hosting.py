"""One app in every place of a host at once, several apps in one host, and hosts with layers of their own."""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import Mount, Route
from tests.support.asgi import post
from tests.support.client import TestClient

from pipemount import AuthKeys, PipelineApp, StepContext, pipeline, step
from pipemount.http.middleware import PipelineMiddleware

EMPTY: dict[str, Any] = {"parameters": {}}
OLD, NEW = "the old key of the team", "the new key of the team"


class Product:
    """A pipeline called ``weather`` with a state of its own, and the notes of its life."""

    def __init__(self, state: str, auth: AuthKeys | None = None) -> None:
        self.notes: list[str] = []
        self.pipelines = PipelineApp(self._pipeline(state), auth=auth)

    def _pipeline(self, state: str) -> Any:
        def init() -> str:
            self.notes.append("init")
            return state

        def cleanup() -> None:
            self.notes.append("cleanup")

        @step
        async def tell(text: str, context: StepContext) -> str:
            who = context.principal.name if context.principal else "nobody"
            return f"{context.pipeline_state} {text} {who}"

        @pipeline(name="weather", on_init=init, on_cleanup=cleanup)
        def weather(text: str = "x") -> Any:
            return tell(text)

        return weather


def output(client: TestClient, prefix: str, **headers: str) -> str:
    answer = client.post(f"{prefix}/invoke", json=EMPTY, headers=headers)
    assert answer.status_code == 200, answer.text
    value: str = answer.json()["outputs"]["output"]
    return value


def test_two_apps_with_the_same_name_in_one_host_keep_their_own_state() -> None:
    first, second = Product("first"), Product("second")
    app = FastAPI()
    app.include_router(first.pipelines.router(), prefix="/a")
    app.include_router(second.pipelines.router(), prefix="/b")

    with TestClient(app) as client:
        assert (output(client, "/a"), output(client, "/b")) == ("first x nobody", "second x nobody")
        operations = [one for item in client.get("/openapi.json").json()["paths"].values() for one in item.values()]

    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    assert first.notes == second.notes == ["init", "cleanup"]


def test_one_app_in_every_place_at_once_lives_once() -> None:
    product = Product("state")
    router = product.pipelines.router()
    app = FastAPI(lifespan=product.pipelines.lifespan)
    app.include_router(router, prefix="/a")
    app.include_router(router, prefix="/b")
    app.include_router(product.pipelines.router(), prefix="/tenants/{tenant}")
    app.mount("/m", product.pipelines)
    app.add_middleware(PipelineMiddleware, pipelines=product.pipelines, path="/w")

    for _ in range(2):
        with TestClient(product.pipelines.wrap(app, "/v")) as client:
            for prefix in ("/a", "/b", "/tenants/x%20y", "/m", "/w", "/v"):
                assert output(client, prefix) == "state x nobody"
                assert client.get(f"{prefix}/info").json()["urls"]["index"] == f"{prefix}/"
            assert client.get("/openapi.json").status_code == 200

    assert product.notes == ["init", "cleanup"] * 2


def test_a_router_in_a_router_obeys_all_their_dependencies() -> None:
    product, seen = Product("state"), list[str]()
    outer = APIRouter(prefix="/x", dependencies=[Depends(lambda: seen.append("outer"))])
    outer.include_router(product.pipelines.router(), prefix="/y", dependencies=[Depends(lambda: seen.append("inner"))])
    app = FastAPI(dependencies=[Depends(lambda: seen.append("app"))])
    app.include_router(outer, prefix="/z")

    with TestClient(app) as client:
        for path in ("/weather/info", "/docs/swagger-ui.css", ""):
            assert client.get("/z/x/y" + path).status_code == 200
            assert seen == ["app", "outer", "inner"]
            seen.clear()

    assert product.notes == ["init", "cleanup"]


METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "BREW")
TRICKS = [
    *("", "/", "/invoke", "/invoke/", "//invoke", "/%69nvoke", "/weather/invoke", "/pipelines/weather/invoke"),
    *("/x/../invoke", "/..%2finvoke", "/invoke%00", "/health/live", "/docs", "/docs/swagger-ui.css", "/openapi.json"),
]


@pytest.mark.parametrize("path", TRICKS)
def test_no_path_and_no_method_leads_past_the_host_s_login(path: str) -> None:
    def login(request: Request) -> None:
        if "authorization" not in request.headers:
            raise HTTPException(401)

    app = FastAPI(redirect_slashes=False)
    app.include_router(Product("state").pipelines.router(), prefix="/ai", dependencies=[Depends(login)])
    with TestClient(app) as client:
        for method in METHODS:
            for prefix in ("/ai", "/%61i"):
                assert client.request(method, prefix + path, json=EMPTY).status_code == 401


def test_around_the_host_s_own_lifespan_below_nested_mounts() -> None:
    product = Product("state")

    @asynccontextmanager
    async def own(app: Any) -> AsyncIterator[dict[str, str]]:
        product.notes.append("host start")
        yield {"pool": "open"}
        product.notes.append("host stop")

    async def page(request: Request) -> Response:
        return PlainTextResponse(f"{request.state.pool} {(await product.pipelines.run('weather', text='q')).value}")

    inner = Mount("/y", Starlette(routes=[Mount("/ai", product.pipelines)]))
    routes = [Route("/page", page), Mount("/x", Starlette(routes=[inner]))]
    app = Starlette(lifespan=product.pipelines.lifespan.around(own), routes=routes)

    with TestClient(app) as client:
        assert output(client, "/x/y/ai") == "state x nobody"
        assert client.get("/page").text == "open state q nobody"
        assert client.get("/x/y/ai/info").json()["urls"]["docs"] == "/x/y/ai/docs"

    assert product.notes == ["init", "host start", "host stop", "cleanup"]


def test_layers_and_handlers_of_the_host() -> None:
    product = Product("state")

    class Reads(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            sent = await request.body()
            response = await call_next(request)
            response.headers["x-sent"] = str(len(sent))
            return response

    async def own_404(request: Request, error: Exception) -> Response:
        return PlainTextResponse("not here", 404)

    def user() -> str:
        raise HTTPException(401)

    app = FastAPI(exception_handlers={404: own_404})
    app.include_router(product.pipelines.router(principal=user), prefix="/ai")
    app.mount("/m", product.pipelines)
    app.add_middleware(Reads)
    app.add_middleware(GZipMiddleware, minimum_size=10)

    with TestClient(app) as client:
        assert client.post("/ai/invoke", json=EMPTY).status_code == 401
        app.dependency_overrides[user] = lambda: "bob"
        assert output(client, "/ai") == "state x bob"
        answer = client.post("/m/invoke", json=EMPTY)
        assert (answer.headers["content-encoding"], answer.headers["x-sent"]) == ("gzip", "17")
        assert client.get("/nothing").text == "not here"
        assert client.get("/ai/nothing").json()["code"] == client.get("/m/nothing").json()["code"] == "not-found"
        assert client.head("/m/info").content == b""


class Account:
    name = "ada"

    def __repr__(self) -> str:
        return "Account(password_hash='secret')"


@pytest.mark.parametrize(
    ("user", "name"),
    [
        (Account(), "ada"),
        ({"sub": "ada", "token": "secret"}, "ada"),
        ({"token": "secret"}, "dict"),
        (7, "7"),
        (object(), "object"),
    ],
    ids=["object", "claims", "claims of nobody", "number", "nameless"],
)
def test_a_user_of_the_host_is_called_by_name_and_never_written_out(user: Any, name: str) -> None:
    app = FastAPI()
    app.include_router(Product("state").pipelines.router(principal=lambda: user), prefix="/ai")
    with TestClient(app) as client:
        assert output(client, "/ai") == f"state x {name}"


def test_a_key_file_is_exchanged_while_it_serves(tmp_path: Path) -> None:
    file, clock = tmp_path / "keys", [0.0]

    def write(key: str) -> None:
        new = tmp_path / "new"
        new.write_text(key)
        new.chmod(0o600)
        new.rename(file)

    write(OLD)
    auth = AuthKeys.from_file(file, monotonic=lambda: clock[0])
    with TestClient(Product("state", auth).pipelines) as client:

        def statuses() -> list[int]:
            return [client.get("/info", headers={"x-api-key": key}).status_code for key in (OLD, NEW)]

        assert statuses() == [200, 401]
        write(NEW)
        clock[0] = 2.0
        assert statuses() == [401, 200]
        write("# no key at all")
        clock[0] = 4.0
        assert statuses() == [401, 200]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
def test_a_fork_after_import_and_after_a_start_lives_its_own_life(tmp_path: Path) -> None:
    product = Product("state")

    def ask() -> str:
        answer = asyncio.run(post(product.pipelines, "/invoke", EMPTY))
        return str(answer.json()["outputs"]["output"])

    ask()
    child = os.fork()
    if child == 0:  # pragma: no cover  another process
        try:
            product.notes.clear()
            told = ask()
            product.pipelines.lifecycle.close()
            (tmp_path / "told").write_text(f"{told} {product.notes}")
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert (tmp_path / "told").read_text() == "state x nobody ['init', 'cleanup']"
    assert ask() == "state x nobody"
    product.pipelines.lifecycle.close()
    assert product.notes == ["init", "cleanup"]


def test_a_host_that_copies_what_is_mounted_in_it_has_the_app_itself() -> None:
    """As Litestar's routers do."""
    pipelines = Product("state").pipelines
    assert copy.deepcopy({"mounted": pipelines})["mounted"] is pipelines
