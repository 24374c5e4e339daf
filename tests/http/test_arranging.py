"""Routes at other paths, routes switched off, and all extras in every host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from tests.support.asgi import get, post

from pipemount import AuthKeys, Cors, Endpoint, PipelineApp, Settings, StaticFolder, pipeline, step
from pipemount.errors import ConfigurationError

READER, INVOKER = "reader-reader-reader-1", "invoker-invoker-invoker"
AS_READER, AS_INVOKER = {"x-api-key": READER}, {"x-api-key": INVOKER}
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@step
async def greet(name: str) -> str:
    return f"Hello, {name}!"


@pipeline
def greeting(name: str = "Ada") -> Any:
    return greet(name)


def keys() -> AuthKeys:
    from pipemount.auth.key import Key

    return AuthKeys([Key("reader", READER, permissions=frozenset({"read"})), Key("invoker", INVOKER)])


def make(*endpoints: Any, **options: Any) -> PipelineApp:
    return PipelineApp(greeting, endpoints=endpoints, **options)


INVOKE: dict[str, Any] = {"parameters": {}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<h1>app</h1>")
    (dist / "assets" / "app.js").write_text("1234567890")
    (dist / ".env").write_text("TOP=1")
    (dist / ".well-known").mkdir()
    (dist / ".well-known" / "security.txt").write_text("mail")
    (tmp_path / "secret.txt").write_text("TOP")
    (dist / "link.txt").symlink_to(tmp_path / "secret.txt")
    return dist


async def version(asked: Request) -> str:
    return "7"


class Models(HTTPEndpoint):
    async def get(self, asked: Request) -> JSONResponse:
        return JSONResponse({"model": asked.path_params["name"]})


# --------------------------------------------------------------------------------- paths and routes


async def test_case_23_routes_at_paths_of_their_own() -> None:
    app = make(settings=Settings(paths={"/invoke": "/predict", "/docs": "/manual", "/health": "/z", "/info": "/a/b"}))
    async with app.lifespan(None):
        assert (await post(app, "/predict", INVOKE)).json()["success"] is True
        assert (await post(app, "/pipelines/greeting/predict", INVOKE)).status == 200
    assert (await post(app, "/invoke", INVOKE)).status == 404
    assert (await get(app, "/z/live")).json() == {"status": "live"}
    info = (await get(app, "/x/a/b", root_path="/x")).json()
    assert info["urls"]["invoke"] == "/x/pipelines/greeting/predict"
    assert (info["urls"]["docs"], info["urls"]["health"]) == ("/x/manual", "/x/z")
    document = (await get(app, "/openapi.json")).json()
    assert {"/predict", "/manual", "/z", "/z/live", "/a/b"} <= document["paths"].keys()
    assert not {"/invoke", "/docs", "/health", "/info"} & document["paths"].keys()
    page = await get(app, "/manual")
    assert b"/manual/swagger-ui.css" in page.body
    assert (await get(app, "/manual/swagger-ui.css")).status == 200
    assert (await get(app, "/", headers=BROWSER)).headers["location"] == "/manual"


async def test_case_23_routes_switched_off() -> None:
    app = make(
        settings=Settings(without=("/docs", "/metrics", "/info", "/health", "/openapi.json", "/schema")), auth=keys()
    )
    for path in ("/docs", "/docs/swagger-ui.css", "/metrics", "/info", "/health", "/health/live", "/openapi.json"):
        assert (await get(app, path, headers=AS_READER)).status == 404
    index = await get(app, "/", headers={**AS_READER, **BROWSER})
    paths = [route["path"] for route in index.json()["routes"]]
    assert "/invoke" in paths
    assert not {"/docs", "/metrics", "/info", "/health"} & set(paths)
    told = (await get(app, "/pipelines", headers=AS_READER)).json()["pipelines"][0]["urls"]
    assert not {"docs", "info", "health", "openapi", "schema"} & told.keys()
    document = (await get(make(settings=Settings(without=("/docs", "/metrics"))), "/openapi.json")).json()
    assert not {"/docs", "/metrics"} & document["paths"].keys()
    page = await get(make(settings=Settings(without=("/openapi.json",))), "/docs")
    assert (page.status, b"openapi.json" in page.body) == (200, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"paths": {"/nothing": "/x"}},
        {"paths": {"/invoke": "x"}},
        {"paths": {"/invoke": "/x/"}},
        {"paths": {"/invoke": "/a b"}},
        {"paths": {"/invoke": "/{x}"}},
        {"paths": {"/info": "/schema"}},
        {"paths": {"/info": "/docs"}},
        {"paths": {"/jobs": "/a/jobs"}},
        {"without": ("/nothing",)},
        {"without": "/docs"},
        {"paths": "/docs"},
        {"open_routes": ("/nothing",)},
    ],
)
def test_paths_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        make(settings=Settings(**wrong))


async def test_an_open_route_stays_open_wherever_it_is() -> None:
    app = make(
        settings=Settings(paths={"/health/live": "/livez", "/docs": "/d"}, open_routes=("/livez", "/docs")), auth=keys()
    )
    assert (await get(app, "/livez")).status == 200
    assert [(await get(app, path)).status for path in ("/d", "/d/swagger-ui.css")] == [200, 200]
    assert (await get(app, "/info")).status == 401


def test_a_router_at_the_root_takes_what_the_app_has_and_leaves_the_rest(folder: Path) -> None:
    app = make(Endpoint("/models/{name}", Models), static=StaticFolder(folder, path="/app"))
    host = FastAPI()
    host.include_router(app.router())
    host.add_api_route("/own", lambda: "own")
    with TestClient(host) as client:
        asked = ("/models/x", "/app/assets/app.js", "/own", "/info", "/nothing")
        assert [client.get(path).status_code for path in asked] == [200, 200, 200, 200, 404]
        assert client.get("/nothing").json() == {"detail": "Not Found"}


def test_a_preflight_passes_through_flask_to_the_app() -> None:
    host = Flask("host")
    app = make(settings=Settings(cors=Cors(["https://app.example"])))
    app.init_app(host, "/ai")
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    answer = host.test_client().options("/ai/invoke", headers=headers)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    app.lifecycle.close()
