"""Row A4 of the hardening matrix: of somebody else's job nobody learns, nor changes, anything by any way there is.

Somebody else's id is answered as one that never was, byte for byte but for the id itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from tests.support.asgi import Answer, get, post, request
from tests.support.sockets import Socket

from pipemount import AuthKeys, PipelineApp, Principal, Settings, pipeline, step
from pipemount.auth import Key, Tokens
from pipemount.http.handover import hand_over
from pipemount.types import ASGIApp, Receive, Scope, Send

ADA, BOB, ROOT = (f"the-key-of-{name}-which-is-long" for name in ("ada", "bob", "root"))
CANARY = "the-canary-of-ada"
UNKNOWN = "01936f5e-7c00-7000-8000-000000000001"
WAYS = ("submit", "async", "batch", "idempotent", "running", "failed")


@step
async def tell(text: str, way: str) -> str:
    if way == "running":
        await asyncio.Event().wait()
    if way == "failed":
        raise RuntimeError(text)
    return text


@pipeline
def telling(text: str = "", way: str = "") -> Any:
    return tell(text, way)


class House(NamedTuple):
    """An app, as the one and as the other come to it."""

    app: PipelineApp
    ada: ASGIApp
    bob: ASGIApp
    root: ASGIApp


@pytest.fixture(params=["keys", "host"])
async def house(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """Two keys, or two users of the host's own login who are told apart by nothing but their names."""
    settings = Settings(cleanup_timeout=0.1, heartbeat=0.05)
    if request.param == "keys":
        keys = [Key("ada", ADA), Key("bob", BOB), Key("root", ROOT, permissions=("admin",))]
        app = PipelineApp({"telling": telling, "other": telling}, auth=AuthKeys(keys), settings=settings)
        house = House(app, *(with_key(app, key) for key in (ADA, BOB, ROOT)))
    else:
        app = PipelineApp({"telling": telling, "other": telling}, settings=settings)
        house = House(app, vouched(app, "ada"), vouched(app, "bob"), vouched(app, "root", "admin"))
    async with app.lifespan(None):
        yield house


def with_key(app: ASGIApp, key: str) -> ASGIApp:
    async def client(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "headers": [*scope["headers"], (b"x-api-key", key.encode())]}, receive, send)

    return client


def vouched(app: ASGIApp, name: str, *more: str) -> ASGIApp:
    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        scope = dict(scope)
        hand_over(scope, principal=Principal(name, frozenset({"invoke", "read", "cancel", *more}), "shop"))
        await app(scope, receive, send)

    return host


async def begin(house: House, way: str) -> str:
    """A job of Ada's, by one of the ways there are to one; it has ended unless it is to run on."""
    body, key = {"parameters": {"text": CANARY, "way": way}}, {"idempotency-key": '"the-same"'}
    match way:
        case "async":
            answer = await post(house.ada, "/telling/invoke?mode=async", body)
        case "batch":
            answer = await post(house.ada, "/telling/batch", json.dumps([body["parameters"]]).encode(), headers=key)
        case "idempotent":
            answer = await post(house.ada, "/telling/invoke", body, headers=key)
        case _:
            answer = await post(house.ada, "/telling/submit", body)
    assert answer.status in (200, 202), answer.body
    job_id = answer.headers["x-run-id"]
    while not is_settled(await record(house, job_id)):
        await asyncio.sleep(0.005)
    return job_id


def is_settled(job: Any) -> bool:
    """It has ended, or runs and has nothing more to tell."""
    return job["status"] in ("succeeded", "failed") or (job["status"], job["last_event"]) == ("running", 2)


async def record(house: House, job_id: str) -> Any:
    answer = await get(house.ada, f"/jobs/{job_id}")
    assert answer.status == 200
    return answer.json()


def routes(app: PipelineApp) -> list[tuple[str, str]]:
    """All that take a job's id."""
    found = [(method, route.path) for route in app.route_table for method in route.methods if "{job_id}" in route.path]
    assert {path for _, path in found} == {
        "/jobs/{job_id}",
        "/jobs/{job_id}/cancel",
        "/jobs/{job_id}/events",
        "/jobs/{job_id}/resume",
        "/jobs/{job_id}/retry",
        "/stream/{job_id}",
    }
    assert ("DELETE", "/jobs/{job_id}") in found and ("POST", "/jobs/{job_id}/cancel") in found
    return found


def seen(answer: Answer, job_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """All that a client sees, without the id that it sent itself."""
    headers = [(name, value) for name, value in answer.raw_headers if name != b"x-request-id"]
    return answer.status, headers, answer.body.replace(job_id.encode(), UNKNOWN.encode())


@pytest.mark.parametrize("way", WAYS)
async def test_a4_over_http_another_s_job_is_as_one_that_never_was(house: House, way: str) -> None:
    job_id = await begin(house, way)
    before = await record(house, job_id)
    queries = ("", "?after=1", "?x=1")
    for method, path in routes(house.app):
        for query in queries:
            for headers in ({}, {"accept": "text/event-stream"}, {"accept": "text/html"}, {"last-event-id": "1"}):
                theirs, unknown = [
                    await request(house.bob, method, path.replace("{job_id}", each) + query, headers=headers)
                    for each in (job_id, UNKNOWN)
                ]
                assert seen(theirs, job_id) == seen(unknown, UNKNOWN), (method, path, headers)
                assert unknown.status in (404, 406), (method, path, headers, unknown.status)
                assert theirs.status == 404 or "accept" in headers
    assert await record(house, job_id) == before


async def test_a4_tokens_for_another_s_job_are_not_given(house: House) -> None:
    job_id = await begin(house, "submit")
    for permission in ("read", "cancel"):
        theirs, unknown = [
            await post(house.bob, "/tokens", {"job_id": each, "permission": permission}) for each in (job_id, UNKNOWN)
        ]
        assert theirs.status == 404
        assert seen(theirs, job_id) == seen(unknown, UNKNOWN)
        assert (await post(house.ada, "/tokens", {"job_id": job_id, "permission": permission})).status == 201
        assert (await post(house.root, "/tokens", {"job_id": job_id, "permission": permission})).status == 201


async def test_a4_over_a_websocket_another_s_job_is_as_one_that_never_was(house: House) -> None:
    job_id = await begin(house, "running")
    before = await record(house, job_id)
    async with Socket(house.bob) as bob, Socket(house.root) as root:
        for kind in ("subscribe", "cancel", "unsubscribe", "retry", "resume"):
            more = {"answer": True} if kind == "resume" else {}
            theirs, unknown = [await bob.ask(type=kind, id=1, job_id=each, **more) for each in (job_id, UNKNOWN)]
            assert theirs["problem"]["status"] == 404
            assert json.dumps(theirs).replace(job_id, UNKNOWN) == json.dumps(unknown)
        assert bob.unread == 0
        assert (await root.ask(type="subscribe", job_id=job_id))["type"] == "accepted"
    assert await record(house, job_id) == before


async def test_a4_a_token_opens_nothing_but_its_own_job(house: House) -> None:
    """Neither over HTTP nor over a socket; whether there is another job it does not tell."""
    adas, bobs = await begin(house, "running"), await submit(house.bob)
    for permission in ("read", "cancel"):
        token = (await post(house.bob, "/tokens", {"job_id": bobs, "permission": permission})).json()["token"]
        for method, path in routes(house.app):
            theirs, unknown = [
                await request(house.app, method, path.replace("{job_id}", each) + f"?token={token}")
                for each in (adas, UNKNOWN)
            ]
            assert seen(theirs, adas) == seen(unknown, UNKNOWN), (method, path)
            assert theirs.status in (401, 403, 404)  # 401 and 403: where nobody at all comes in by a token
        async with Socket(house.app, query=f"token={token}") as socket:
            for kind in ("subscribe", "cancel", "retry", "resume"):
                more = {"answer": True} if kind == "resume" else {}
                theirs, unknown = [await socket.ask(type=kind, id=1, job_id=each, **more) for each in (adas, UNKNOWN)]
                assert theirs["problem"]["status"] == 403
                assert json.dumps(theirs).replace(adas, UNKNOWN) == json.dumps(unknown)
    assert (await record(house, adas))["status"] == "running"


async def submit(client: ASGIApp) -> str:
    return str((await post(client, "/telling/submit", {"parameters": {}})).json()["job_id"])


async def test_a4_whoever_has_a_key_makes_no_token_for_another_s_job(house: House) -> None:
    """What a token's signature is made of is no secret to those who have the key, nor is this source."""
    if house.app.auth is None:
        return
    job_id = await begin(house, "running")
    forger = Tokens(AuthKeys([Key("bob", BOB)]))
    bob = Principal("bob", frozenset({"read", "cancel"}))
    for permission, method, path in (("read", "GET", ""), ("read", "GET", "/events"), ("cancel", "POST", "/cancel")):
        forged = forger.sign(job_id, permission, 60, bob).token
        theirs = await request(house.app, method, f"/jobs/{job_id}{path}?token={forged}")
        assert seen(theirs, job_id) == seen(
            await request(house.app, method, f"/jobs/{UNKNOWN}{path}?token={forged}"), UNKNOWN
        )
        async with Socket(house.app, query=f"token={forged}") as socket:
            kind = {"read": "subscribe"}.get(permission, permission)
            assert (await socket.ask(type=kind, job_id=job_id))["problem"]["status"] == 404
    assert (await record(house, job_id))["status"] == "running"


async def test_a4_lists_have_one_s_own(house: House) -> None:
    adas = {await begin(house, way) for way in ("submit", "async", "running", "failed")}
    bobs = {await submit(house.bob)}
    for query in ("", "?limit=1", "?status=succeeded,running,failed", "?pipeline=telling", "?cursor=999999"):
        found = (await get(house.bob, f"/jobs{query}")).json()
        assert {job["job_id"] for job in found["jobs"]} <= bobs
        assert found["next_cursor"] is None
    assert {job["job_id"] for job in (await get(house.ada, "/jobs")).json()["jobs"]} == adas
    assert {job["job_id"] for job in (await get(house.root, "/jobs")).json()["jobs"]} == adas | bobs


async def test_a4_one_idempotency_key_is_two_for_two_callers(house: House) -> None:
    for path, body in (
        ("/telling/submit", b'{"parameters":{"text":"%s"}}'),
        ("/telling/invoke", b'{"parameters":{"text":"%s"}}'),
        ("/telling/invoke?mode=async", b'{"parameters":{"text":"%s"}}'),
        ("/telling/invoke?mode=stream", b'{"parameters":{"text":"%s"}}'),
        ("/telling/batch", b'[{"text":"%s"}]'),
    ):
        headers = {"idempotency-key": f'"{path}"', "accept": "text/event-stream" if "stream" in path else "*/*"}
        mine = await post(house.ada, path, body % CANARY.encode(), headers=headers)
        again = await post(house.ada, path, body % CANARY.encode(), headers=headers)
        assert mine.status in (200, 202)
        for sent in (CANARY, "something else"):
            theirs = await post(house.bob, path, body % sent.encode(), headers=headers)
            assert theirs.status == mine.status or (theirs.status == 422 and sent != CANARY), (path, theirs.body)
            assert theirs.headers.get("x-run-id") != mine.headers["x-run-id"], path
        assert again.headers["x-run-id"] == mine.headers["x-run-id"], path


async def test_a4_what_operators_read_names_no_job_no_caller_and_no_value(house: House) -> None:
    job_ids = [await begin(house, way) for way in WAYS]
    for path in ("/metrics", "/status", "/info", "/telling/info", "/health/ready", "/openapi.json", "/"):
        for accept in ("application/json", "text/plain", "application/openmetrics-text"):
            told = (await get(house.bob, path, headers={"accept": accept})).body.decode()
            assert not [text for text in (*job_ids, CANARY, '"ada"', ":ada") if text in told], path


async def test_a4_nobody_sees_what_somebody_began_and_the_other_way_round() -> None:
    """Where nobody is asked who he is, all share what they begin; who is known shares nothing with them."""
    app = PipelineApp(telling, settings=Settings(cleanup_timeout=0.1))
    ada = vouched(app, "ada")
    async with app.lifespan(None):
        adas = (await post(ada, "/submit", {"parameters": {}})).json()["job_id"]
        nobodys = (await post(app, "/submit", {"parameters": {}})).json()["job_id"]
        assert [(await get(ada, f"/jobs/{each}")).status for each in (adas, nobodys)] == [200, 404]
        assert [(await get(app, f"/jobs/{each}")).status for each in (adas, nobodys)] == [404, 200]
        assert [job["job_id"] for job in (await get(app, "/jobs")).json()["jobs"]] == [nobodys]


async def test_a4_users_of_two_logins_and_a_key_of_one_name_are_three() -> None:
    app = PipelineApp(telling, auth=AuthKeys([Key("ada", ADA)]), settings=Settings(cleanup_timeout=0.1))

    def of(source: str) -> ASGIApp:
        async def host(scope: Scope, receive: Receive, send: Send) -> None:
            scope = dict(scope)
            hand_over(scope, principal=Principal("ada", frozenset({"invoke", "read"}), source))
            await app(scope, receive, send)

        return host

    clients = [with_key(app, ADA), of("django"), of("flask")]
    async with app.lifespan(None):
        jobs = [(await post(each, "/submit", {"parameters": {}})).json()["job_id"] for each in clients]
        for number, client in enumerate(clients):
            statuses = [(await get(client, f"/jobs/{job}")).status for job in jobs]
            assert statuses == [200 if each == number else 404 for each in range(3)]
