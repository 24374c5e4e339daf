"""``pipelines.wsgi`` and ``pipelines.wrap_wsgi``: a ``PipelineApp`` over the bridge."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from tests.support.wsgi import Reply, call

from pipemount import AuthKeys, PipelineApp, pipeline, step
from pipemount.auth.key import Key
from pipemount.bridge import WSGIBridge
from pipemount.runtime.lending import REQUEST_THREAD, NotInlineError
from pipemount.types import Message, Receive, Scope, Send


@step
def where(name: str) -> str:
    return f"{name} {threading.get_ident()}"


@step
async def elsewhere(name: str) -> str:
    return f"{name} {threading.get_ident()}"


@step(affinity="request")
def here(name: str) -> str:
    return f"{name} {threading.get_ident()}"


@pipeline
def straight(name: str) -> Any:
    return where(name)


@pipeline
def mixed(name: str) -> Any:
    return here(elsewhere(name))


@pytest.fixture
def pipelines() -> Iterator[PipelineApp]:
    made = PipelineApp({"straight": straight, "mixed": mixed})
    yield made
    made.lifecycle.close()


def invoke(app: Any, path: str, value: Any = None, **more: Any) -> Reply:
    body = json.dumps({"parameters": {"name": "Ada"}} if value is None else value).encode()
    return call(app, "POST", path, body, CONTENT_TYPE="application/json", **more)


def output(reply: Reply) -> str:
    assert reply.status == 200, reply
    told: str = json.loads(reply.body)["outputs"]["output"]
    return told


def test_a_row_of_sync_steps_is_performed_in_the_thread_that_asks(pipelines: PipelineApp) -> None:
    assert call(pipelines.wsgi, path="/health/ready").status == 200
    assert output(invoke(pipelines.wsgi, "/pipelines/straight/invoke")) == f"Ada {threading.get_ident()}"


def test_a_step_with_affinity_is_performed_in_the_thread_that_asks(pipelines: PipelineApp) -> None:
    name, thread, own = output(invoke(pipelines.wsgi, "/pipelines/mixed/invoke")).split()
    assert name == "Ada"
    assert int(thread) != threading.get_ident()  # the loop's
    assert int(own) == threading.get_ident()


def test_the_first_request_starts_the_app_and_no_thread_is_there_before(pipelines: PipelineApp) -> None:
    before = set(threading.enumerate())
    assert pipelines.wsgi is pipelines.wsgi
    assert set(threading.enumerate()) <= before
    assert output(invoke(pipelines.wsgi, "/pipelines/straight/invoke")).startswith("Ada")
    assert pipelines.lifecycle.state == "ready"


def test_what_is_refused_is_refused_as_over_asgi(pipelines: PipelineApp) -> None:
    for _ in range(2):  # by the loop, then by the thread itself
        reply = invoke(pipelines.wsgi, "/pipelines/straight/invoke", {"parameters": {"name": 1}})
        assert (reply.status, reply.header("content-type")) == (422, "application/problem+json")
        reply = call(pipelines.wsgi, "POST", "/pipelines/straight/invoke", b"{}", CONTENT_TYPE="text/plain")
        assert reply.status == 415
        call(pipelines.wsgi, path="/health/ready")
    assert call(pipelines.wsgi, path="/nowhere").status == 404
    assert call(pipelines.wsgi, "HEAD", "/health/live").body == b""


def test_keys_hold() -> None:
    pipelines = PipelineApp(straight, auth=AuthKeys([Key("all", "sesame")]))
    assert invoke(pipelines.wsgi, "/invoke").status == 401
    assert invoke(pipelines.wsgi, "/invoke", HTTP_X_API_KEY="sesame").status == 200
    pipelines.lifecycle.close()


def test_a_client_that_leaves_within_its_request_is_answered_400(pipelines: PipelineApp) -> None:
    for _ in range(2):
        reply = call(
            pipelines.wsgi,
            "POST",
            "/pipelines/straight/invoke",
            b"{",
            CONTENT_LENGTH="9",
            CONTENT_TYPE="application/json",
        )
        assert (reply.status, reply.body) == (400, b"")
        call(pipelines.wsgi, path="/health/ready")


def test_chunks_that_are_none_are_the_clients_fault(pipelines: PipelineApp, caplog: pytest.LogCaptureFixture) -> None:
    class Chunks:
        def read(self, size: int, /) -> bytes:
            raise ValueError("Invalid chunk size: zz")  # servers have errors of their own for it

    sent = {"CONTENT_TYPE": "application/json", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    for _ in range(2):  # by the loop, then by the thread itself
        assert call(pipelines.wsgi, "POST", "/pipelines/straight/invoke", Chunks(), **sent).status == 400
        call(pipelines.wsgi, path="/health/ready")
    assert {record.levelname for record in caplog.records} <= {"INFO"}


def test_wrapped_around_a_host(pipelines: PipelineApp) -> None:
    def host(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("content-type", "text/plain")])
        return [b"the host"]

    app = pipelines.wrap_wsgi(host, "/ai")
    assert b'"/ai/pipelines/straight/invoke"' in call(app, path="/ai/pipelines").body
    assert call(app, path="/page").body == b"the host"


# ------------------------------------------------------------------------------------------ inline


class Inline:
    """An app that is driven without a loop, and does what the test says."""

    def __init__(self, act: Any) -> None:
        self.act = act

    def answers_inline(self, scope: Scope) -> bool:
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.act(receive, send)


START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


async def answer(send: Send, *parts: bytes) -> None:
    await send(START)
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


def test_an_inline_app_reads_and_answers_in_the_thread() -> None:
    seen: list[Message] = []
    thread = []

    async def act(receive: Receive, send: Send) -> None:
        thread.append(REQUEST_THREAD.get())
        seen.extend([await receive(), await receive()])
        await answer(send, b"a", b"", b"b")

    assert call(WSGIBridge(Inline(act)), "POST", body=b"abc").body == b"ab"
    assert seen == [{"type": "http.request", "body": b"abc", "more_body": False}, {"type": "http.disconnect"}]
    assert thread != [None]
    assert REQUEST_THREAD.get() is None


def test_an_inline_app_without_a_body_and_one_that_is_cut_short() -> None:
    seen: list[Message] = []

    async def act(receive: Receive, send: Send) -> None:
        seen.extend([await receive(), await receive()])
        await answer(send)

    call(WSGIBridge(Inline(act)))
    call(WSGIBridge(Inline(act)), "POST", body=b"ab", CONTENT_LENGTH="3")
    assert [message["type"] for message in seen] == ["http.request", "http.disconnect"] * 2


def test_an_inline_app_that_fails_is_raised_unless_it_has_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def early(receive: Receive, send: Send) -> None:
        await send(START)
        raise LookupError("no such thing")

    async def late(receive: Receive, send: Send) -> None:
        await answer(send, b"a")
        raise LookupError("too late")

    async def never(receive: Receive, send: Send) -> None:
        await send(START)

    with pytest.raises(LookupError, match="no such thing"):
        call(WSGIBridge(Inline(early)))
    assert call(WSGIBridge(Inline(late))).body == b"a"
    assert "too late" in caplog.text
    with pytest.raises(RuntimeError, match="before its response was complete"):
        call(WSGIBridge(Inline(never)))


def test_an_app_that_is_not_inline_after_all_takes_the_loop() -> None:
    threads: list[int] = []

    async def act(receive: Receive, send: Send) -> None:
        threads.append(threading.get_ident())
        if len(threads) == 1:
            raise NotInlineError
        await answer(send, (await receive())["body"])

    bridge = WSGIBridge(Inline(act))
    assert call(bridge, "POST", body=b"abc").body == b"abc"
    assert threads[0] == threading.get_ident() != threads[1]
    bridge.close()
