"""Mounts and root paths: the same routes, links that resolve, no redirect; in a host, only what the host lets in."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, unquote

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from tests.contract.catalogue import weather
from tests.support.asgi import Answer, get, post, request
from tests.support.servers import Server, serve

from pipemount import AuthKeys, PipelineApp, StepContext, pipeline, step
from pipemount.types import ASGIApp, Receive, Scope, Send

MOUNTS = ["", "/p", "/a/b c"]
TAKE_POST = ("/invoke", "/submit", "/batch", "/tokens")
LINKS = {"info", "schema", "openapi", "docs", "health", "index", "pipelines"}


def prefixed(app: ASGIApp, root: str, *, included: bool) -> ASGIApp:
    """``app`` as behind a proxy that strips ``root``: servers put it into ``path`` (ASGI) or leave it out."""

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        path = root + scope["path"] if included else scope["path"]
        await app({**scope, "root_path": root, "path": path}, receive, send)

    return server


FORMS: dict[str, Callable[[ASGIApp], ASGIApp]] = {
    "no root path": lambda app: app,
    "root path included": lambda app: prefixed(app, "/proxy", included=True),
    "root path excluded": lambda app: prefixed(app, "/proxy", included=False),
}


def nested(host: type[Starlette], app: ASGIApp, mount: str) -> ASGIApp:
    """The app at ``mount``, by one mount for each segment."""
    found = app
    for segment in reversed(mount.split("/")[1:]):
        found = host(routes=[Mount(f"/{segment}", found)])
    return found


def included(app: PipelineApp, mount: str) -> ASGIApp:
    host = FastAPI()
    host.include_router(app.router(), prefix=mount)
    return host


HOSTS: dict[str, Callable[[PipelineApp, str], ASGIApp]] = {
    "starlette": lambda app, mount: Starlette(routes=[Mount(mount, app)]),
    "fastapi": lambda app, mount: FastAPI(routes=[Mount(mount, app)]),
    "nested": lambda app, mount: nested(Starlette, nested(FastAPI, app, mount), "/outer"),
    "included": included,
    "wrapped": lambda app, mount: app.wrap(Starlette(), mount) if mount else app,
}


@asynccontextmanager
async def running(app: PipelineApp) -> AsyncIterator[PipelineApp]:
    async with app.lifespan(None):
        yield app


def expected(link: str) -> int:
    """What a GET is answered: no job is called ``{job_id}``."""
    if "{job_id}" in link:
        return 405 if link.endswith(("/cancel", "/resume", "/retry")) else 404
    return 405 if link.endswith(TAKE_POST) else 200


async def check_routes(app: ASGIApp, mount: str, shown: str) -> None:
    """Every route answers at ``mount``; every link starts with ``shown``, the mount as the caller sees it."""
    answer = await post(app, f"{mount}/invoke", {"parameters": {"city": "Oslo", "temperature": 3}})
    assert answer.status == 200, answer.body
    for slashed in ("/invoke/", "/pipelines/weather/invoke", "/weather/invoke/"):
        assert (await post(app, mount + slashed, {"parameters": {}})).status == 200
    info = (await get(app, f"{mount}/info")).json()
    assert set(info["urls"]) >= LINKS
    index = (await get(app, f"{mount}/")).json()
    links = [*info["urls"].values(), *(route["url"] for route in index["routes"])]
    for link in links:
        assert link.startswith(quote(shown) + "/") or link == quote(shown), link
        found = await get(app, mount + unquote(link.removeprefix(quote(shown))))
        assert found.status == expected(link), link
    document = (await get(app, f"{mount}/openapi.json")).json()
    assert document["servers"] == [{"url": quote(shown) or "/"}]
    problem = await get(app, f"{mount}/nothing")
    assert (problem.status, problem.json()["instance"]) == (404, quote(shown + "/nothing"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.no_cover
async def test_the_path_matrix(mount: str, host: str, form: str) -> None:
    if host == "included" and not mount:
        pytest.skip("included without a prefix a router takes only paths that the app knows: see below")
    if host == "nested" and form == "root path excluded":
        pytest.skip("Starlette itself does not find the inner one of two mounts then")
    async with running(PipelineApp(weather)) as pipelines:
        app = FORMS[form](HOSTS[host](pipelines, mount))
        mount = f"/outer{mount}" if host == "nested" else mount
        await check_routes(app, mount, ("" if form == "no root path" else "/proxy") + mount)


@pytest.mark.parametrize("host", ["included", "wrapped"])
async def test_the_index_is_at_the_mount_itself_with_and_without_a_slash(host: str) -> None:
    """A ``Mount`` redirects the path without the slash, before we are asked."""
    app = HOSTS[host](PipelineApp(weather), "/p")
    bare, slashed = await get(app, "/p"), await get(app, "/p/")
    assert (bare.status, bare.body) == (200, slashed.body)


async def test_a_router_without_a_prefix_leaves_the_rest_to_the_host() -> None:
    host = FastAPI()
    async with running(PipelineApp(weather)) as pipelines:
        host.include_router(pipelines.router())

        @host.get("/page")
        def page() -> str:
            return "the host"

        assert (await get(host, "/page")).json() == "the host"
        assert (await get(host, "/nothing")).json() == {"detail": "Not Found"}
        assert (await post(host, "/invoke", {"parameters": {}})).status == 200


# ------------------------------------------------------------------------------------- real servers

SERVERS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "uvicorn": (("uvicorn", "{app}", "--port", "{port}", "--log-level", "warning"), ("--root-path", "/proxy")),
    "hypercorn": (("hypercorn", "{app}", "--bind", "127.0.0.1:{port}"), ("--root-path", "/proxy")),
    "granian": (
        ("granian", "{app}", "--port", "{port}", "--no-access-log", "--interface", "asgi"),
        ("--url-path-prefix", "/proxy"),
    ),
}
OFTEN = {
    *(("uvicorn", mount, rooted) for mount in MOUNTS for rooted in (True, False)),
    *((server, "/a/b c", True) for server in SERVERS),
}
ON_SERVERS = [
    pytest.param(server, mount, rooted, marks=() if (server, mount, rooted) in OFTEN else pytest.mark.full)
    for server in SERVERS
    for mount in MOUNTS
    for rooted in (False, True)
]


@pytest.mark.server
@pytest.mark.parametrize(("name", "mount", "rooted"), ON_SERVERS)
def test_the_path_matrix_on_servers(tmp_path: Path, name: str, mount: str, rooted: bool) -> None:
    """uvicorn includes its root path in ``path``; hypercorn and granian do not."""
    command, root_options = SERVERS[name]
    command = [part.replace("{app}", "tests.contract.product:app") for part in command]
    env = {"HOST": "starlette" if mount else "alone", "MOUNT": mount}
    with serve([*command, *(root_options if rooted else ())], folder=tmp_path, env=env) as server:
        asked = "/proxy" + quote(mount) if rooted and name == "granian" else quote(mount)
        shown = ("/proxy" if rooted else "") + quote(mount)
        answer = server.post(f"{asked}/invoke", {"parameters": {}})
        assert answer.status == 200, answer.body
        info = server.get(f"{asked}/info").json()
        index = server.get(f"{asked}/").json()
        for link in (*info["urls"].values(), *(route["url"] for route in index["routes"])):
            assert link.startswith(f"{shown}/") or link == shown, link
            status = server.get(asked + link.removeprefix(shown)).status
            assert status == expected(link), link
        assert server.get(f"{asked}/info/").status == 200
        for path in ODD_PATHS:
            check_no_route(raw_request(server, f"{asked}{path}"))


# ---------------------------------------------------------------------------------------- odd paths

ODD_PATHS = [
    *("//info", "/%2Finfo", "/%2finfo", "/./info", "/../info", "/docs/../info", "/docs/%2e%2e/info", "/docs/..%2finfo"),
    *(
        "/info//x",
        "/info;x=1",
        "/INFO",
        "/info%00",
        "/info%20",
        "/in%66o/x",
        "/..",
        "/%2e%2e/info",
        "/pipelines//weather/info",
    ),
    *("/pipelines/../info", "/weather%2finfo", "/pipelines/weather/../../info", "/docs/swagger-ui.css/../../info"),
]


def raw_request(server: Server, target: str) -> tuple[int, bytes]:
    """A request whose target is sent as it is written."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def check_no_route(answer: tuple[int, bytes]) -> None:
    status, body = answer
    assert status in (400, 404), body
    assert b"input_schema" not in body


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("host", ["starlette", "fastapi", "included", "wrapped"])
async def test_odd_paths_never_reach_a_route(host: str, mount: str) -> None:
    """As a server hands them over: ``path`` unquoted, ``raw_path`` as it came."""
    if host == "included" and not mount:
        pytest.skip("the host's own 404s")
    app = HOSTS[host](PipelineApp(weather), mount)
    for path in ODD_PATHS:
        raw = (quote(mount) + path).encode()
        answer = await get(app, mount + unquote(path), raw_path=raw)
        check_no_route((answer.status, answer.body))
        assert "location" not in answer.headers


# ------------------------------------------------------------------------------- the host's own login


class RefusedError(HTTPException):
    """Not logged in."""

    def __init__(self) -> None:
        super().__init__(401, "log in")


def login(authorization: Annotated[str | None, Header()] = None) -> str:
    if authorization != "Bearer user":
        raise RefusedError
    return "user"


def all_routes(routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """All routes, those of mounted and included routers too."""
    for route in routes:
        yield route
        yield from all_routes(getattr(route, "routes", None) or [])
        original = getattr(route, "original_router", None)
        if original is not None:
            yield from all_routes(original.routes)


@pytest.mark.parametrize("lock", ["include_router", "router", "app"])
async def test_every_route_of_an_included_router_obeys_the_host(lock: str) -> None:
    pipelines = PipelineApp({"one": weather, "two": weather})
    dependencies = [Depends(login)]
    host = FastAPI(
        dependencies=dependencies if lock == "app" else None, docs_url=None, redoc_url=None, openapi_url=None
    )
    router = pipelines.router(dependencies=dependencies if lock == "router" else [])
    host.include_router(router, prefix="/ai", dependencies=dependencies if lock == "include_router" else [])

    declared = {path for route in all_routes(host.routes) if isinstance(path := getattr(route, "path", None), str)}
    paths = {f"/ai{route.path}".rstrip("/") for route in pipelines.route_table} | {
        *(path if path.startswith("/ai") else f"/ai{path}" for path in declared if "{" not in path),
        *("/ai", "/ai/", "/ai/nothing", "/ai/one", "/ai/pipelines/three/info", "/ai/docs/nothing.js", "/ai//invoke"),
        *("/ai/%2e%2e/info", "/ai/info/", "/ai/invoke/", "/ai/jobs/1"),
    }
    assert len(paths) > 25
    for path in sorted(paths):
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
            answer = await request(host, method, path, body=b"{}", headers={"content-type": "application/json"})
            assert answer.status in (401, 405), (method, path, answer.status, answer.body)
            if answer.status == 405:  # the host's own: nothing of ours answered
                assert answer.json() == {"detail": "Method Not Allowed"}, (method, path)
    allowed = await get(host, "/ai/one/info", headers={"authorization": "Bearer user"})
    assert allowed.status == 200


# -------------------------------------------------------------------------------------- side by side


class Item(BaseModel):
    """The host's."""

    title: str
    price: float


def make_host() -> FastAPI:
    host = FastAPI()

    @host.post("/items")
    def create(item: Item) -> Item:
        return item

    return host


def make_item_pipeline() -> Any:
    class Item(BaseModel):
        """The pipeline's."""

        weight: int

    @step
    def weigh(item: Item) -> Item:
        return item

    @pipeline
    def scales(item: Item) -> Any:
        return weigh(item)

    weigh.spec.function.__annotations__.update(item=Item)
    return scales


async def test_a_host_s_component_stays_as_it_is_beside_a_pipeline_s_of_that_name() -> None:
    before = (await get(make_host(), "/openapi.json")).json()
    host = make_host()
    host.include_router(PipelineApp(make_item_pipeline()).router(), prefix="/ai")
    after = (await get(host, "/openapi.json")).json()
    schemas = after["components"]["schemas"]
    assert schemas["scales_Item"]["properties"].keys() == {"weight"}
    for name, schema in before["components"]["schemas"].items():
        assert json.dumps(schemas[name]) == json.dumps(schema)
    assert json.dumps(after["paths"]["/items"]) == json.dumps(before["paths"]["/items"])


def stateful(name: str, state: dict[str, str]) -> Any:
    @step
    async def tell(context: StepContext) -> dict[str, str]:
        return dict(context.pipeline_state)

    @step
    async def write(value: str, context: StepContext) -> str:
        context.pipeline_state["written"] = value
        return value

    @pipeline(name=name, on_init=lambda: state)
    def remembering(value: str | None = None) -> Any:
        return tell()

    return remembering


async def outputs(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return answer.json()["outputs"]["output"]


@pytest.mark.parametrize("together", [True, False], ids=["one-app", "two-apps"])
async def test_two_pipelines_keep_their_own_state(together: bool) -> None:
    one, two = stateful("one", {"of": "one"}), stateful("two", {"of": "two"})
    apps = [PipelineApp({"one": one, "two": two})] if together else [PipelineApp(one), PipelineApp(two)]
    host = Starlette(routes=[Mount(f"/{number}", app) for number, app in enumerate(apps)])
    places = ("/0/one/invoke", "/0/two/invoke") if together else ("/0/invoke", "/1/invoke")
    try:
        for _ in range(2):
            answers = await asyncio.gather(*(post(host, place, {"parameters": {}}) for place in places))
            assert [await outputs(answer) for answer in answers] == [{"of": "one"}, {"of": "two"}]
    finally:
        for app in apps:
            app.lifecycle.close()


async def test_two_apps_of_one_pipeline_share_nothing() -> None:
    """Not state, run numbers, keys, places, threads, nor their start and stop."""
    starts: list[dict[str, int]] = []
    stops: list[dict[str, int]] = []

    def load() -> dict[str, int]:
        starts.append({"runs": 0})
        return starts[-1]

    @step
    async def count(context: StepContext) -> int:
        context.pipeline_state["runs"] += 1
        runs: int = context.pipeline_state["runs"]
        return runs

    @pipeline(on_init=load, on_cleanup=stops.append)
    def counting() -> Any:
        return count()

    key = {"x-api-key": "open-sesame-open-sesame"}
    first, second = PipelineApp(counting), PipelineApp(counting, auth=AuthKeys([key["x-api-key"]]))
    async with running(first):
        async with running(second):
            for number in (1, 2):
                answer = await post(first, "/invoke", {"parameters": {}})
                assert (await outputs(answer), answer.json()["metadata"]["run_index"]) == (number, number)
            assert (await post(second, "/invoke", {"parameters": {}})).status == 401
            answer = await post(second, "/invoke", {"parameters": {}}, headers=key)
            assert (await outputs(answer), answer.json()["metadata"]["run_index"]) == (1, 1)
        assert stops == [{"runs": 1}]
        assert await outputs(await post(first, "/invoke", {"parameters": {}})) == 3
        assert first.admission is not second.admission
    assert stops == [{"runs": 1}, {"runs": 3}]
