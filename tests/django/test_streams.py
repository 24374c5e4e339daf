"""Responses in parts, under both handlers: as they come, with back-pressure, and ended when nobody reads."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.test import AsyncRequestFactory, RequestFactory
from tests.django.site.pipelines import weather
from tests.support.asgi import Connection

from pipemount import PipelineApp
from pipemount.django import asynchronous
from pipemount.django.users import Users
from pipemount.django.view import PipelineView
from pipemount.types import Message, Receive, Scope, Send

App = Callable[[Scope, Receive, Send], Awaitable[None]]

START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


class Plain(PipelineApp):
    """Answers with any ASGI function in place of the pipelines."""

    def __init__(self, function: App) -> None:
        super().__init__(weather)
        self._function = function

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._function(scope, receive, send)


def view_of(function: App) -> PipelineView:
    return PipelineView(Plain(function), (), Users(None, None), "plain")


def parts(*bodies: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> App:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "headers": [*START["headers"], *(headers or [])]})
        for body in bodies:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body"})

    return answer


def get_sync(view: PipelineView) -> Any:
    return view(RequestFactory().get("/plain/x"), rest="x")


async def get_async(view: PipelineView, **options: Any) -> Any:
    return await view(AsyncRequestFactory().get("/plain/x", **options), rest="x")


def test_wsgi_gets_an_iterator() -> None:
    response = get_sync(view_of(parts(b"a", b"b", b"c")))
    assert response.streaming
    assert not response.is_async
    assert b"".join(response) == b"abc"
    response.close()


async def test_asgi_gets_an_async_iterator() -> None:
    response = await get_async(view_of(parts(b"a", b"b", b"c")))
    assert response.streaming
    assert response.is_async
    assert [part async for part in response] == [b"a", b"b", b"c", b""]
    response.close()


COOKIES = [
    (b"set-cookie", b"a=1; Path=/; HttpOnly"),
    (b"set-cookie", b'b="x y"; SameSite=Lax; Secure'),
    (b"link", b"</a>; rel=next"),
    (b"link", b"</b>; rel=prev"),
]


@pytest.mark.parametrize("body", [(), (b"a",)], ids=["empty", "parts"])
async def test_headers_that_come_more_than_once(body: tuple[bytes, ...]) -> None:
    view = view_of(parts(*body, headers=COOKIES))
    for response in (await asyncio.to_thread(get_sync, view), await get_async(view)):
        assert response.cookies["a"]["httponly"] is True
        assert response.cookies["b"].value == "x y"
        assert response["link"] == "</a>; rel=next, </b>; rel=prev"
        assert response["content-type"] == "text/plain"
        if response.streaming:
            response.close()


class Endless:
    """Sends until it is stopped."""

    def __init__(self, *, stubborn: bool = False, silent: bool = False) -> None:
        self.sent, self.ended, self.started = 0, "", False
        self.stubborn, self.silent = stubborn, silent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        self.started = True
        try:
            if not self.silent:
                await send(START)
            while True:
                if not self.silent:
                    await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
                    self.sent += 1
                    continue
                left = await receive()
                self.ended = left["type"]
                if not self.stubborn:
                    return
                await asyncio.sleep(60)
        except OSError:
            self.ended = "refused"
        except asyncio.CancelledError:
            self.ended += " cancelled"
            raise


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("waited in vain")


async def test_a_response_that_a_middleware_loses_ends_the_app() -> None:
    endless = Endless()
    response = await get_async(view_of(endless))
    assert response.streaming
    del response  # the middleware has failed, or answers something else
    gc.collect()
    await until(lambda: bool(endless.ended))


def test_a_response_that_a_middleware_loses_ends_the_app_under_wsgi() -> None:
    endless = Endless()
    response = get_sync(view_of(endless))
    assert response.streaming
    del response
    gc.collect()
    asyncio.run(until(lambda: bool(endless.ended)))


async def test_parts_come_when_they_are_sent() -> None:
    more = asyncio.Event()

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await more.wait()
        await send({"type": "http.response.body", "body": b"b"})

    response = await get_async(view_of(answer))
    body = aiter(response)
    assert await anext(body) == b"a"
    waiting = asyncio.ensure_future(anext(body))
    await asyncio.sleep(0)
    more.set()
    assert await waiting == b"b"
    with pytest.raises(StopAsyncIteration):
        await anext(body)
    response.close()


async def test_the_app_waits_for_a_slow_reader() -> None:
    app = Endless()
    response = await get_async(view_of(app))
    body = aiter(response)
    await anext(body)
    await asyncio.sleep(0.05)
    assert app.sent <= asynchronous.AHEAD + 1
    await body.aclose()
    response.close()
    await until(lambda: app.ended == "refused")


async def test_a_response_that_nobody_reads_is_ended() -> None:
    app = Endless()
    response = await get_async(view_of(app))
    await asyncio.to_thread(response.close)
    await until(lambda: app.ended == "refused")


def test_a_response_that_nobody_reads_is_ended_under_wsgi() -> None:
    app = Endless()
    response = get_sync(view_of(app))
    response.close()
    asyncio.run(until(lambda: app.ended == "refused"))


async def test_a_view_that_is_cancelled_tells_the_app() -> None:
    app = Endless(silent=True)
    asked = asyncio.create_task(get_async(view_of(app)))
    await until(lambda: app.started)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert app.ended == "http.disconnect"


async def test_an_app_that_does_not_listen_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asynchronous, "GRACE", 0.01)
    app = Endless(silent=True, stubborn=True)
    asked = asyncio.create_task(get_async(view_of(app)))
    await until(lambda: app.started)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert app.ended == "http.disconnect cancelled"


async def raises(scope: Scope, receive: Receive, send: Send) -> None:
    raise ZeroDivisionError


async def says_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()


async def raises_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    raise ZeroDivisionError


async def stops_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"a", "more_body": True})


async def test_what_the_app_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await get_async(view_of(raises))
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(get_sync, view_of(raises))
    with pytest.raises(RuntimeError, match="without an answer"):
        await get_async(view_of(says_nothing))


@pytest.mark.parametrize(("function", "error"), [(raises_late, ZeroDivisionError), (stops_late, RuntimeError)])
async def test_an_end_in_the_middle_breaks_the_response(function: App, error: type[Exception]) -> None:
    response = await get_async(view_of(function))
    body = aiter(response)
    assert await anext(body) == b"a"
    with pytest.raises(error):
        await anext(body)
    response.close()

    def read() -> Iterator[bytes]:
        answered = get_sync(view_of(function))
        try:
            yield from answered
        finally:
            answered.close()

    with pytest.raises(error):
        await asyncio.to_thread(lambda: list(read()))


async def test_what_is_done_behind_the_response_is_finished() -> None:
    done = asyncio.Event()

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"a"})
        assert (await receive())["type"] == "http.disconnect"
        done.set()

    response = await get_async(view_of(answer))
    assert response.content == b"a"
    await asyncio.wait_for(done.wait(), 5)


async def test_what_is_raised_when_nobody_listens_is_only_noted(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"a"})
        raise ZeroDivisionError

    with caplog.at_level("DEBUG", "pipemount"):
        assert (await get_async(view_of(answer))).content == b"a"
        await until(lambda: "caller had left" in caplog.text)


async def test_a_body_comes_in_parts() -> None:
    sizes: list[int] = []

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
        await send(START)
        await send({"type": "http.response.body"})

    body = b"x" * 150_000
    request = AsyncRequestFactory().post("/plain/x", body, content_type="text/plain")
    await view_of(answer)(request, rest="x")
    assert sizes == [65536, 65536, 18928]
    sizes.clear()
    request = AsyncRequestFactory().post("/plain/x", body, content_type="text/plain")
    del request.META["CONTENT_LENGTH"]
    await view_of(answer)(request, rest="x")
    assert sizes == [65536, 65536, 18928, 0]


async def test_a_body_that_breaks_off() -> None:
    seen: list[str] = []

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([(await receive())["type"], (await receive())["type"]])

    def broken(size: int) -> bytes:
        raise OSError("the connection is gone")

    request = AsyncRequestFactory().post("/plain/x", b"abc", content_type="text/plain")
    request.read = broken  # type: ignore[method-assign, assignment]  # as a server's stream may be
    with pytest.raises(RuntimeError, match="without an answer"):
        await view_of(answer)(request, rest="x")
    assert seen == ["http.disconnect", "http.disconnect"]


async def test_a_caller_who_leaves_cancels_the_run_through_django() -> None:
    handler: Any = ASGIHandler()
    connection = Connection(
        handler, "POST", "/several/waiting/invoke", headers=[(b"content-type", b"application/json")]
    )
    connection.feed(b'{"parameters": {"seconds": 60}}')
    running = asyncio.create_task(connection.run())
    await asyncio.sleep(0.2)
    connection.disconnect()
    await asyncio.wait_for(running, 10)
    assert connection.sent == []
