"""Requests and steps that nobody planned for: each is answered as the contract says, and none escapes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.http.test_failures import check_problem
from tests.support.asgi import Connection, get, post, request
from tests.support.client import TestClient

from pipemount import AuthKeys, PipelineApp, PipelineError, Settings, pipeline, step
from pipemount.auth.key import Key
from pipemount.errors import ConfigurationError
from pipemount.types import Message

KEY = "correct horse battery staple"
JSON = [(b"content-type", b"application/json")]


@step
async def shout(text: str = "hey") -> str:
    return text.upper()


@pytest.fixture
async def app() -> AsyncIterator[PipelineApp]:
    app = PipelineApp(shout)
    async with app.lifespan(None):
        yield app


# ------------------------------------------------------------------------------------------ requests


async def test_a_query_of_many_fields(app: PipelineApp) -> None:
    query = "&".join("a=1" for _ in range(1001))

    check_problem(await post(app, f"/invoke?{query}", {"parameters": {}}), 400, "malformed-request")
    assert (await post(app, f"/invoke?{query[4:]}", {"parameters": {}})).status == 200


async def test_a_path_that_utf_8_does_not_have(app: PipelineApp) -> None:
    assert check_problem(await get(app, "/\udc80x"), 404, "not-found")["instance"] == "/%3Fx"


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "post", "BREW", "F\u00fc"])
async def test_other_methods(app: PipelineApp, method: str) -> None:
    answer = await request(app, method, "/invoke")

    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert bool(answer.body) == (method != "HEAD")


async def test_a_request_id_with_control_characters_is_not_echoed(app: PipelineApp) -> None:
    assert "x-request-id" not in (await get(app, "/health/live", headers={"x-request-id": "a\x1b[31m"})).headers
    answer = await get(app, "/nothing", headers={"x-request-id": "a b"})
    assert answer.headers["x-request-id"] == "a b"


async def test_a_header_that_came_twice(app: PipelineApp) -> None:
    twice = [(b"content-type", b"application/json"), (b"Content-Type", b"text/plain")]
    connection = Connection(app, "POST", "/invoke", headers=twice)
    connection.feed(b"{}")
    await connection.run()

    check_problem(connection.answer, 415, "unsupported-media-type")


async def test_a_caller_who_has_left_when_the_answer_is_sent(
    app: PipelineApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pipemount")
    connection = Connection(app, "POST", "/invoke", headers=JSON)
    connection.feed(b'{"parameters": {}}')

    async def send(message: Message) -> None:
        raise OSError("the connection is closed")

    await app(connection.scope, connection._receive, send)

    assert "the caller left" in caplog.text
    assert app.admission.active == 0


async def test_what_is_no_scope_of_ours_is_left_alone(app: PipelineApp) -> None:
    called: list[object] = []

    async def note(*message: Any) -> Any:
        called.append(message)

    await app({"type": "mqtt"}, note, note)

    assert called == []


@pytest.mark.parametrize("explained", [True, False])
async def test_a_websocket_is_refused(app: PipelineApp, explained: bool) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    extensions: dict[str, Any] = {"extensions": {"websocket.http.response": {}}} if explained else {}
    await app({"type": "websocket", "path": "/stream", "headers": [], **extensions}, receive, send)

    if explained:
        assert [message["type"] for message in sent] == [
            "websocket.http.response.start",
            "websocket.http.response.body",
        ]
        assert sent[0]["status"] == 501
        assert b'"code":"not-implemented"' in sent[1]["body"]
    else:
        assert sent == [{"type": "websocket.close", "code": 1000}]


async def test_an_error_after_the_answer_began_is_raised(app: PipelineApp) -> None:
    connection = Connection(app, "GET", "/health/live")

    async def send(message: Message) -> None:
        raise ValueError("a middleware of the host")

    with pytest.raises(ValueError, match="middleware"):
        await app(connection.scope, connection._receive, send)


async def test_a_failure_after_the_answer_began_is_only_logged(
    app: PipelineApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pipemount")
    connection = Connection(app, "GET", "/health/live")

    async def send(message: Message) -> None:
        raise PipelineError("of a host that nests apps")

    await app(connection.scope, connection._receive, send)

    assert "of a host that nests apps" in caplog.text


# ------------------------------------------------------------------------------------------ open routes


def test_the_open_docs_page_comes_with_its_assets() -> None:
    client = TestClient(PipelineApp(shout, auth=AuthKeys([KEY]), settings=Settings(open_routes=("/docs",))))

    assert [client.get(path).status_code for path in ("/docs", "/docs/swagger-ui.css")] == [200, 200]
    assert client.get("/openapi.json").status_code == 401
    assert client.get("/health/live").status_code == 401


def test_an_open_route_is_open_by_all_its_names() -> None:
    app = PipelineApp(
        {"a": shout, "b": shout}, auth=AuthKeys([KEY]), settings=Settings(open_routes=("/a/info", "/openapi.json"))
    )
    client = TestClient(app)

    assert [client.get(path).status_code for path in ("/a/info", "/pipelines/a/info")] == [200, 200]
    assert [client.get(path).status_code for path in ("/b/info", "/a/schema")] == [401, 401]
    document = client.get("/openapi.json").json()
    assert document["paths"]["/pipelines/a/info"]["get"]["security"] == []
    assert "security" not in document["paths"]["/pipelines/b/info"]["get"]


@pytest.mark.parametrize("route", ["/doc", "docs", "/docs/", "/b/info"])
def test_an_open_route_that_there_is_not_is_refused(route: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"open_routes has '{route}'.*/docs"):
        PipelineApp(shout, settings=Settings(open_routes=(route,)))


@pytest.mark.parametrize("permission", ["read", "invoke", "cancel", "admin"])
def test_what_a_permission_opens(permission: str) -> None:
    app = PipelineApp(shout, auth=AuthKeys([Key("k", KEY, permissions=(permission,))]))

    with TestClient(app, headers={"x-api-key": KEY}) as client:
        for route in app.route_table:
            for method in route.methods:
                answer = client.request(method, route.path, json={"parameters": {}} if method == "POST" else None)
                allowed = route.permission in (None, permission) or permission == "admin"
                expected = (200, 422) if allowed else (403,)  # not every POST takes a pipeline's parameters
                assert answer.status_code in expected, (method, route.path)


# --------------------------------------------------------------------------------------------- steps


def raising(make: Callable[[], BaseException], *, sync: bool, **options: Any) -> Any:
    if sync:

        def odd() -> int:
            raise make()

        return step(**options)(odd)

    async def odd_async() -> int:
        raise make()

    return step(name="odd", **options)(odd_async)


@pytest.mark.parametrize("options", [{}, {"timeout": 5}, {"thread": False}], ids=str)
@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("error", [asyncio.CancelledError, StopIteration, StopAsyncIteration, SystemExit, TimeoutError])
async def test_whatever_a_step_raises_is_its_failure(
    error: type[BaseException], sync: bool, options: dict[str, Any]
) -> None:
    if "thread" in options and not sync:
        options = {}
    app = PipelineApp(raising(error, sync=sync, **options))
    async with app.lifespan(None):
        answer = await post(app, "/invoke", {"parameters": {}})

    assert check_problem(answer, 500, "step-failed")["step"] == "odd"
    assert "x-run-id" in answer.headers


async def test_a_step_that_awaits_what_was_cancelled() -> None:
    @step
    async def impatient() -> int:
        lost = asyncio.create_task(asyncio.sleep(30))
        lost.cancel()
        await lost
        return 1

    app = PipelineApp(impatient)
    async with app.lifespan(None):
        check_problem(await post(app, "/invoke", {"parameters": {}}), 500, "step-failed")


@pytest.mark.parametrize("status", [404, 409, 422])
async def test_what_a_step_tells_its_caller_is_no_error_in_the_log(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pipemount")
    app = PipelineApp(raising(lambda: PipelineError("no city\nERROR forged", status=status), sync=False))
    async with app.lifespan(None):
        check_problem(await post(app, "/invoke", {"parameters": {}}), status, "pipeline-error")

    (record,) = [record for record in caplog.records if "no city" in record.getMessage()]
    assert (record.levelno, record.exc_info) == (logging.INFO, None)
    assert "\n" not in record.getMessage()


async def test_a_message_that_utf_8_does_not_have() -> None:
    app = PipelineApp(raising(lambda: PipelineError("bad \ud800", status=400), sync=False))
    async with app.lifespan(None):
        answer = await post(app, "/invoke", {"parameters": {}})

    assert check_problem(answer, 400, "pipeline-error")["detail"] == "bad ?"


async def test_a_run_that_ends_with_its_home_loop_is_503() -> None:
    running = asyncio.Event()
    here = asyncio.get_running_loop()

    @step
    async def slow() -> int:
        here.call_soon_threadsafe(running.set)
        await asyncio.sleep(30)
        return 1

    app = PipelineApp(slow, settings=Settings(cleanup_timeout=0.05))
    asked = [asyncio.create_task(post(app, "/invoke", {"parameters": {}}))]
    await running.wait()
    await app.lifecycle.aclose()

    answer = await asked[0]
    check_problem(answer, 503, "draining")
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_request_that_its_server_cancels_ends_as_cancelled() -> None:
    running = asyncio.Event()

    @step
    async def slow() -> int:
        running.set()
        await asyncio.sleep(30)
        return 1

    app = PipelineApp(slow)
    async with app.lifespan(None):
        asked = asyncio.create_task(post(app, "/invoke", {"parameters": {}}))
        await running.wait()
        asked.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asked

        assert asked.cancelled()
        assert app.admission.active == 0


async def test_a_queued_request_has_a_deadline_too() -> None:
    free = asyncio.Event()

    @step
    async def wait() -> int:
        await free.wait()
        return 1

    @pipeline
    def waiting() -> Any:
        return wait()

    app = PipelineApp(waiting, settings=Settings(max_concurrency=1, request_timeout=0.1))
    async with app.lifespan(None):
        answers = [await post(app, "/invoke", {"parameters": {}})]
        answers += await asyncio.gather(*(post(app, "/invoke", {"parameters": {}}) for _ in range(3)))

    for answer in answers:
        check_problem(answer, 504, "deadline-exceeded")


# ------------------------------------------------------------------------------------------- browsers


async def test_a_browser_is_sent_to_the_docs_page_of_its_mount(app: PipelineApp) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

    answer = await get(app, "/a b/", root_path="/a b", headers=browser)
    assert (answer.status, answer.headers["location"]) == (307, "/a%20b/docs")
    assert (await get(app, "/docs", headers=browser)).status == 200
    check_problem(await get(app, "/docs", headers={"accept": "application/json"}), 406, "not-acceptable")


async def test_what_comes_after_the_body_is_no_leaving() -> None:
    running, free = asyncio.Event(), asyncio.Event()

    @step
    async def wait() -> int:
        running.set()
        await free.wait()
        return 1

    app = PipelineApp(wait)
    async with app.lifespan(None):
        connection = Connection(app, "POST", "/invoke", headers=JSON)
        connection.feed(b'{"parameters": {}}')
        connection.feed(b"")
        asked = asyncio.create_task(connection.run())
        await running.wait()
        while not connection._incoming.empty():
            await asyncio.sleep(0.005)
        free.set()
        await asked

    assert connection.answer.status == 200


async def test_a_span_of_time_that_does_not_fit_is_422() -> None:
    @step
    async def span(length: timedelta) -> str:
        return str(length)

    app = PipelineApp(span)
    async with app.lifespan(None):
        answer = await post(app, "/invoke", {"parameters": {"length": "-P999999999DT23H"}})

    check_problem(answer, 422, "invalid-inputs")


@pytest.mark.parametrize("names", [{}, {"invoke": shout}, {"a/b": shout}, {"": shout}], ids=str)
def test_names_that_no_path_can_have_are_refused(names: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        PipelineApp(names)
