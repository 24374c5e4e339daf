"""One request over the bridge, with a server that the test plays itself."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from contextvars import ContextVar
from typing import Any

import pytest
from tests.support.wsgi import Exchange, Reply, call, environ

from pipemount.bridge import WSGIBridge, crossing
from pipemount.bridge.answer import Answer
from pipemount.bridge.body import PART
from pipemount.errors import HomeLoopError, RunCancelledError, UnavailableError
from pipemount.runtime.lending import REQUEST_THREAD
from pipemount.types import ASGIApp, Message, Receive, Scope, Send

TEXT = (b"content-type", b"text/plain")
START: Message = {"type": "http.response.start", "status": 200, "headers": [TEXT]}
PATIENCE = 20.0

Make = Callable[[ASGIApp], WSGIBridge]


def part(body: bytes = b"", *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


@pytest.fixture
def bridge() -> Iterator[Make]:
    made: list[WSGIBridge] = []

    def make(app: ASGIApp) -> WSGIBridge:
        made.append(WSGIBridge(app))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def whole_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        body, more = body + message["body"], message["more_body"]
    return body


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await whole_body(receive)
    await send(START)
    await send(part(body, more=False))


class Held:
    """A connection whose bytes come when the test lets them; ``asked`` is set when somebody reads."""

    def __init__(self) -> None:
        self.asked, self.sent = threading.Event(), threading.Event()
        self.data = b""

    def read(self, size: int, /) -> bytes:
        self.asked.set()
        assert self.sent.wait(PATIENCE)
        data, self.data = self.data[:size], self.data[size:]
        return data

    def send(self, data: bytes) -> None:
        self.data = data
        self.sent.set()


# ------------------------------------------------------------------------------------------ whole


def test_a_request_and_its_response(bridge: Make) -> None:
    reply = call(bridge(echo), "POST", "/", b"abc")
    assert (reply.status, reply.headers, reply.body) == (200, [("content-type", "text/plain")], b"abc")


def test_a_response_in_one_message_is_one_part_so_that_servers_can_tell_its_length(bridge: Make) -> None:
    assert bridge(echo)(environ("POST", body=b"abc"), lambda *_: lambda _: None) == [b"abc"]


def test_a_long_body_arrives_in_parts_and_whole(bridge: Make) -> None:
    sent = bytes(range(256)) * 1024
    assert len(sent) > 3 * PART
    assert call(bridge(echo), "POST", "/", sent).body == sent


def test_the_body_of_a_request_in_chunks_ends_where_the_server_says(bridge: Make) -> None:
    more = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "CONTENT_LENGTH": None}
    assert call(bridge(echo), "POST", "/", b"abc", **more).body == b"abc"


def test_context_variables_of_the_thread_are_carried_and_not_brought_back(bridge: Make) -> None:
    name: ContextVar[str] = ContextVar("name", default="nobody")
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(name.get())
        name.set("the app")
        await echo(scope, receive, send)

    name.set("the host")
    call(bridge(app))
    assert (seen, name.get()) == (["the host"], "the host")


@pytest.mark.parametrize(
    ("method", "status", "body"), [("HEAD", 200, b""), ("GET", 204, b""), ("GET", 304, b""), ("GET", 200, b"ab")]
)
def test_what_has_no_body_has_none_here(bridge: Make, method: str, status: int, body: bytes) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [] if status in (204, 304) else [TEXT]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(part(b"a"))
        await send(part(b"b", more=False))

    reply = call(bridge(app), method)
    assert (reply.status, reply.body) == (status, body)


# ----------------------------------------------------------------------------------------- on demand


def test_a_body_that_nobody_asks_for_is_never_read(bridge: Make) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(part(b"refused", more=False))

    held = Held()
    assert call(bridge(app), "POST", body=held, CONTENT_LENGTH="5", HTTP_EXPECT="100-continue").body == b"refused"
    assert not held.asked.is_set()


def test_a_body_is_read_while_the_response_is_under_way(bridge: Make) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(part(b"ready"))
        await send(part(await whole_body(receive), more=False))

    held = Held()
    with closing(Exchange(bridge(app), environ("POST", body=held, CONTENT_LENGTH="3"))) as exchange:
        assert next(exchange.parts) == b"ready"
        assert not held.asked.is_set()
        held.send(b"abc")
        assert list(exchange.parts) == [b"abc"]


def test_a_part_that_one_reader_gave_up_waiting_for_is_there_for_the_next(bridge: Make) -> None:
    held = Held()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        first = asyncio.ensure_future(receive())
        while not held.asked.is_set():
            await asyncio.sleep(0.001)
        first.cancel()
        await asyncio.wait({first})
        held.send(b"abc")
        await echo(scope, receive, send)

    assert call(bridge(app), "POST", body=held, CONTENT_LENGTH="3").body == b"abc"


def test_a_client_that_leaves_within_its_request_is_a_disconnect(bridge: Make) -> None:
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([await receive(), await receive(), await receive()])

    reply = call(bridge(app), "POST", body=b"ab", CONTENT_LENGTH="5")
    assert [message["type"] for message in seen] == ["http.request", "http.disconnect", "http.disconnect"]
    assert (reply.status, reply.body) == (400, b"")


def test_an_app_may_still_answer_a_client_that_left_within_its_request(bridge: Make) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] == "http.request":
            pass
        await send({**START, "status": 408})
        await send(part(more=False))

    assert call(bridge(app), "POST", body=b"ab", CONTENT_LENGTH="5").status == 408


def test_a_connection_that_breaks_while_it_is_read_is_a_disconnect_and_no_fault_of_the_app(bridge: Make) -> None:
    class Broken:
        def read(self, size: int, /) -> bytes:
            raise ConnectionResetError("gone")

    seen: list[Message] = []
    told = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await receive())
        told.set()

    assert call(bridge(app), "POST", body=Broken(), CONTENT_LENGTH="5").status == 400
    assert told.wait(PATIENCE)
    assert seen == [{"type": "http.disconnect"}]


def test_after_its_response_an_app_receives_the_disconnect(bridge: Make) -> None:
    seen: list[Message] = []
    told = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        waiting = asyncio.create_task(receive_twice(receive))
        await asyncio.sleep(0)
        await send(START)
        await send(part(more=False))
        seen.append(await waiting)
        told.set()

    async def receive_twice(receive: Receive) -> Message:
        await receive()
        return await receive()

    assert call(bridge(app)).status == 200
    assert told.wait(PATIENCE)
    assert seen == [{"type": "http.disconnect"}]


# ----------------------------------------------------------------------------------------- streams


def test_parts_arrive_as_they_are_sent(bridge: Make) -> None:
    go = threading.Semaphore(0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for number in range(3):
            await send(part(b"%d" % number))
            await asyncio.to_thread(go.acquire)
        await send(part(more=False))

    with closing(Exchange(bridge(app), environ())) as exchange:
        for number in range(3):
            assert next(exchange.parts) == b"%d" % number  # the app waits for us: nothing more was sent
            go.release()
        assert list(exchange.parts) == []


def test_two_hundred_parts_arrive_in_order(bridge: Make) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for number in range(200):
            await send(part(b"%d," % number))
            if number % 7 == 0:
                await asyncio.sleep(0)
        await send(part(b"end", more=False))

    assert call(bridge(app)).body == b",".join(b"%d" % n for n in range(200)) + b",end"


@pytest.mark.parametrize("size", [1, 20_000, 200_000])
def test_a_slow_reader_holds_the_app(bridge: Make, size: int) -> None:
    sent = 0
    stuck = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(START)
        for _ in range(1000):
            waiting = asyncio.ensure_future(send(part(bytes(size))))
            await asyncio.sleep(0)
            if not waiting.done():
                stuck.set()
            await waiting
            sent += 1
        await send(part(more=False))

    with closing(Exchange(bridge(app), environ())) as exchange:
        assert stuck.wait(PATIENCE)
        assert sent * crossing.cost(bytes(size)) <= crossing.AHEAD
        assert sum(len(one) for one in exchange.parts) == 1000 * size


def test_empty_parts_are_not_sent_but_for_the_first_which_sends_the_headers(bridge: Make) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for body in (b"", b"", b"a", b"", b"b"):
            await send(part(body))
        await send(part(more=False))

    with closing(Exchange(bridge(app), environ())) as exchange:
        assert list(exchange.parts) == [b"", b"a", b"b"]


# ------------------------------------------------------------------------------------------ leaving


class Endless:
    """An app that never ends by itself, and tells how it was ended."""

    def __init__(self, listen: Callable[[Receive, Send], Awaitable[None]]) -> None:
        self.listen, self.ended, self.how = listen, threading.Event(), ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(START)
            await send(part(b"a"))
            await self.listen(receive, send)
            self.how = "returned"
        except BaseException as error:
            self.how = type(error).__name__
            raise
        finally:
            self.ended.set()


async def listens(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def ticks(receive: Receive, send: Send) -> None:
    while True:
        await send(part(b"tick"))
        await asyncio.sleep(0.001)


async def floods(receive: Receive, send: Send) -> None:
    while True:
        await send(part(bytes(5000)))


async def sleeps(receive: Receive, send: Send) -> None:
    await asyncio.sleep(3600)


@pytest.mark.parametrize(
    ("listen", "how"),
    [(listens, "returned"), (ticks, "CallerLeftError"), (floods, "CallerLeftError"), (sleeps, "CancelledError")],
)
def test_a_response_that_the_server_closes_ends_the_app(
    bridge: Make, monkeypatch: pytest.MonkeyPatch, listen: Any, how: str
) -> None:
    monkeypatch.setattr(crossing, "GRACE", 0.01)
    if how == "CallerLeftError":
        monkeypatch.setattr(crossing, "GRACE", PATIENCE)
    app = Endless(listen)
    exchange = Exchange(bridge(app), environ())
    assert next(exchange.parts) == b"a"
    exchange.close()
    assert app.ended.wait(PATIENCE)
    assert app.how == how
    assert not crossing._under_way or how == "returned" or _soon(lambda: not crossing._under_way)


def _soon(condition: Callable[[], bool]) -> bool:
    for _ in range(1000):
        if condition():
            return True
        threading.Event().wait(0.005)
    return False


def test_nothing_is_under_way_when_all_have_left(bridge: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossing, "GRACE", 0.01)
    wsgi = bridge(Endless(sleeps))
    open_ones = [Exchange(wsgi, environ()) for _ in range(3)]
    assert len(crossing._under_way) == 3
    for exchange in open_ones:
        exchange.close()
        exchange.close()  # once more changes nothing
    assert _soon(lambda: not crossing._under_way)


def test_a_response_that_its_host_loses_ends_the_app(bridge: Make) -> None:
    app = Endless(listens)
    parts = iter(bridge(app)(environ(), lambda *head: bytes))
    assert next(parts) == b"a"
    del parts  # answered by something else, and never closed
    gc.collect()
    assert app.ended.wait(PATIENCE)
    assert app.how == "returned"


def test_a_head_of_an_endless_response_is_answered_and_ends_it(bridge: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossing, "GRACE", 0.05)
    app = Endless(ticks)
    reply = call(bridge(app), "HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert app.ended.wait(PATIENCE)
    assert app.how == "CancelledError"


def test_work_after_the_response_holds_nobody_and_is_not_cancelled(bridge: Make) -> None:
    go, done = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await echo(scope, receive, send)
        await asyncio.to_thread(go.wait, PATIENCE)
        done.set()

    assert call(bridge(app)).status == 200
    assert not done.is_set()
    go.set()
    assert done.wait(PATIENCE)


def test_work_after_the_response_that_fails_is_logged(bridge: Make, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await echo(scope, receive, send)
        raise LookupError("too late")

    wsgi = bridge(app)
    with caplog.at_level(logging.ERROR, "pipemount"):
        assert call(wsgi).status == 200
        assert _soon(lambda: "after its response" in caplog.text)
    assert "too late" in caplog.text


# ------------------------------------------------------------------------------------------ failing


def test_what_an_app_raises_before_it_answers_is_raised_in_the_thread(bridge: Make) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)  # not out yet: headers go with the first of the body
        raise LookupError("no such thing")

    exchanges: list[Exchange] = []
    with pytest.raises(LookupError, match="no such thing"):
        exchanges.append(Exchange(bridge(app), environ()))
    assert exchanges == []


def test_what_an_app_raises_later_breaks_the_response(bridge: Make) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(part(b"a"))
        raise LookupError("no such thing")

    with closing(Exchange(bridge(app), environ())) as exchange:
        assert next(exchange.parts) == b"a"
        with pytest.raises(LookupError, match="no such thing"):
            next(exchange.parts)


@pytest.mark.parametrize("messages", [[], [START], [START, part(b"a")]])
def test_an_app_that_returns_without_its_response_has_failed(bridge: Make, messages: list[Message]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    with pytest.raises(RuntimeError, match="before its response was complete"):
        call(bridge(app))


@pytest.mark.parametrize("leave", [SystemExit("out"), KeyboardInterrupt("out")])
def test_an_app_that_wants_to_end_the_process_ends_its_request(bridge: Make, leave: BaseException) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/leave":
            raise leave
        await echo(scope, receive, send)

    wsgi = bridge(app)
    with pytest.raises(type(leave), match="out"):
        call(wsgi, path="/leave")
    assert call(wsgi, "POST", body=b"still here").body == b"still here"


def test_a_message_that_is_wrong_is_the_apps_failure(bridge: Make) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [("content-type", "text/plain")]})

    with pytest.raises(TypeError, match="bytes"):
        call(bridge(app))


def test_a_loop_that_ends_meanwhile_is_told(bridge: Make) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(part(b"a"))
        await asyncio.sleep(3600)

    wsgi = bridge(app)
    with closing(Exchange(wsgi, environ())) as exchange:
        assert next(exchange.parts) == b"a"
        wsgi.close()
        with pytest.raises(UnavailableError, match="stopped"):
            next(exchange.parts)


def test_a_loop_that_ended_before_it_began_is_noticed(bridge: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended:
        """A loop that took the call when it was about to end."""

        def call_soon_threadsafe(self, *_: Any, **__: Any) -> None: ...

        def is_closed(self) -> bool:
            return True

    monkeypatch.setattr("pipemount.bridge.answer.LOOK", 0.01)
    wsgi = bridge(echo)
    monkeypatch.setattr(wsgi, "_loop", Ended)
    with pytest.raises(UnavailableError, match="stopped"):
        call(wsgi)


def test_the_loop_itself_cannot_wait_for_its_app(bridge: Make) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/outer":
            with pytest.raises(HomeLoopError, match="another thread"):
                call(wsgi)
        await echo(scope, receive, send)

    wsgi = bridge(app)
    assert call(wsgi, path="/outer").status == 200


# -------------------------------------------------------------------------------- refused by itself


def test_a_websocket_is_refused_with_what_to_do(bridge: Make) -> None:
    reply = call(bridge(echo), path="/a b", HTTP_UPGRADE="websocket", HTTP_CONNECTION="Upgrade")
    problem = json.loads(reply.body)
    assert (reply.status, reply.header("content-type")) == (501, "application/problem+json")
    assert (problem["code"], problem["instance"]) == ("not-implemented", "/a%20b")
    assert "server-sent events" in problem["detail"]
    assert "ASGI server" in problem["detail"]


def test_a_handshake_by_head_has_no_body(bridge: Make) -> None:
    reply = call(bridge(echo), "HEAD", HTTP_UPGRADE="websocket")
    assert (reply.status, reply.body) == (501, b"")


def test_chunks_that_the_server_does_not_put_together_are_refused(bridge: Make) -> None:
    reply = call(bridge(echo), "POST", body=b"5\r\n", HTTP_TRANSFER_ENCODING="chunked")
    assert (reply.status, json.loads(reply.body)["code"]) == (411, "length-required")


def test_a_length_that_is_no_number_is_refused(bridge: Make) -> None:
    with closing(Exchange(bridge(echo), environ("POST", CONTENT_LENGTH="five"), validate=False)) as exchange:
        reply = Reply(exchange.status, exchange.headers, b"".join(exchange.parts))
    assert (reply.status, json.loads(reply.body)["code"]) == (400, "malformed-request")


# ------------------------------------------------------------------------------------------ lending


def test_the_thread_that_waits_lends_itself(bridge: Make) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        lender = REQUEST_THREAD.get()
        assert lender is not None
        await send(START)
        await send(part(b"%d," % await lender.run(threading.get_ident)))
        await send(part(b"%d" % await lender.run(threading.get_ident), more=False))

    assert REQUEST_THREAD.get() is None
    me = b"%d" % threading.get_ident()
    assert call(bridge(app)).body == me + b"," + me


def test_a_thread_that_has_gone_lends_itself_no_more(bridge: Make) -> None:
    seen: list[BaseException] = []
    done = threading.Event()
    go = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await echo(scope, receive, send)
        await asyncio.to_thread(go.wait, PATIENCE)
        lender = REQUEST_THREAD.get()
        assert lender is not None
        try:
            await lender.run(threading.get_ident)
        except RunCancelledError as error:
            seen.append(error)
        done.set()

    assert call(bridge(app)).status == 200
    go.set()
    assert done.wait(PATIENCE)
    assert len(seen) == 1


def test_a_response_that_another_thread_closes_is_left(bridge: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipemount.bridge.answer.LOOK", 0.01)
    answered = bridge(Endless(listens))(environ(), lambda *_: lambda _: None)
    assert isinstance(answered, Answer)
    assert next(answered) == b"a"
    threading.Timer(0.05, answered.close).start()
    with pytest.raises(UnavailableError):
        next(answered)
