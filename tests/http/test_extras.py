"""What an app is given beside its pipelines: endpoints, middleware, extensions and hooks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route
from tests.support.asgi import get, post, request

from pipemount import AuthKeys, Cors, Endpoint, PipelineApp, Settings, StaticFolder, pipeline, step
from pipemount.errors import ConfigurationError, UnavailableError
from pipemount.pipelines.specs import Hook
from pipemount.types import ASGIApp, Receive, Scope, Send

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


# ----------------------------------------------------------------------------------------- endpoints


async def version(asked: Request) -> dict[str, Any]:
    who = asked.state.principal
    return {"version": "7", "by": who and who.name, "pipelines": list(asked.app.pipelines), "url": str(asked.url)}


def shout(asked: Request, *, mark: str = "!") -> str:
    return asked.query_params["text"].upper() + mark


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(f"{scope['root_path']}|{scope['path']}")(scope, receive, send)


class Models(HTTPEndpoint):
    async def get(self, asked: Request) -> JSONResponse:
        return JSONResponse({"model": asked.path_params["name"]})


@pytest.mark.parametrize(
    ("endpoint", "path", "answer"),
    [
        (Endpoint("/version", version), "/version", b'"version":"7"'),
        (Endpoint("/shout", shout), "/shout?text=hey", b'"HEY!"'),
        (Endpoint("/shout", partial(shout, mark="?")), "/shout?text=hey", b'"HEY?"'),
        (Endpoint("/models/{name}", Models), "/models/a b", b'{"model":"a b"}'),
        (Endpoint("/any", plain), "/any/thing", b"/ai/any|/ai/any/thing"),
        (Endpoint("/any", plain, methods=["GET"]), "/any", b"/ai|/ai/any"),
        (Endpoint("/sub", Starlette(routes=[Route("/x", lambda r: PlainTextResponse("x"))])), "/sub/x", b"x"),
        (Route("/route/{n:int}", lambda r: PlainTextResponse(str(r.path_params["n"] + 1))), "/route/4", b"5"),
        (Mount("/mount", routes=[Route("/y", lambda r: PlainTextResponse("y"))]), "/mount/y", b"y"),
    ],
)
async def test_endpoints_of_many_forms(endpoint: Any, path: str, answer: bytes) -> None:
    found = await get(make(endpoint), "/ai" + path, root_path="/ai")
    assert (found.status, answer in found.body) == (200, True), found.body
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/version", "/models/x", "/any/below"])
async def test_endpoints_take_a_key_unless_they_are_open(path: str) -> None:
    own = [Endpoint("/version", version, methods=["GET", "POST"]), Endpoint("/models/{name}", Models)]
    own.append(Endpoint("/any", plain))
    closed = make(*own, auth=keys())
    assert (await get(closed, path)).status == 401
    assert (await get(closed, path, headers=AS_READER)).status == 200
    assert (await post(closed, path, {})).status == 401
    assert (await post(closed, path, {}, headers=AS_READER)).status == 403
    opened = make(*[Endpoint(e.path, e.handler, e.methods, permission=None) for e in own], auth=keys())
    assert (await get(opened, path)).status == 200
    admin = make(*[Endpoint(e.path, e.handler, e.methods, permission="admin") for e in own], auth=keys())
    assert (await get(admin, path, headers=AS_INVOKER)).status == 403


async def test_an_endpoint_knows_who_asks_and_the_app() -> None:
    app = make(Endpoint("/version", version), auth=keys())
    found = await get(app, "/version", headers={**AS_READER, "host": "shop.example"})
    assert found.json() == {
        "version": "7",
        "by": "reader",
        "pipelines": ["greeting"],
        "url": "http://shop.example/version",
    }


async def test_case_23_an_endpoint_replaces_the_apps_own() -> None:
    async def own(asked: Request) -> dict[str, str]:
        return {"status": "mine"}

    app = make(Endpoint("/health/live", own, permission=None), Endpoint("/invoke", own, methods=["POST", "GET"]))
    assert (await get(app, "/health/live")).json() == {"status": "mine"}
    assert (await post(app, "/invoke", INVOKE)).json() == {"status": "mine"}
    assert (await get(app, "/invoke")).json() == {"status": "mine"}
    async with app.lifespan(None):
        assert (await post(app, "/pipelines/greeting/invoke", INVOKE)).json()["success"] is True
    partly = make(Endpoint("/info", own))
    assert (await get(partly, "/info")).json() == {"status": "mine"}
    assert (await post(partly, "/info", {})).status == 405


async def test_an_endpoint_replaces_those_that_have_a_parameter() -> None:
    def mine(request: Request) -> Any:
        return request.path_params

    app = make(
        Endpoint("/jobs/{number}", mine),
        Endpoint("/jobs/{number}", mine, methods=["PUT"], permission="admin"),
        Endpoint("/jobs/{number:int}/events", mine),
        Endpoint("/jobs/{number}/notes", mine),
        auth=keys(),
    )
    for path in ("/jobs/7", "/jobs/7/", "/jobs/7/notes"):
        assert (await get(app, path, headers=AS_READER)).json() == {"number": "7"}
        assert (await get(app, path)).status == 401
    assert (await request(app, "PUT", "/jobs/7", headers=AS_READER)).status == 403
    assert (await request(app, "DELETE", "/jobs/7", headers=AS_INVOKER)).status == 404, "the app's own"
    assert (await get(app, "/jobs/7/events", headers=AS_READER)).json()["code"] == "not-found", "that asks for a number"


async def test_a_wrong_method_at_an_endpoint_is_405_with_what_is_allowed() -> None:
    app = make(Endpoint("/version", version), Endpoint("/v/{n}", version))
    for path in ("/version", "/v/1"):
        answer = await request(app, "DELETE", path)
        assert (answer.status, answer.json()["code"]) == (405, "method-not-allowed")
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_what_an_endpoint_raises_is_a_problem(caplog: pytest.LogCaptureFixture) -> None:
    async def teapot(asked: Request) -> None:
        raise HTTPException(418, "short and stout", {"X-Tea": "yes"})

    async def broken(asked: Request) -> None:
        raise RuntimeError("a secret")

    def ours(asked: Request) -> None:
        raise UnavailableError("later", retry_after=3, code="later")

    async def gone(asked: Request) -> None:
        raise HTTPException(502, "no answer")

    app = make(*[Endpoint(f"/{f.__name__}", f) for f in (teapot, broken, ours, gone)])
    handlers = {HTTPException: lambda r, e: PlainTextResponse("the host's page")}
    host = Starlette(routes=[Mount("/ai", app)], exception_handlers=handlers)
    tea = await get(host, "/ai/teapot")
    assert (tea.status, tea.json()["detail"], tea.headers["x-tea"]) == (418, "short and stout", "yes")
    assert tea.json()["instance"] == "/ai/teapot"
    assert (await get(host, "/ai/gone")).status == 502
    assert (await get(host, "/ai/ours")).headers["retry-after"] == "3"
    caplog.clear()
    failed = await get(host, "/ai/broken")
    assert (failed.status, "secret" in failed.body.decode()) == (500, False)
    assert "a secret" in caplog.text


async def test_an_endpoint_that_fails_half_way_breaks_the_connection() -> None:
    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("half")

    with pytest.raises(RuntimeError, match="half"):
        await get(make(Endpoint("/half", half)), "/half")


async def test_an_endpoint_may_run_a_pipeline_and_a_sync_one_blocks_nobody() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def run(asked: Request) -> Any:
        return (await asked.app.run("greeting", name="Bo")).outputs

    def block(asked: Request) -> str:
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        return "done"

    app = make(Endpoint("/run", run), Endpoint("/block", block))
    async with app.lifespan(None):
        blocked = asyncio.create_task(get(app, "/block"))
        await entered.wait()
        assert (await get(app, "/run")).json() == {"output": "Hello, Bo!"}
        go_on.set()
        assert (await blocked).json() == "done"


async def test_an_endpoint_in_the_index_and_in_the_document() -> None:
    described = {"summary": "The version", "responses": {"200": {"description": "It."}}}
    app = make(Endpoint("/version", version, openapi=described), Endpoint("/hidden", version), auth=keys())
    paths = (await get(app, "/openapi.json", headers=AS_READER)).json()["paths"]
    assert paths["/version"]["get"].items() >= described.items()
    assert "/hidden" not in paths
    assert "/version" in [r["path"] for r in (await get(app, "/", headers=AS_READER)).json()["routes"]]
    opened = make(Endpoint("/version", version, permission=None, openapi=described), auth=keys())
    document = (await get(opened, "/openapi.json", headers=AS_READER)).json()
    assert document["paths"]["/version"]["get"]["security"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Endpoint("version", version),
        lambda: Endpoint("/version/", version),
        lambda: Endpoint("/version", None),
        lambda: Endpoint("/version", version, methods="GET"),
        lambda: make(Endpoint("/a/{b:nothing}", version)),
        lambda: make(version),
        lambda: PipelineApp(greeting, middleware=[7]),
        lambda: PipelineApp(greeting, extensions=[cast("Any", 7)]),
        lambda: PipelineApp(greeting, on_startup=[cast("Any", 7)]),
        lambda: StaticFolder("/nothing/here"),
        lambda: make().add_endpoint(Endpoint("/late", version)),
        lambda: make().add_middleware(Noting),
        lambda: make().add_static("."),
        lambda: make().add_hooks(on_startup=[print]),
    ],
)
def test_extras_that_cannot_be_used(wrong: Callable[[], object]) -> None:
    with pytest.raises((ConfigurationError, AssertionError)) as caught:
        wrong()
    assert isinstance(caught.value, ConfigurationError)


# ---------------------------------------------------------------------------------------- middleware


class Noting:
    """Adds its mark to a header, and notes that it was asked."""

    def __init__(self, app: ASGIApp, mark: str = "class", notes: list[str] | None = None) -> None:
        self.app, self.mark, self.notes = app, mark, [] if notes is None else notes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.notes.append(self.mark)
        await self.app(scope, receive, send)


async def noting(app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, mark: str, notes: list[str]) -> None:
    notes.append(mark)
    await app(scope, receive, send)


async def test_case_22_middleware_in_the_order_given_with_its_arguments_each_once() -> None:
    notes: list[str] = []

    def factory(app: ASGIApp, mark: str, *, notes: list[str]) -> ASGIApp:
        return partial(noting, app, mark=mark, notes=notes)

    app = PipelineApp(
        greeting,
        middleware=[
            Middleware(Noting, mark="first", notes=notes),
            Middleware(cast("Any", noting), mark="second", notes=notes),
            Middleware(factory, "third", notes=notes),
            Noting,
        ],
    )
    async with app.lifespan(None):
        for path in ("/health/live", "/nothing"):
            notes.clear()
            await get(app, path)
            assert notes == ["first", "second", "third"]
        notes.clear()
        assert (await post(app, "/invoke", INVOKE)).status == 200
        assert notes == ["first", "second", "third"]


async def test_middleware_answers_and_fails_as_everything_else() -> None:
    async def gate(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/broken":
            raise RuntimeError("a secret")
        if scope["path"] == "/ours":
            raise UnavailableError("later", retry_after=3, code="later")
        await PlainTextResponse("closed", 403)(scope, receive, send)

    app = PipelineApp(greeting, middleware=[gate], settings=Settings(cors=Cors(["https://app.example"])))
    answer = await get(app, "/info", headers={"origin": "https://app.example", "x-request-id": "r"})
    assert (answer.status, answer.body, answer.headers["x-request-id"]) == (403, b"closed", "r")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["access-control-allow-origin"] == "https://app.example"  # CORS is outside of it
    broken = await get(app, "/broken")
    assert (broken.status, "secret" in broken.body.decode()) == (500, False)
    assert (await get(app, "/ours")).status == 503


async def test_an_app_with_nothing_in_front_has_no_front() -> None:
    assert make(Endpoint("/version", version), static=Path(__file__).parent)._front is None


# ---------------------------------------------------------------------------------------- extensions


class Counting:
    """An extension that is an object."""

    def __init__(self, path: str) -> None:
        self.path, self.started = path, 0

    def install(self, app: PipelineApp) -> None:
        app.add_endpoint(Endpoint(self.path, self.tell))
        app.add_hooks(on_startup=[self.start])

    def start(self) -> None:
        self.started += 1

    async def tell(self, asked: Request) -> int:
        return self.started


async def test_case_22_what_extensions_add_is_reachable_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>hello</h1>")

    def files(app: PipelineApp, *, folder: Path) -> None:
        assert list(app.pipelines) == ["greeting"]
        app.add_static(StaticFolder(folder, fallback=True))
        app.add_middleware(Noting)

    app = PipelineApp(greeting, extensions=[Counting("/count"), partial(files, folder=tmp_path)])
    async with app.lifespan(None):
        counted = await get(app, "/count")
    assert (counted.status, counted.json()) == (200, 1)
    for path in ("/nothing", "/invoke/nothing", "/jobs/nothing", "/count/nothing"):
        answer = await get(app, path)
        assert (answer.status, answer.json()["code"]) == (404, "not-found")
    assert (await get(app, "/invoke", headers=BROWSER)).status == 405


# -------------------------------------------------------------------------------------------- hooks


async def test_hooks_are_called_in_order_awaited_and_with_their_arguments() -> None:
    notes: list[Any] = []

    async def opens(app: PipelineApp, *, url: str) -> None:
        await asyncio.sleep(0)
        notes.append(("opened", url, list(app.pipelines)))

    def counts() -> None:
        notes.append("counted")

    @pipeline(on_init=lambda: notes.append("on_init"), on_cleanup=lambda: notes.append("on_cleanup"))
    def hooked(name: str = "") -> Any:
        return greet(name)

    async def closes(app: PipelineApp) -> None:
        notes.append("closed")

    app = PipelineApp(
        hooked,
        on_startup=[Hook(opens, {"url": "db:"}), counts],
        on_shutdown=[lambda: notes.append("goodbye"), closes],
    )
    for _ in range(2):
        notes.clear()
        async with app.lifespan(None):
            assert notes == [("opened", "db:", ["hooked"]), "counted", "on_init"]
            notes.clear()
        assert notes == ["on_cleanup", "goodbye", "closed"]


async def test_a_hook_that_raises_is_as_an_on_init_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    notes: list[str] = []

    async def fails() -> None:
        raise LookupError("no database")

    app = PipelineApp(
        greeting, on_startup=[lambda: notes.append("first"), fails], on_shutdown=[lambda: notes.append("bye")]
    )
    with pytest.raises(LookupError, match="no database"):
        async with app.lifespan(None):
            pass
    assert notes == ["first"], "what was not started is not stopped"
    assert not caplog.text, "the lifespan tells it"
    lazy = PipelineApp(greeting, on_startup=[fails])
    answer = await post(lazy, "/invoke", INVOKE)
    assert (answer.status, answer.json()["code"]) == (503, "start-failed")
    assert "no database" in caplog.text
    await lazy.lifecycle.aclose()


async def test_what_was_started_is_stopped_when_a_pipeline_is_not() -> None:
    notes: list[str] = []

    def fails() -> None:
        raise LookupError("no model")

    @pipeline(on_init=fails)
    def failing(name: str = "") -> Any:
        return greet(name)

    app = PipelineApp(failing, on_startup=[lambda: notes.append("hello")], on_shutdown=[lambda: notes.append("bye")])
    with pytest.raises(LookupError, match="no model"):
        async with app.lifespan(None):
            pass
    assert notes == ["hello", "bye"]


async def test_a_hook_that_raises_at_the_end_keeps_no_other_from_its_turn() -> None:
    notes: list[str] = []

    def fails() -> None:
        raise LookupError("cannot close")

    app = PipelineApp(greeting, on_shutdown=[fails, lambda: notes.append("bye")])
    with pytest.raises(LookupError, match="cannot close"):
        async with app.lifespan(None):
            pass
    assert notes == ["bye"]
