"""Living in a FastAPI host through ``include_router``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.routing import APIRoute, APIWebSocketRoute
from fastapi.security import OAuth2PasswordBearer
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel
from tests.support.asgi import Answer, get, post, request
from tests.support.sockets import Socket

from pipemount import AuthKeys, PipelineApp, Principal, Settings, StaticFolder, StepContext, pipeline, step
from pipemount.http.components import PREFIX, component_schemas, references
from pipemount.types import JsonObject

KEY = "correct-horse-battery-staple"


class Item(BaseModel):
    """The pipeline's own."""

    name: str
    parts: list[Item] = []


class Host:
    class Item(BaseModel):
        """The host's own."""

        price: float


@step
def look(city: str, temperature: float) -> str:
    return f"The weather in {city} is {temperature} degrees Celsius."


@pipeline
def weather(city: str = "Oslo", temperature: float = 3.0) -> Any:
    return look(city, temperature)


@step
def wrap(item: Item) -> Item:
    return Item(name="box", parts=[item])


@pipeline
def boxes(item: Item) -> Any:
    return wrap(item)


@step
def who(context: StepContext) -> str:
    principal = context.principal
    return f"{principal.source}:{principal.name}:{principal.user}" if principal else "nobody"


@pipeline
def caller() -> Any:
    return who()


def login(x_token: Annotated[str, Header()] = "") -> str:
    if x_token != "open sesame":
        raise HTTPException(401, "who are you?")
    return "ada"


TOKEN = {"x-token": "open sesame"}


def host(*pipelines: PipelineApp, prefix: str = "/ai", principal: Any = None, **options: Any) -> FastAPI:
    app = FastAPI(title="Shop", version="3")

    @app.post("/items")
    def create(item: Host.Item) -> Host.Item:
        return item

    for number, pipeline_app in enumerate(pipelines):
        app.include_router(pipeline_app.router(principal=principal), prefix=prefix + "2" * number, **options)

    @app.get("/aixyz")
    def later() -> str:
        return "the host's"

    return app


def two() -> PipelineApp:
    return PipelineApp({"weather": weather, "boxes": boxes})


# -------------------------------------------------------------------------------------------- serving


async def test_pipelines_answer_below_the_prefix() -> None:
    app = host(two())
    answer = await post(app, "/ai/pipelines/weather/invoke", {"parameters": {"city": "Rome"}})
    assert answer.status == 200
    assert list(answer.json()["outputs"].values()) == ["The weather in Rome is 3.0 degrees Celsius."]
    assert answer.headers["x-run-id"] == answer.json()["metadata"]["run_id"]


@pytest.mark.parametrize("path", ["/ai", "/ai/"])
async def test_the_prefix_itself_is_the_index(path: str) -> None:
    answer = await get(host(two()), path)
    assert answer.status == 200
    assert {"path": "/info", "methods": ["GET", "HEAD"], "url": "/ai/info"} not in answer.json()["routes"]
    assert {"path": "/docs", "methods": ["GET", "HEAD"], "url": "/ai/docs"} in answer.json()["routes"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ai/weather/info", 200),
        ("GET", "/ai/weather/info/", 200),
        ("HEAD", "/ai/pipelines/weather/info", 200),
        ("HEAD", "/ai", 200),
        ("GET", "/ai/docs", 200),
        ("GET", "/ai/nothing", 404),
        ("GET", "/ai/pipelines/weather/invoke", 405),
        ("DELETE", "/ai/health", 405),
        ("GET", "/aixyz", 200),
    ],
)
async def test_the_rest_is_answered_by_the_app(method: str, path: str, status: int) -> None:
    answer = await request(host(two()), method, path)
    assert answer.status == status
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["instance"] == path.rstrip("/")
    if method == "HEAD":
        assert answer.body == b""


@pytest.mark.parametrize(
    ("root_path", "path"),
    [("", "/shop/ai/openapi.json"), ("/proxy", "/proxy/shop/ai/openapi.json"), ("/proxy", "/shop/ai/openapi.json")],
)
async def test_links_start_at_the_base_that_the_caller_sees(root_path: str, path: str) -> None:
    app = host(two(), prefix="/shop/ai")
    answer = await get(app, path, root_path=root_path)
    assert answer.json()["servers"] == [{"url": f"{root_path}/shop/ai"}]


async def test_the_page_of_a_folder_beside_the_api(tmp_path: Path) -> None:
    """It is found at its slash, and is not sent there again and again."""
    (tmp_path / "index.html").write_text("<h1>app</h1>")
    app = host(PipelineApp(weather, static=StaticFolder(tmp_path, path="/app")))
    assert (await get(app, "/ai/app")).headers["location"] == "/ai/app/"
    assert (await get(app, "/ai/app/")).body == b"<h1>app</h1>"


async def test_without_a_prefix_the_host_keeps_its_own_paths() -> None:
    app = host(PipelineApp(weather), prefix="")
    assert (await get(app, "/aixyz")).json() == "the host's"
    assert (await get(app, "/nothing")).json() == {"detail": "Not Found"}
    assert (await get(app, "/weather/info")).json()["name"] == "weather"
    assert (await post(app, "/invoke", {"parameters": {}})).status == 200
    assert (await request(app, "PUT", "/invoke")).headers["allow"] == "POST"


async def test_prefix_with_a_parameter() -> None:
    app = host(two(), prefix="/tenants/{tenant}/ai")
    answer = await get(app, "/tenants/blue/ai/pipelines/weather/info")
    assert answer.json()["urls"]["invoke"] == "/tenants/blue/ai/pipelines/weather/invoke"
    assert (await get(app, "/tenants/blue/ai/x")).json()["instance"] == "/tenants/blue/ai/x"


async def test_fastapi_reads_no_body_of_ours() -> None:
    app = host(PipelineApp(weather, settings=Settings(max_body_bytes=100)))
    assert (await post(app, "/ai/invoke", b"x" * 101)).status == 413
    assert (await post(app, "/ai/invoke", b"{")).json()["code"] == "malformed-request"


async def test_a_body_that_a_dependency_has_read_is_read_again() -> None:
    seen = []

    async def audit(request: Request) -> None:
        seen.append(await request.body())

    app = host(two(), dependencies=[Depends(audit)])
    body = b'{"parameters": {"city": "Rome"}}'
    answer = await post(app, "/ai/pipelines/weather/invoke", [body[:9], body[9:]])
    assert answer.status == 200
    assert seen == [body]


# ------------------------------------------------------------------------------------ the host's rules


async def test_every_route_obeys_the_host_dependency() -> None:
    pipelines = two()
    app = host(pipelines, dependencies=[Depends(login)])
    for route in pipelines.route_table:
        for method in (*route.methods, "PATCH"):
            for path in ("/ai" + route.path, "/ai" + route.path.rstrip("/") + "/x"):
                assert (await request(app, method, path)).status == 401, (method, path)
    assert (await get(app, "/ai")).status == 401
    assert (await get(app, "/ai", headers=TOKEN)).status == 200
    assert (await get(app, "/ai/weather/info", headers=TOKEN)).status == 200


def test_there_are_only_api_routes() -> None:
    assert {isinstance(route, APIRoute | APIWebSocketRoute) for route in two().router().routes} == {True}


@pytest.mark.parametrize("prefix", ["/ai", "/a b", ""])
async def test_websockets_are_behind_the_dependencies(prefix: str) -> None:
    app = host(two(), prefix=prefix, dependencies=[Depends(login)])
    for path, asked in (
        ("/stream", {"pipeline": "weather"}),
        ("/pipelines/weather/stream", {}),
        ("/weather/stream", {}),
    ):
        refused = await Socket(app, prefix + path).refusal()
        assert refused["status"] == 401
        async with Socket(app, prefix + path, headers=TOKEN) as socket:
            assert (await socket.ask(type="invoke", parameters={"city": "Rome"}, **asked))["type"] == "accepted"
            told = await socket.hear_until("ended")
            assert list(told[-2]["event"]["data"]["outputs"].values()) == [
                "The weather in Rome is 3.0 degrees Celsius."
            ]
            error = await socket.ask(type="subscribe", job_id="none")
            assert error["problem"]["instance"] == f"{prefix}{path}".replace(" ", "%20")


async def test_the_hosts_user_talks_over_a_websocket() -> None:
    keyed = PipelineApp(caller, auth=AuthKeys([KEY]))
    async with Socket(host(keyed, principal=login), "/ai/stream", headers=TOKEN) as socket:
        await socket.ask(type="invoke", parameters={})
        told = await socket.hear_until("ended")
        assert told[-2]["event"]["data"]["outputs"] == {"output": "fastapi:ada:ada"}
    nobody = host(PipelineApp(caller, auth=AuthKeys([KEY])), principal=lambda: None)
    assert (await Socket(nobody, "/ai/stream").refusal())["status"] == 401


async def test_a_client_that_breaks_off_behind_fastapi() -> None:
    async with Socket(host(two()), "/ai/stream") as socket:
        socket.breaks = OSError
        socket.say(type="ping")
        while not socket.failed:
            await asyncio.sleep(0)


async def test_dependencies_can_be_overridden() -> None:
    app = host(two(), dependencies=[Depends(login)])
    app.dependency_overrides[login] = lambda: "anyone"
    assert (await get(app, "/ai/weather/info")).status == 200


async def test_exception_handlers_of_the_host_hold() -> None:
    class ClosedError(Exception):
        pass

    def closed() -> None:
        raise ClosedError

    app = host(two(), dependencies=[Depends(closed)])

    @app.exception_handler(ClosedError)
    async def explain(request: Request, error: Exception) -> Response:
        return Response("closed", 418)

    assert (await get(app, "/ai/weather/info")).status == 418


async def test_background_tasks_of_a_dependency_run_after_the_answer() -> None:
    done: list[str] = []

    def note(background: BackgroundTasks) -> None:
        background.add_task(done.append, "noted")

    answer = await get(host(two(), dependencies=[Depends(note)]), "/ai/weather/info")
    assert (answer.status, done) == (200, ["noted"])


class User:
    username = "ada"

    def __repr__(self) -> str:
        return "<User>"


async def output(app: FastAPI, headers: dict[str, str] | None = None) -> Answer:
    return await post(app, "/ai/invoke", {"parameters": {}}, headers=headers)


@pytest.mark.parametrize(
    ("user", "seen"),
    [
        (User(), "fastapi:ada:<User>"),
        ("bob", "fastapi:bob:bob"),
        (Principal("eve", frozenset({"invoke"}), "sso"), "sso:eve:None"),
        (None, "nobody"),
    ],
    ids=str,
)
async def test_principal_of_the_host_reaches_the_steps(user: Any, seen: str) -> None:
    answer = await output(host(PipelineApp(caller), principal=lambda: user))
    assert list(answer.json()["outputs"].values()) == [seen]


async def test_principal_of_the_host_stands_for_a_key() -> None:
    pipelines = PipelineApp(caller, auth=AuthKeys([KEY]))
    assert (await output(host(pipelines, principal=lambda: "ada"))).status == 200
    assert (await output(host(pipelines, principal=lambda: None))).status == 401
    assert (await output(host(pipelines))).status == 401
    assert (await output(host(pipelines), {"x-api-key": KEY})).status == 200


async def test_principal_without_the_permission_is_refused() -> None:
    reader = Principal("eve", frozenset({"read"}), "sso")
    answer = await output(host(PipelineApp(caller), principal=lambda: reader))
    assert answer.status == 403


async def test_principal_may_itself_depend_on_the_login() -> None:
    def user(name: Annotated[str, Depends(login)]) -> str:
        return name.upper()

    app = host(PipelineApp(caller), principal=user)
    assert (await output(app)).status == 401
    assert list((await output(app, TOKEN)).json()["outputs"].values()) == ["fastapi:ADA:ADA"]


# ------------------------------------------------------------------------------------------- lifespan


@pytest.mark.parametrize("own", [False, True])
async def test_router_carries_the_lifespan(own: bool) -> None:
    events: list[str] = []

    def init() -> str:
        events.append("init")
        return "state"

    def cleanup() -> None:
        events.append("cleanup")

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        events.append("open")
        yield
        events.append("close")

    @pipeline(on_init=init, on_cleanup=cleanup)
    def served(city: str = "Oslo") -> Any:
        return look(city, 1.0)

    pipelines = PipelineApp(served)
    app = FastAPI()
    app.include_router(pipelines.router(lifespan=lifespan) if own else pipelines.router(), prefix="/ai")
    async with app.router.lifespan_context(app):
        assert pipelines.lifecycle.state == "ready"
        assert events == (["init", "open"] if own else ["init"])
    assert events == (["init", "open", "close", "cleanup"] if own else ["init", "cleanup"])


# --------------------------------------------------------------------------------------- the document


def without_nulls(value: Any) -> Any:
    """FastAPI leaves out what is null."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def without_ours(document: JsonObject) -> JsonObject:
    kept: JsonObject = json.loads(json.dumps(document))
    kept["paths"] = {path: item for path, item in kept["paths"].items() if not path.startswith("/ai/")}
    schemas = kept["components"]["schemas"]
    kept["components"]["schemas"] = {name: schemas[name] for name in schemas if "_" not in name}
    return kept


def test_host_document_stays_as_it_was_but_for_what_is_added() -> None:
    alone, merged = host().openapi(), host(two()).openapi()
    assert json.dumps(without_ours(merged)) == json.dumps(alone)
    assert merged["components"]["schemas"]["Item"] == alone["components"]["schemas"]["Item"]
    assert set(merged["components"]["schemas"]["Item"]["properties"]) == {"price"}
    assert set(merged["components"]["schemas"]["boxes_Item"]["properties"]) == {"name", "parts"}


def test_merged_document_has_our_schemas_and_is_valid() -> None:
    pipelines = two()
    merged = host(pipelines, dependencies=[Depends(login)]).openapi()
    OpenAPIV31SpecValidator(merged).validate()
    schemas = merged["components"]["schemas"]
    for name, schema in component_schemas(pipelines.pipelines, pipelines.settings).items():
        assert without_nulls(schemas[name]) == without_nulls(schema), name
    assert {reference.removeprefix(PREFIX) for reference in references(merged)} <= set(schemas)


def test_operations_are_ours() -> None:
    operation = host(two(), tags=["ai"]).openapi()["paths"]["/ai/pipelines/boxes/invoke"]["post"]
    assert operation["requestBody"]["content"] == {"application/json": {"schema": {"$ref": PREFIX + "boxes_Request"}}}
    answered = operation["responses"]["200"]["content"]
    assert answered["application/json"] == {"schema": {"$ref": PREFIX + "boxes_Response"}}
    assert list(operation["responses"]["422"]["content"]) == ["application/problem+json"]
    assert operation["tags"] == ["ai", "boxes"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["mode", "Idempotency-Key"]
    assert "security" not in operation


def test_what_the_host_asks_for_is_added() -> None:
    def user(token: Annotated[str, Depends(OAuth2PasswordBearer("token"))], x_shop: Annotated[str, Header()]) -> str:
        return token

    app = host(two(), principal=user)
    operation = app.openapi()["paths"]["/ai/pipelines/boxes/invoke"]["post"]
    assert operation["security"] == [{"OAuth2PasswordBearer": []}]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["x-shop", "mode", "Idempotency-Key"]
    OpenAPIV31SpecValidator(app.openapi()).validate()


def test_keys_are_alternatives_in_the_document() -> None:
    merged = host(PipelineApp(weather, auth=AuthKeys([KEY]))).openapi()
    names = ["pipemount_basic", "pipemount_bearer", "pipemount_api_key"]
    assert merged["paths"]["/ai/invoke"]["post"]["security"] == [{name: []} for name in names]
    assert merged["paths"]["/ai/jobs/{job_id}"]["get"]["security"][-1] == {"pipemount_token": []}
    assert set(merged["components"]["securitySchemes"]) == {*names, "pipemount_token"}
    assert merged["components"]["securitySchemes"]["pipemount_api_key"]["in"] == "header"
    assert "security" not in merged["paths"]["/ai/health/live"]["get"]


def test_two_apps_in_one_host_share_what_is_the_same() -> None:
    merged = host(PipelineApp(weather), PipelineApp({"boxes": boxes, "weather": weather})).openapi()
    OpenAPIV31SpecValidator(merged).validate()
    names = set(merged["components"]["schemas"])
    assert {reference.removeprefix(PREFIX) for reference in references(merged)} <= names
    assert {"weather_Request", "boxes_Request", "pipemount_Problem"} <= names
    assert not any("pipemount__" in name for name in names)


def test_router_can_be_left_out_of_the_document() -> None:
    assert host(two(), include_in_schema=False).openapi() == host().openapi()


def test_document_can_be_asked_for_before_the_start() -> None:
    pipelines = two()
    assert "/ai/pipelines/weather/invoke" in host(pipelines).openapi()["paths"]
    assert pipelines.lifecycle.state == "new"
