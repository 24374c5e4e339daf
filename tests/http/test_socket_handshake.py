"""Who may open a WebSocket: where, from which origin, with which key, token or login."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from tests.support.asgi import get, request
from tests.support.doubling import double, doubled
from tests.support.sockets import Socket

from pipemount import AuthKeys, PipelineApp, Settings, pipeline
from pipemount.auth import Key
from pipemount.http.handover import hand_over
from pipemount.types import ASGIApp, Principal, Receive, Scope, Send

KEY = "correct horse battery staple"
OWN, EVIL, FRIEND = "http://testserver", "https://evil.example", "https://friend.example"
ADA = Principal("ada", frozenset({"invoke", "read", "cancel"}), "flask")


@pytest.fixture
async def app() -> Any:
    made = PipelineApp({"one": doubled, "two": doubled}, settings=Settings(trusted_origins=(FRIEND,)))
    async with made.lifespan():
        yield made


@pytest.fixture
async def locked() -> Any:
    keys = AuthKeys([Key("ada", KEY)])
    made = PipelineApp(doubled, auth=keys, settings=Settings(trusted_origins=(FRIEND,)))
    async with made.lifespan():
        yield made


def vouching(app: ASGIApp, principal: Principal | None, *, guarded: bool = True) -> ASGIApp:
    """A host with a login."""

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        scope = dict(scope)
        hand_over(scope, principal=principal, guarded=guarded)
        await app(scope, receive, send)

    return host


async def is_open(app: ASGIApp, path: str = "/stream", **options: Any) -> bool:
    async with Socket(app, path, **options) as socket:
        told: Any = await socket.ask(type="ping", id=1)
        return bool(told == {"type": "pong", "id": 1})


# --------------------------------------------------------------------------------------------- where


@pytest.mark.parametrize("path", ["/stream", "/stream/", "/pipelines/one/stream", "/two/stream"])
async def test_where_sockets_are(app: PipelineApp, path: str) -> None:
    assert await is_open(app, path)


async def test_where_none_is(app: PipelineApp) -> None:
    refused = await Socket(app, "/three/stream").refusal()
    assert (refused["status"], refused["code"]) == (404, "not-found")
    assert "/stream" in refused["detail"]
    assert (await Socket(app, "/one/invoke").refusal())["status"] == 404


async def test_below_a_mount(app: PipelineApp) -> None:
    assert await is_open(app, "/a b/stream", root_path="/a b")
    refused = await Socket(app, "/a b/nothing", root_path="/a b").refusal()
    assert refused["instance"] == "/a%20b/nothing"
    assert "/a%20b/stream" in refused["detail"]


async def test_a_server_that_sends_no_denial_answers_403(app: PipelineApp) -> None:
    assert await Socket(app, "/nothing", denial=False).refusal() == {"type": "websocket.close", "code": 1008}
    assert (await Socket(app, "/nothing", extensions=None).refusal())["type"] == "websocket.close"


async def test_a_client_that_has_gone_before_is_not_answered(app: PipelineApp) -> None:
    async def receive() -> Any:
        return {"type": "websocket.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    await app(Socket(app).scope, receive, send)


async def test_a_plain_request_to_a_socket_is_told_what_it_is(app: PipelineApp) -> None:
    for path in ("/stream", "/one/stream"):
        answer = await get(app, path)
        assert (answer.status, answer.json()["code"]) == (404, "not-found")
        assert "is a WebSocket" in answer.json()["detail"]


async def test_a_server_without_websockets_is_told_what_there_is_instead(app: PipelineApp) -> None:
    answer = await request(app, "GET", "/stream", headers={"Upgrade": "WebSocket", "Connection": "Upgrade"})
    assert (answer.status, answer.json()["code"]) == (501, "not-implemented")
    assert "mode=stream" in answer.json()["detail"]
    assert (await request(app, "GET", "/nothing", headers={"Upgrade": "websocket"})).status == 404


async def test_d9_a_caller_has_so_many_streams_at_most() -> None:
    app = PipelineApp(doubled, auth=AuthKeys([Key("ada", KEY)]), settings=Settings(max_streams=2))
    async with app.lifespan(), Socket(app, headers={"X-API-Key": KEY}):
        async with Socket(app, headers={"X-API-Key": KEY}):
            refused = await Socket(app, headers={"X-API-Key": KEY}).refusal()
            assert (refused["status"], refused["code"], refused["limit"]) == (429, "too-many-streams", 2)
        assert await is_open(app, headers={"X-API-Key": KEY})
    assert len(app.streams) == 0


async def test_the_request_id_is_echoed(app: PipelineApp) -> None:
    socket = Socket(app, headers={"X-Request-ID": "seven"})
    socket.open()
    assert await socket.sent() == {"type": "websocket.accept", "headers": [(b"x-request-id", b"seven")]}
    socket.leave()
    assert socket.task is not None
    await socket.task


async def test_an_app_that_is_not_ready_says_when_to_come_back() -> None:
    opened = asyncio.Event()

    @pipeline(on_init=opened.wait)
    def waiting() -> Any:
        return double(1)

    app = PipelineApp(waiting, settings=Settings(lazy_wait=0))
    refused = await Socket(app).refusal()
    assert (refused["status"], refused["code"]) == (503, "starting")
    assert b"retry-after" in refused["headers"]
    opened.set()
    await app.lifecycle.aclose()


async def test_a_server_that_stops_lets_nobody_in(app: PipelineApp) -> None:
    app.lifecycle._draining.tell()
    refused = await Socket(app).refusal()
    assert (refused["status"], refused["code"]) == (503, "draining")


async def test_a_fault_of_our_own_is_told_without_its_inside(
    app: PipelineApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(scope: Scope, *rest: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("pipemount.http.websocket.admit", broken)
    refused = await Socket(app).refusal()
    assert refused["status"] == 500
    assert "secret" not in str(refused)
    assert "ZeroDivisionError: secret" in caplog.text


# -------------------------------------------------------------------------------------- HARDENING C2


@pytest.mark.parametrize(
    "origin", [EVIL, "null", "http://testserver:8080", "http://testserver.evil.example", "x://[", "file://"]
)
async def test_c2_a_foreign_origin_is_refused(app: PipelineApp, locked: PipelineApp, origin: str) -> None:
    basic = "Basic " + base64.b64encode(f"ada:{KEY}".encode()).decode()
    for refused in (
        await Socket(app, headers={"Origin": origin}).refusal(),
        await Socket(locked, headers={"Origin": origin}).refusal(),
        await Socket(locked, headers={"Origin": origin, "Authorization": basic}).refusal(),  # browsers send it again
        await Socket(vouching(app, ADA), headers={"Origin": origin, "Cookie": "session=1"}).refusal(),
        await Socket(vouching(app, ADA), headers={"Origin": origin}).refusal(),
    ):
        assert (refused["status"], refused["code"]) == (403, "cross-origin")


async def test_c2_a_foreign_origin_with_what_no_page_can_send(locked: PipelineApp) -> None:
    assert await is_open(locked, headers={"Origin": EVIL, "Authorization": f"Bearer {KEY}"})
    assert await is_open(locked, headers={"Origin": EVIL, "X-API-Key": KEY})


@pytest.mark.parametrize("origin", [OWN, "https://testserver", FRIEND])
async def test_c2_an_allowed_origin(app: PipelineApp, locked: PipelineApp, origin: str) -> None:
    basic = "Basic " + base64.b64encode(f"ada:{KEY}".encode()).decode()
    assert await is_open(app, headers={"Origin": origin})
    assert await is_open(locked, headers={"Origin": origin, "Authorization": basic})
    assert await is_open(vouching(app, ADA), headers={"Origin": origin, "Cookie": "session=1"})
    refused = await Socket(locked, headers={"Origin": origin}).refusal()
    assert refused["status"] == 401
    assert b"www-authenticate" in refused["headers"]


async def test_c2_no_origin_needs_more_than_a_cookie(app: PipelineApp, locked: PipelineApp) -> None:
    assert await is_open(app)
    refused = await Socket(locked).refusal()
    assert (refused["status"], refused["code"]) == (401, "unauthenticated")
    assert await is_open(locked, headers={"X-API-Key": KEY})
    refused = await Socket(vouching(app, ADA), headers={"Cookie": "session=1"}).refusal()
    assert (refused["status"], refused["code"]) == (403, "cross-origin")
    assert await is_open(vouching(app, ADA))  # told by what is no cookie, e.g. a certificate
    assert await is_open(vouching(locked, ADA), headers={"Cookie": "session=1", "X-API-Key": KEY})


# ------------------------------------------------------------------------------------- authentication


async def test_a_wrong_key_is_refused(locked: PipelineApp) -> None:
    refused = await Socket(locked, headers={"X-API-Key": "wrong"}).refusal()
    assert (refused["status"], refused["code"]) == (401, "unauthenticated")
    refused = await Socket(locked, headers={"X-API-Key": KEY, "Authorization": f"Bearer {KEY}"}).refusal()
    assert (refused["status"], refused["code"]) == (400, "malformed-request")


async def test_a_guarded_host_lets_strangers_in_by_no_way(app: PipelineApp) -> None:
    refused = await Socket(vouching(app, None)).refusal()
    assert (refused["status"], refused["code"]) == (403, "forbidden")
    assert await is_open(vouching(app, None, guarded=False))


async def test_a_key_in_the_query_is_no_token(locked: PipelineApp) -> None:
    for query in (f"key={KEY}", f"api_key={KEY}", f"token={KEY}"):
        assert (await Socket(locked, query=query).refusal())["status"] == 401


async def test_a_token_that_nobody_asked_for_is_no_way_past_the_origin(app: PipelineApp) -> None:
    refused = await Socket(app, headers={"Origin": EVIL}, query="token=anything").refusal()
    assert refused["status"] in (401, 403)


async def test_more_than_one_token(locked: PipelineApp) -> None:
    refused = await Socket(locked, query="token=a&token=b").refusal()
    assert (refused["status"], refused["code"]) == (400, "malformed-request")
    refused = await Socket(locked, query="token=a", headers={"X-API-Key": KEY}).refusal()
    assert (refused["status"], refused["code"]) == (400, "malformed-request")
    assert (await Socket(locked, query="tokens=a").refusal())["status"] == 401


async def test_a_token_opens_a_socket_from_any_origin(locked: PipelineApp) -> None:
    token = locked.sign("0191", "read", 60.0).token
    assert await is_open(locked, query=f"token={token}", headers={"Origin": EVIL})
    async with Socket(locked, query=f"a=1&token={token}") as socket:
        assert socket.scope["query_string"] == b"a=1&token=-"  # servers log it
    refused = await Socket(locked, query=f"token={token}x").refusal()
    assert (refused["status"], refused["code"]) == (401, "unauthenticated")
