"""Clients without a network: streamed, with back-pressure and disconnect, on any loop and in threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from pipemount import AuthKeys, PipelineApp, Settings, StepContext, pipeline, step, transport
from pipemount.errors import HomeLoopError
from pipemount.types import Message, Principal, Receive, Scope, Send

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


@step(affinity="request")
def who(context: StepContext) -> str:
    principal = context.principal
    return f"{principal.name if principal else 'nobody'} in {threading.current_thread().name}"


@pipeline
def asking() -> Any:
    return who()


REQUEST: dict[str, Any] = {"parameters": {}}


@contextlib.contextmanager
def waiting_client(handler: Handler, **options: Any) -> Iterator[httpx.Client]:
    """A client for threads, of an app that ``handler`` answers for."""
    pipelines = PipelineApp(asking)

    class App:
        lifecycle = pipelines.lifecycle

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await handler(scope, receive, send)

    try:
        with transport.client_sync(App(), **options) as client:
            yield client
    finally:
        pipelines.lifecycle.close()


# ------------------------------------------------------------------------------------------ pipelines


async def test_a_pipeline_is_invoked_on_any_loop_without_a_server() -> None:
    app = PipelineApp(asking)

    async def ask() -> tuple[int, Any]:
        async with app.client() as client:
            answer = await client.post("/invoke", json=REQUEST)
        return answer.status_code, answer.json()["outputs"]["output"].partition(" ")[0]

    assert await ask() == (200, "nobody")
    assert await asyncio.to_thread(asyncio.run, ask()) == (200, "nobody")
    await app.lifecycle.aclose()


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ((), "localhost"),
        (("ai.example", "b.example"), "ai.example"),
        (("*.example",), "localhost.example"),
        (("ai.example", "localhost"), "localhost"),
        (("*",), "localhost"),
    ],
)
async def test_it_asks_for_a_host_that_the_app_answers_for(allowed: tuple[str, ...], host: str) -> None:
    pipelines = PipelineApp(asking, settings=Settings(allowed_hosts=allowed))
    async with pipelines.client() as client:
        assert (await client.get("/health/live")).status_code == 200
        assert client.base_url.host == host
    with pipelines.client_sync() as waiting:
        assert waiting.base_url == client.base_url


def test_and_in_a_thread_that_lends_itself() -> None:
    app = PipelineApp(asking)
    with app.client_sync(headers={"accept": "application/json"}) as client:
        answer = client.post("/invoke", json=REQUEST)
        assert answer.json()["outputs"] == {"output": f"nobody in {threading.current_thread().name}"}
        assert client.get("/nowhere").status_code == 404
    app.lifecycle.close()


async def test_a_blocking_request_is_refused_on_the_loop_that_has_to_answer_it() -> None:
    app = PipelineApp(asking)
    async with app.lifespan(None):
        with app.client_sync() as client, pytest.raises(HomeLoopError, match="use client"):
            client.get("/health/live")


@pytest.mark.parametrize("root_path", ["", "/ai", "/a b/ü"])
async def test_links_begin_where_the_app_believes_itself_mounted(root_path: str) -> None:
    app = PipelineApp(asking)
    async with app.client(root_path=root_path) as client:
        document = (await client.get("/openapi.json")).json()
        missing = (await client.get("/nowhere")).json()
    quoted = httpx.URL("http://x" + root_path).raw_path.decode().rstrip("/")

    assert document["servers"][0]["url"].rstrip("/").endswith(quoted)
    assert missing["instance"] == f"{quoted}/nowhere"


async def test_keys_and_principals_are_those_of_requests() -> None:
    app = PipelineApp(asking, auth=AuthKeys(["secret"]))
    async with app.client() as client:
        assert (await client.post("/invoke", json=REQUEST)).status_code == 401
        keyed = await client.post("/invoke", json=REQUEST, headers={"authorization": "Bearer secret"})
        assert keyed.status_code == 200
    reader = Principal("reader", frozenset({"read"}), "host")
    for principal, expected in [("ada", "ada"), (Principal("bob", frozenset({"invoke"})), "bob"), (reader, None)]:
        async with app.client(principal=principal) as client:
            answer = await client.post("/invoke", json=REQUEST)
            assert answer.status_code == (200 if expected else 403)
            assert expected is None or answer.json()["outputs"]["output"].startswith(expected)
    await app.lifecycle.aclose()


# ------------------------------------------------------------------------------------------ streaming


async def streamed(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(START)
    for number in range(100):
        await send({"type": "http.response.body", "body": b"%d\n" % number, "more_body": True})
    await send({"type": "http.response.body"})


async def test_the_first_byte_comes_at_once_and_the_app_waits_for_its_reader() -> None:
    sent: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            await send(message)
            sent.append(message.get("body", b""))

        await streamed(scope, receive, counted)

    async with transport.client(app) as client, client.stream("GET", "/") as response:
        lines = response.aiter_raw()
        assert await anext(lines) == b"0\n"
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(sent) <= 4
        assert len([line async for line in lines]) == 99


def test_in_a_thread_too() -> None:
    with waiting_client(streamed) as client, client.stream("GET", "/") as response:
        lines = response.iter_raw()
        assert next(lines) == b"0\n"
        assert len(list(lines)) == 99


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Ends with its reader, as frameworks' streams do."""
    scope["state"]["running"].set()

    async def until_left() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope["state"]["left"].set()

    await send(START)
    watch = asyncio.create_task(until_left())
    while not watch.done():
        try:
            await send({"type": "http.response.body", "body": b"tick", "more_body": True})
        except OSError:
            scope["state"]["refused"].set()
        await asyncio.sleep(0)


class Events(dict[str, threading.Event]):
    def __missing__(self, key: str) -> threading.Event:
        return self.setdefault(key, threading.Event())


def with_state(handler: Handler, state: Events) -> Handler:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await handler({**scope, "state": state}, receive, send)

    return app


async def test_closing_the_response_is_a_disconnect() -> None:
    state = Events()
    async with transport.client(with_state(endless, state)) as client:
        async with client.stream("GET", "/") as response:
            assert await anext(response.aiter_raw()) == b"tick"
        assert state["left"].is_set()


def test_closing_it_in_a_thread_too() -> None:
    state = Events()
    with waiting_client(with_state(endless, state)) as client:
        with client.stream("GET", "/") as response:
            assert next(response.iter_raw()) == b"tick"
        assert state["left"].is_set()


async def test_an_app_that_does_not_hear_of_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "GRACE", 0.01)
    state = Events()

    async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        with contextlib.suppress(OSError):
            await asyncio.sleep(0.005)
            await send({"type": "http.response.body", "body": b"y", "more_body": True})
            await send({"type": "http.response.body", "body": b"y", "more_body": True})
            await send({"type": "http.response.body", "body": b"y", "more_body": True})
        try:
            await asyncio.sleep(30)
        finally:
            state["cancelled"].set()

    async with transport.client(deaf) as client, client.stream("GET", "/"):
        pass
    assert state["cancelled"].is_set()


def test_a_loop_ends_though_a_response_was_never_closed() -> None:
    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        while True:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def forget() -> int:
        client = transport.client(endless)
        response = await client.send(client.build_request("GET", "/"), stream=True)
        await asyncio.sleep(0)
        return response.status_code

    assert asyncio.run(forget()) == 200


async def test_a_caller_that_is_cancelled_leaves_nothing_running(monkeypatch: pytest.MonkeyPatch) -> None:
    state = Events()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        state["running"].set()
        assert (await receive())["type"] == "http.disconnect"
        state["left"].set()

    async with transport.client(slow) as client:
        asked = asyncio.create_task(client.get("/"))
        while not state["running"].is_set():
            await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    assert state["left"].is_set()


async def test_what_the_app_still_does_after_its_response_is_waited_for() -> None:
    done: list[str] = []

    async def later() -> None:
        await asyncio.sleep(0.01)
        done.append("later")

    async def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse("now", background=BackgroundTask(later))

    app = Starlette(routes=[Mount("/below", routes=[Route("/here", endpoint)])])
    async with transport.client(app, root_path="/ai") as client:
        assert (await client.get("/below/here")).text == "now"
    assert done == ["later"]


# ------------------------------------------------------------------------------------------ requests


async def echoed(scope: Scope, receive: Receive, send: Send) -> None:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    path = f"{scope['path']}|{scope['raw_path'].decode()}|{scope['query_string'].decode()}|{scope['server'][1]}|"
    await send(START)
    await send({"type": "http.response.body", "body": path.encode() + b"+".join(parts)})


async def test_bodies_are_handed_on_as_they_come() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async with transport.client(echoed) as client:
        assert (await client.post("/a%20b?x=1&y=ü", content=b"whole")).text == "/a b|/a%20b|x=1&y=%C3%BC|80|whole"
        assert (await client.post("https://localhost/", content=chunks())).text == "/|/||443|one+two+"
        assert (await client.get("http://localhost:81/")).text == "/|/||81|"


def test_bodies_of_a_thread_s_client_are_read_first() -> None:
    with waiting_client(echoed) as client:
        assert client.post("/", content=iter([b"one", b"two"])).text == "/|/||80|onetwo"


@pytest.mark.parametrize("after", ["nothing", "start", "body"])
async def test_an_app_that_fails_is_heard(after: str) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        if after != "nothing":
            await send(START)
        if after == "body":
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise ValueError("broken")

    async with transport.client(failing) as client:
        with pytest.raises(ValueError, match="broken"):
            await client.get("/")
    with waiting_client(failing) as waiting, pytest.raises(ValueError, match="broken"):
        waiting.get("/")


async def test_an_app_that_returns_without_an_answer_is_heard() -> None:
    async def mute(scope: Scope, receive: Receive, send: Send) -> None:
        return None

    async with transport.client(mute) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="before its response was complete"):
            await client.get("/")


async def test_a_timeout_is_kept_where_one_is_given() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await receive()

    async with transport.client(slow, timeout=0.01) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/")
