"""Lifespans: ours in a host, ours for a server, and ours with a host's behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from tests.support.client import TestClient

from pipemount import PipelineApp, pipeline, step
from pipemount.errors import ConfigurationError
from pipemount.http.lifespan import HostLifespanError, Lifespan, serve_lifespan
from pipemount.http.middleware import PipelineMiddleware
from pipemount.runtime.lifecycle import Lifecycle
from pipemount.settings import Settings
from pipemount.types import ASGIApp, Message, Receive, Scope, Send

HostLifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]


class Pipelines:
    """The least that can be put in front of a host: notes its lifecycle, answers with what it was sent."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.start_failure: BaseException | None = None
        self.stop_failure: BaseException | None = None
        self.lifecycle = Lifecycle(
            start=self.start, stop=self.stop, drain=self.drain, settings=Settings(lazy_wait=30.0), name="test"
        )
        self.lifespan = Lifespan(self.lifecycle)

    async def start(self) -> None:
        self.notes.append("start")
        if self.start_failure:
            raise self.start_failure

    async def drain(self) -> None: ...

    async def stop(self) -> None:
        self.notes.append("stop")
        if self.stop_failure:
            raise self.stop_failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await serve_lifespan(self.lifecycle, receive, send)
            return
        await self.lifecycle.ensure_ready()
        await JSONResponse({"root_path": scope["root_path"], "path": scope["path"]})(scope, receive, send)


@pytest.fixture
def pipelines() -> Pipelines:
    return Pipelines()


class Server:
    """The server's side of one lifespan, in memory."""

    def __init__(self, app: ASGIApp, state: dict[str, Any] | None = None) -> None:
        self.sent: list[Message] = []
        self.scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}}
        if state is not None:
            self.scope["state"] = state
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._answered = asyncio.Event()
        self.task = asyncio.create_task(self._run(app))

    async def _run(self, app: ASGIApp) -> None:
        try:
            await app(self.scope, self._inbox.get, self._send)
        finally:
            self._answered.set()

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        self._answered.set()

    async def tell(self, phase: str) -> str:
        self._answered.clear()
        self._inbox.put_nowait({"type": f"lifespan.{phase}"})
        await self._answered.wait()
        answer: str = self.sent[-1]["type"]
        return answer


def noting_host(notes: list[str], **failures: Exception) -> HostLifespan:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
        notes.append("host start")
        if "start" in failures:
            raise failures["start"]
        yield {"pool": "open"}
        notes.append("host stop")
        if "stop" in failures:
            raise failures["stop"]

    return lifespan


# ------------------------------------------------------------------------------------------ in a host


@pytest.mark.parametrize("host", [Starlette, FastAPI])
def test_a_host_runs_our_lifespan(pipelines: Pipelines, host: type[Starlette]) -> None:
    app = host(lifespan=pipelines.lifespan, routes=[Mount("/ai", pipelines)])
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/ai/x").json() == {"root_path": "/ai", "path": "/ai/x"}
    assert pipelines.notes == ["start", "stop"] * 2


def test_test_clients_with_and_without_lifespan_follow_one_another(pipelines: Pipelines) -> None:
    app = Starlette(lifespan=pipelines.lifespan, routes=[Mount("/ai", pipelines)])
    assert TestClient(app).get("/ai").status_code == 200
    assert TestClient(app).get("/ai").status_code == 200
    with TestClient(app) as client:
        assert client.get("/ai").status_code == 200
    assert pipelines.notes == ["start", "stop"]
    assert TestClient(app).get("/ai").status_code == 200
    pipelines.lifecycle.close()
    assert pipelines.notes == ["start", "stop"] * 2


@pytest.mark.parametrize("managed", [True, False])
def test_around_the_host_s_own(pipelines: Pipelines, managed: bool) -> None:
    async def own(app: Starlette) -> AsyncIterator[dict[str, str]]:
        pipelines.notes.append("host start")
        yield {"pool": "open"}
        pipelines.notes.append("host stop")

    def pool(request: Request) -> JSONResponse:
        return JSONResponse(request.state.pool)

    lifespan = pipelines.lifespan.around(asynccontextmanager(own) if managed else own)
    with TestClient(Starlette(lifespan=lifespan, routes=[Route("/", pool)])) as client:
        assert client.get("/").json() == "open"
    assert pipelines.notes == ["start", "host start", "host stop", "stop"]


def test_nested_lifespans_are_one(pipelines: Pipelines) -> None:
    app = FastAPI(lifespan=pipelines.lifespan)
    app.include_router(APIRouter(lifespan=pipelines.lifespan))
    app.add_middleware(PipelineMiddleware, pipelines=pipelines, path="/ai")
    with TestClient(app) as client:
        assert client.get("/ai").status_code == 200
    assert pipelines.notes == ["start", "stop"]


def test_a_failing_start_ends_the_host_s_start(pipelines: Pipelines) -> None:
    pipelines.start_failure = ValueError("no model")
    with pytest.raises(ValueError, match="no model"), TestClient(Starlette(lifespan=pipelines.lifespan)):
        pass
    assert pipelines.notes == ["start"]


async def test_what_fails_first_is_raised(pipelines: Pipelines, caplog: pytest.LogCaptureFixture) -> None:
    pipelines.stop_failure = ValueError("second")
    with pytest.raises(KeyError, match="first"):
        async with pipelines.lifespan(None):
            raise KeyError("first")
    assert [str(r.exc_info[1]) for r in caplog.records if r.exc_info] == ["second"]
    with pytest.raises(ValueError, match="second"):
        async with pipelines.lifespan(None):
            pass


# --------------------------------------------------------------------------------------- for a server


async def test_served_directly(pipelines: Pipelines) -> None:
    server = Server(pipelines)
    assert await server.tell("startup") == "lifespan.startup.complete"
    assert pipelines.lifecycle.home is asyncio.get_running_loop()
    assert await server.tell("shutdown") == "lifespan.shutdown.complete"
    await server.task
    assert pipelines.notes == ["start", "stop"]


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
async def test_a_failure_is_sent_and_raised(pipelines: Pipelines, phase: str) -> None:
    pipelines.start_failure = ValueError("no model") if phase == "startup" else None
    pipelines.stop_failure = ValueError("no model") if phase == "shutdown" else None
    server = Server(pipelines)
    await server.tell("startup")
    if phase == "shutdown":
        await server.tell("shutdown")
    with pytest.raises(ValueError, match="no model"):
        await server.task
    assert server.sent[-1]["type"] == f"lifespan.{phase}.failed"
    assert server.sent[-1]["message"].startswith("Traceback")
    assert server.sent[-1]["message"].endswith("ValueError: no model\n")


@pytest.mark.parametrize("wrapped", [True, False])
async def test_a_cancelled_lifespan_stops_everything(pipelines: Pipelines, wrapped: bool) -> None:
    host = Starlette(lifespan=noting_host(pipelines.notes))
    server = Server(PipelineMiddleware(host, pipelines=pipelines, path="/ai") if wrapped else pipelines, {})
    await server.tell("startup")
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.task
    assert pipelines.notes[-1] == "stop"


# --------------------------------------------------------------------------------- in front of a host


async def test_ours_starts_first_and_stops_last_and_the_state_is_shared(pipelines: Pipelines) -> None:
    host = Starlette(lifespan=noting_host(pipelines.notes))
    state: dict[str, Any] = {"server": "own"}
    server = Server(PipelineMiddleware(host, pipelines=pipelines, path="/ai"), state)
    assert await server.tell("startup") == "lifespan.startup.complete"
    assert state == {"server": "own", "pool": "open", "pipemount": {"/ai": pipelines}}
    assert await server.tell("shutdown") == "lifespan.shutdown.complete"
    await server.task
    assert pipelines.notes == ["start", "host start", "host stop", "stop"]


def test_added_through_the_host(pipelines: Pipelines) -> None:
    app = FastAPI(lifespan=noting_host(pipelines.notes))
    app.add_middleware(PipelineMiddleware, pipelines=pipelines, path="ai/")
    with TestClient(app) as client:
        assert client.get("/ai/x").json() == {"root_path": "/ai", "path": "/ai/x"}
        assert client.get("/other").status_code == 404
    assert pipelines.notes == ["start", "host start", "host stop", "stop"]


async def raises(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("no lifespan here")


async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    return


async def reads_and_raises(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    raise KeyError("type")


@pytest.mark.parametrize("host", [raises, returns, reads_and_raises])
async def test_a_host_without_lifespan_is_served_alone(pipelines: Pipelines, host: ASGIApp) -> None:
    server = Server(PipelineMiddleware(host, pipelines=pipelines, path="/ai"))
    assert await server.tell("startup") == "lifespan.startup.complete"
    assert await server.tell("shutdown") == "lifespan.shutdown.complete"
    await server.task
    assert pipelines.notes == ["start", "stop"]


async def test_a_host_that_fails_to_start_stops_ours(pipelines: Pipelines) -> None:
    failure = OSError("no database")
    host = Starlette(lifespan=noting_host(pipelines.notes, start=failure))
    server = Server(PipelineMiddleware(host, pipelines=pipelines, path="/ai"), {})
    assert await server.tell("startup") == "lifespan.startup.failed"
    assert "no database" in server.sent[-1]["message"]
    with pytest.raises(HostLifespanError, match="no database") as raised:
        await server.task
    assert raised.value.__cause__ is failure
    assert pipelines.notes == ["start", "host start", "stop"]


async def test_a_host_that_only_says_that_it_failed(pipelines: Pipelines) -> None:
    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed"})
        await asyncio.Event().wait()

    server = Server(PipelineMiddleware(host, pipelines=pipelines, path="/ai"))
    assert await server.tell("startup") == "lifespan.startup.failed"
    with pytest.raises(HostLifespanError):
        await server.task
    assert pipelines.notes == ["start", "stop"]


async def test_a_host_is_not_started_when_ours_fails(pipelines: Pipelines) -> None:
    pipelines.start_failure = ValueError("no model")
    host = Starlette(lifespan=noting_host(pipelines.notes))
    server = Server(PipelineMiddleware(host, pipelines=pipelines, path="/ai"))
    assert await server.tell("startup") == "lifespan.startup.failed"
    with pytest.raises(ValueError, match="no model"):
        await server.task
    assert pipelines.notes == ["start"]


async def test_an_exit_in_on_init_is_a_failed_start(pipelines: Pipelines) -> None:
    pipelines.start_failure = Left("MODEL_PATH is not set")
    server = Server(PipelineMiddleware(raises, pipelines=pipelines, path="/ai"))
    assert await server.tell("startup") == "lifespan.startup.failed"
    assert "MODEL_PATH is not set" in server.sent[-1]["message"]
    with pytest.raises(Left):
        await server.task


class Left(BaseException):
    """As ``SystemExit``, which would end this test's loop, too."""


async def test_a_server_that_cancels_the_lifespan_is_told_nothing(pipelines: Pipelines) -> None:
    server = Server(PipelineMiddleware(raises, pipelines=pipelines, path="/ai"))
    await server.tell("startup")
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.task
    assert [message["type"] for message in server.sent] == ["lifespan.startup.complete"]
    assert pipelines.notes == ["start", "stop"]


async def test_of_two_failing_stops_the_host_s_is_reported(
    pipelines: Pipelines, caplog: pytest.LogCaptureFixture
) -> None:
    pipelines.stop_failure = ValueError("ours")
    host = Starlette(lifespan=noting_host(pipelines.notes, stop=OSError("the host's")))
    server = Server(PipelineMiddleware(host, pipelines=pipelines, path="/ai"), {})
    await server.tell("startup")
    assert await server.tell("shutdown") == "lifespan.shutdown.failed"
    assert "the host's" in server.sent[-1]["message"]
    with pytest.raises(HostLifespanError):
        await server.task
    assert pipelines.notes == ["start", "host start", "host stop", "stop"]
    assert [str(r.exc_info[1]) for r in caplog.records if r.exc_info] == ["ours"]


async def test_a_host_that_dies_while_serving_is_reported_at_the_stop(pipelines: Pipelines) -> None:
    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise OSError("died")

    server = Server(PipelineMiddleware(host, pipelines=pipelines, path="/ai"))
    await server.tell("startup")
    assert await server.tell("shutdown") == "lifespan.shutdown.failed"
    with pytest.raises(OSError, match="died"):
        await server.task
    assert pipelines.notes == ["start", "stop"]


# --------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("root_path", "path", "expected"),
    [
        ("", "/ai", ("/ai", "/ai")),
        ("", "/ai/", ("/ai", "/ai/")),
        ("", "/ai/x/y", ("/ai", "/ai/x/y")),
        ("/root", "/root/ai/x", ("/root/ai", "/root/ai/x")),
        ("/root", "/ai/x", ("/root/ai", "/root/ai/x")),
        ("", "/aid", None),
        ("", "/", None),
        ("/root", "/root/other/ai", None),
    ],
)
async def test_the_path_is_matched_by_segments_below_the_host_s_root_path(
    pipelines: Pipelines, root_path: str, path: str, expected: tuple[str, str] | None
) -> None:
    seen: list[Scope] = []

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def ours(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    middleware = PipelineMiddleware(host, pipelines=Recorder(pipelines, ours), path="/ai")
    scope = {"type": "http", "root_path": root_path, "path": path, "headers": []}
    await middleware(scope, receive_nothing, send_nothing)
    if expected is None:
        assert seen == [scope]
        assert seen[0] is scope
    else:
        assert (seen[0]["root_path"], seen[0]["path"]) == expected
        assert scope["path"] == path


class Recorder:
    """Pipelines whose calls go to a function."""

    def __init__(self, pipelines: Pipelines, call: ASGIApp) -> None:
        self.lifecycle, self.lifespan, self._call = pipelines.lifecycle, pipelines.lifespan, call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._call(scope, receive, send)


async def receive_nothing() -> Message:
    return {}


async def send_nothing(message: Message) -> None: ...


@pytest.mark.parametrize("path", ["", "/", "//"])
def test_the_path_must_name_a_segment(pipelines: Pipelines, path: str) -> None:
    with pytest.raises(ConfigurationError, match="segment"):
        PipelineMiddleware(pipelines, pipelines=pipelines, path=path)


def test_a_wrap_without_a_path_adds_the_lifespan_and_nothing_else() -> None:
    notes: list[str] = []

    @step
    async def nothing() -> None:
        pass

    @pipeline(on_init=lambda: notes.append("init"))
    def noting() -> None:
        nothing()

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise ValueError("as Django does")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = PipelineApp(noting)
    with TestClient(app.wrap(host)) as client:
        assert notes == ["init"]
        assert client.get("/ai/health/live").status_code == 204
    assert app.lifecycle.state == "stopped"
