"""Signed tokens seen from outside: asked for at ``POST /tokens``, carried by links, ended with who signed them."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI, Request
from starlette.requests import HTTPConnection
from tests.support.asgi import Answer, Connection, get, post, request
from tests.support.sockets import Socket

from pipemount import AuthKeys, PipelineApp, Principal, Settings, pipeline, step
from pipemount.auth import Key
from pipemount.http.handover import hand_over
from pipemount.runtime.acting import acting_as
from pipemount.types import ASGIApp, Receive, Scope, Send

KEYS = {
    "ada": ("invoke", "read", "cancel"),
    "bob": ("invoke", "read", "cancel"),
    "eye": ("read",),
    "runner": ("invoke",),
    "axe": ("cancel",),
    "root": ("admin",),
}
APP_SECRET = "a secret that nobody is going to guess"
START = 1_800_000_000.0
LIFE = {"settings": Settings(cleanup_timeout=0.1, heartbeat=0.02)}
PRIVATE = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
Make = Callable[..., Any]


@step
async def wait(steps: int) -> Any:
    for number in range(steps):
        yield number
        await asyncio.sleep(0)
    if not steps:
        await asyncio.Event().wait()


@pipeline
def waiting(steps: int = 0) -> Any:
    return wait(steps)


class Clock:
    now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Started apps, stopped after the test."""
    lifespans = []

    async def make(*options: Any, **more: Any) -> PipelineApp:
        app = PipelineApp(waiting, **{**LIFE, **more})
        lifespans.append(app.lifespan(None))
        await lifespans[-1].__aenter__()
        return app

    yield make
    for lifespan in lifespans:
        await lifespan.__aexit__(None, None, None)


@pytest.fixture
async def app(make: Make, clock: Clock) -> PipelineApp:
    made: PipelineApp = await make(auth=AuthKeys([key(name) for name in KEYS], clock=clock))
    return made


def key(name: str, secret: str = "", **options: Any) -> Key:
    return Key(name, secret or f"the-key-of-{name}", **{"permissions": KEYS[name], **options})


def by(name: str, **more: str) -> dict[str, Any]:
    return {"headers": {"x-api-key": f"the-key-of-{name}", **more}}


async def submitted(app: ASGIApp, name: str = "ada", steps: int = 0) -> str:
    answer = await post(app, "/submit", {"parameters": {"steps": steps}}, **by(name))
    assert answer.status == 202, answer.body
    return str(answer.json()["job_id"])


async def ask(app: ASGIApp, name: str = "ada", *, root_path: str = "", **body: Any) -> Answer:
    return await post(app, f"{root_path}/tokens", body, root_path=root_path, **by(name))


async def token(app: ASGIApp, job_id: str, permission: str = "read", name: str = "ada", **more: Any) -> str:
    answer = await ask(app, name, job_id=job_id, permission=permission, **more)
    assert answer.status == 201, answer.body
    return str(answer.json()["token"])


def check_problem(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.json()["code"]) == (status, code), answer.body
    assert answer.headers["content-type"] == "application/problem+json"


# ------------------------------------------------------------------------------------------- asking for one


@pytest.mark.parametrize(
    ("permission", "what"), [("read", {"job", "events", "websocket"}), ("cancel", {"cancel", "websocket"})]
)
@pytest.mark.parametrize("root_path", ["", "/a b"])
async def test_a_token_comes_with_the_links_that_carry_it(
    app: PipelineApp, permission: str, what: set[str], root_path: str
) -> None:
    job_id = await submitted(app)
    answer = await ask(app, root_path=root_path, job_id=job_id, permission=permission, max_age=60)
    told = answer.json()
    assert answer.status == 201
    assert {name: answer.headers[name] for name in PRIVATE} == PRIVATE
    assert told.keys() == {"token", "job_id", "permission", "expires_at", "urls"}
    assert (told["job_id"], told["permission"]) == (job_id, permission)
    assert datetime.fromisoformat(told["expires_at"]) == datetime.fromtimestamp(START + 60, UTC)
    assert told["urls"].keys() == what
    for link in told["urls"].values():
        assert link.startswith(root_path.replace(" ", "%20") + "/")
        assert link.endswith(f"?token={told['token']}")


async def test_what_is_left_out(app: PipelineApp) -> None:
    told = (await ask(app, job_id=await submitted(app))).json()
    assert told["permission"] == "read"
    assert datetime.fromisoformat(told["expires_at"]).timestamp() == START + 3600


PERMITTED = {
    ("ada", "read"): 201,
    ("ada", "cancel"): 201,
    ("bob", "read"): 404,  # it is Ada's job
    ("bob", "cancel"): 404,
    ("eye", "read"): 404,
    ("eye", "cancel"): 403,
    ("runner", "read"): 403,
    ("runner", "cancel"): 403,
    ("axe", "read"): 403,
    ("axe", "cancel"): 403,  # who may not look, gets no links
    ("root", "read"): 201,
    ("root", "cancel"): 201,
    ("nobody", "read"): 401,
    ("nobody", "cancel"): 401,
}


@pytest.mark.parametrize(("name", "permission"), PERMITTED)
async def test_who_gets_which(app: PipelineApp, name: str, permission: str) -> None:
    job_id = await submitted(app)
    assert (await ask(app, name, job_id=job_id, permission=permission)).status == PERMITTED[name, permission]


async def test_a_token_does_not_get_another(app: PipelineApp) -> None:
    job_id = await submitted(app)
    given = await token(app, job_id)
    answer = await post(app, f"/tokens?token={given}", {"job_id": job_id})
    check_problem(answer, 401, "unauthenticated")


REFUSED: list[tuple[Any, int]] = [
    ({}, 422),
    ({"job_id": ""}, 422),
    ({"job_id": "x" * 65}, 422),
    ({"job_id": 7}, 422),
    ({"job_id": None}, 422),
    ({"job_id": "x", "permission": "invoke"}, 422),
    ({"job_id": "x", "permission": "admin"}, 422),
    ({"job_id": "x", "permission": "READ"}, 422),
    ({"job_id": "x", "max_age": 0}, 422),
    ({"job_id": "x", "max_age": -1}, 422),
    ({"job_id": "x", "max_age": "60"}, 422),
    ({"job_id": "x", "max_age": True}, 422),
    ({"job_id": "x", "max_age": 8 * 86400}, 422),
    ({"job_id": "x", "unknown": 1}, 422),
    (b"[]", 422),
    (b"", 400),
    (b"{", 400),
    (b'{"job_id":"x","max_age":NaN}', 422),
    (b'{"job_id":"x","max_age":1e999}', 422),
    (b'{"job_id":"\\ud800"}', 400),
    (b'{"job_id":"' + b"x" * 70_000 + b'"}', 413),
    ({"job_id": "x"}, 404),
    ({"job_id": "../../x"}, 404),
]


@pytest.mark.parametrize(("body", "status"), REFUSED)
async def test_what_is_refused(app: PipelineApp, body: Any, status: int) -> None:
    answer = await post(app, "/tokens", body, **by("ada"))
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), answer.body


async def test_how_it_is_asked_for(app: PipelineApp) -> None:
    job_id = await submitted(app)
    for headers, status in (
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"accept": "text/html"}, 406),
    ):
        assert (await post(app, "/tokens", {"job_id": job_id}, **by("ada", **headers))).status == status
    for method in ("GET", "DELETE", "PUT"):
        answer = await request(app, method, "/tokens", **by("ada"))
        assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_the_app_says_how_long_at_most(make: Make) -> None:
    settings = Settings(cleanup_timeout=0.1, max_token_age=60)
    app = await make(auth=AuthKeys([key("ada")]), settings=settings)
    job_id = await submitted(app)
    assert (await ask(app, job_id=job_id, max_age=61)).status == 422
    assert (await ask(app, job_id=job_id, max_age=60)).status == 201
    assert (await ask(app, job_id=job_id)).status == 201  # not an hour, then


async def test_links_lead_where_things_are(make: Make) -> None:
    settings = Settings(
        cleanup_timeout=0.1, paths={"/jobs": "/orders", "/stream": "/live"}, without=("/jobs/{job_id}/cancel",)
    )
    app = await make(auth=AuthKeys([key("ada")]), settings=settings)
    job_id = await submitted(app)
    links = (await ask(app, job_id=job_id)).json()["urls"]
    for what in ("job", "events"):
        assert urlsplit(links[what]).path.startswith(f"/orders/{job_id}")
        assert (await request(app, "HEAD", links[what])).status == 200
    path, _, query = links["websocket"].partition("?")
    async with Socket(app, path, query=query) as socket:
        assert (await socket.ask(type="subscribe", job_id=job_id))["type"] == "accepted"
    links = (await ask(app, job_id=job_id, permission="cancel")).json()["urls"]
    assert links.keys() == {"websocket"}


# ------------------------------------------------------------------------------------- where it is good


async def test_a_link_is_opened_as_often_as_one_likes_and_changes_nothing(app: PipelineApp) -> None:
    """Mail programs, virus scanners and chats open links before people do, by HEAD or GET."""
    job_id = await submitted(app)
    read, cancel = await token(app, job_id), await token(app, job_id, "cancel")
    before = (await get(app, f"/jobs/{job_id}", **by("ada"))).json()
    for method in ("HEAD", "GET") * 3:
        answer = await request(app, method, f"/jobs/{job_id}?token={read}")
        assert (answer.status, {name: answer.headers[name] for name in PRIVATE}) == (200, PRIVATE)
    assert (await request(app, "HEAD", f"/jobs/{job_id}/events?token={read}")).status == 200
    for method in ("HEAD", "GET"):
        answer = await request(app, method, f"/jobs/{job_id}/cancel?token={cancel}")
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert (await get(app, f"/jobs/{job_id}", **by("ada"))).json() == before
    answer = await request(app, "POST", f"/jobs/{job_id}/cancel?token={cancel}")
    assert (answer.status, answer.json()["reason"]) == (200, "cancelled on request of ada")
    assert {name: answer.headers[name] for name in PRIVATE} == PRIVATE
    again = await request(app, "POST", f"/jobs/{job_id}/cancel?token={cancel}")
    assert again.status == 200


@pytest.mark.parametrize("path", ["/jobs/{}/events", "/stream/{}"])
async def test_events_come_to_who_has_a_token(app: PipelineApp, path: str) -> None:
    job_id = await submitted(app, steps=3)
    await get(app, f"/jobs/{job_id}/events", **by("ada"))
    answer = await get(app, f"{path.format(job_id)}?after=1&token={await token(app, job_id)}")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert {name: answer.headers[name] for name in PRIVATE} == PRIVATE
    assert answer.body.startswith(b"retry: ") and b"id: 2\n" in answer.body and b"id: 1\n" not in answer.body
    assert b"event: run_completed\n" in answer.body


async def test_of_other_permissions_and_jobs_a_token_is_none(app: PipelineApp) -> None:
    job_id, other = await submitted(app), await submitted(app)
    read, cancel = await token(app, job_id), await token(app, job_id, "cancel")
    for path in ("/jobs/{}", "/jobs/{}/events", "/stream/{}"):
        check_problem(await get(app, f"{path.format(job_id)}?token={cancel}"), 403, "forbidden")
        check_problem(await get(app, f"{path.format(other)}?token={read}"), 404, "not-found")
        check_problem(await get(app, f"{path.format('unknown')}?token={read}"), 404, "not-found")
    cancelling = f"/jobs/{job_id}/cancel"
    check_problem(await request(app, "POST", f"{cancelling}?token={read}"), 403, "forbidden")
    answer = await request(app, "POST", f"/jobs/{other}/cancel?token={cancel}")
    check_problem(answer, 404, "not-found")
    assert (await get(app, f"/jobs/{job_id}", **by("ada"))).json()["status"] == "running"


async def test_where_a_token_does_not_count(app: PipelineApp) -> None:
    """Every other route of the app, and the other methods of those that take one, are as if it were not there."""
    job_id = await submitted(app)
    tokens = [await token(app, job_id, permission) for permission in ("read", "cancel")]
    takes = {(method, route.path) for route in app.route_table for method in route.methods if "{job_id}" in route.path}
    takes -= {("DELETE", "/jobs/{job_id}")}
    asked = 0
    for route, given in itertools.product(app.route_table, tokens):
        for method in route.methods:
            if (method, route.path) in takes or route.permission is None:
                continue
            asked += 1
            path = route.path.replace("{job_id}", job_id)
            for query in (f"token={given}", f"access_token={given}", f"key={given}"):
                answer = await request(app, method, f"{path}?{query}")
                assert answer.status == 401, (method, path, answer.body)
            for header in ({"authorization": f"Bearer {given}"}, {"x-api-key": given}, {"cookie": f"token={given}"}):
                assert (await request(app, method, path, headers=header)).status == 401, (method, path)
    assert asked > 40
    for path in takes_of(takes):
        for headers in ({"authorization": f"Bearer {tokens[0]}"}, {"x-api-key": tokens[0]}):
            assert (await get(app, path.replace("{job_id}", job_id), headers=headers)).status in (401, 405)


def takes_of(takes: set[tuple[str, str]]) -> list[str]:
    return sorted({path for _, path in takes})


async def test_a_route_that_is_open_takes_no_token(make: Make) -> None:
    settings = Settings(cleanup_timeout=0.1, open_routes=("/jobs/{job_id}",))
    app = await make(auth=AuthKeys([key("ada")]), settings=settings)
    job_id = await submitted(app)
    given = await token(app, job_id)
    assert (await get(app, f"/jobs/{job_id}?token={given}")).status == 404  # nobody asks, and it is Ada's
    scope: Scope = {"type": "http", "method": "GET", "path": f"/jobs/{job_id}", "root_path": "", "headers": []}
    assert not app.goes_by_key({**scope, "query_string": b"token=x"})


@pytest.mark.parametrize(
    "query", ["token={0}&token={0}", "token={0}&token=x", "token=&token={0}", "a=1&token=x&token="]
)
async def test_several_tokens_are_none(app: PipelineApp, query: str) -> None:
    job_id = await submitted(app)
    answer = await get(app, f"/jobs/{job_id}?{query.format(await token(app, job_id))}")
    check_problem(answer, 400, "malformed-request")


async def test_a_key_and_a_token_are_two_credentials(app: PipelineApp) -> None:
    job_id = await submitted(app)
    path = f"/jobs/{job_id}?token={await token(app, job_id)}"
    check_problem(await get(app, path, **by("ada")), 400, "malformed-request")
    refused = await Socket(app, query=path.partition("?")[2], headers=by("ada")["headers"]).refusal()
    assert (refused["status"], refused["code"]) == (400, "malformed-request")


WRONG: dict[str, Callable[[str], str]] = {
    "nothing": lambda token: "",
    "cut": lambda token: token[:-1],
    "more": lambda token: token + "A",
    "changed": lambda token: ("A" if token[0] != "A" else "B") + token[1:],
    "signature": lambda token: token.rpartition(".")[0] + "." + "A" * 43,
    "unsigned": lambda token: token.rpartition(".")[0],
    "padded": lambda token: token + "=",
    "upper": lambda token: token.upper(),
    "long": lambda token: token * 50,
    "encoded-nul": lambda token: token + "%00",
    "not-utf-8": lambda token: token + "%ff",
    "a-key": lambda token: "the-key-of-ada",
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_no_token(app: PipelineApp, wrong: str) -> None:
    job_id = await submitted(app)
    given = WRONG[wrong](await token(app, job_id))
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
        answer = await request(app, method, f"/jobs/{job_id}{path}?token={given}")
        check_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == 'Bearer realm="pipemount", error="invalid_token"'
        assert {name: answer.headers[name] for name in PRIVATE} == PRIVATE
    refused = await Socket(app, query=f"token={given}").refusal()
    assert refused["status"] == 401


# -------------------------------------------------------------------------------------------- its end


async def test_a_token_is_good_until_its_moment(app: PipelineApp, clock: Clock) -> None:
    job_id = await submitted(app)
    path = f"/jobs/{job_id}?token={await token(app, job_id, max_age=60)}"
    clock.now = START + 59
    assert (await get(app, path)).status == 200
    clock.now = START + 60
    answer = await get(app, path)
    check_problem(answer, 401, "unauthenticated")
    assert "expired" in answer.json()["detail"]


async def test_a_token_of_another_app_is_none(make: Make) -> None:
    """Where not even the name of the key is another one."""
    here, there = [await make(auth=AuthKeys([key("ada", secret)])) for secret in ("the-key-of-ada", "another-ada-key")]
    job_id = await submitted(here)
    there_id = (await post(there, "/submit", {"parameters": {}}, headers={"x-api-key": "another-ada-key"})).json()
    signed = there.tokens.sign(job_id, "read", 60, there.auth._keys[0][1].principal).token
    assert there_id["job_id"] != job_id
    check_problem(await get(here, f"/jobs/{job_id}?token={signed}"), 401, "unauthenticated")


async def test_a_token_ends_with_the_key_that_signed_it(make: Make, tmp_path: Path) -> None:
    """Rotated, then removed: in a key file, without a restart."""
    now = [0.0]
    file = tmp_path / "keys"
    file.touch(0o600)
    file.write_text("ada:the-key-of-ada")
    app = await make(auth=AuthKeys.from_file(file, monotonic=lambda: now[0]))

    async def status(path: str) -> int:
        now[0] += 1
        return (await get(app, path)).status

    job_id = await submitted(app)
    by_old = f"/jobs/{job_id}?token={await token(app, job_id)}"
    by_app = f"/jobs/{job_id}?token={app.sign(job_id).token}"
    assert [await status(path) for path in (by_old, by_app)] == [200, 200]
    file.write_text("ada:the-key-of-ada\nada:the-new-key-of-ada")
    assert await status(by_old) == 200
    answer = await post(app, "/tokens", {"job_id": job_id}, headers={"x-api-key": "the-new-key-of-ada"})
    by_new = f"/jobs/{job_id}?token={answer.json()['token']}"
    assert await status(by_new) == 200
    file.write_text("ada:the-new-key-of-ada\n")
    assert [await status(path) for path in (by_old, by_app, by_new)] == [401, 401, 200]


async def test_a_token_ends_when_its_key_expires(make: Make, clock: Clock) -> None:
    until = datetime.fromtimestamp(START + 30, UTC)
    app = await make(auth=AuthKeys([key("ada", expires=until), key("root")], clock=clock))
    job_id = await submitted(app)
    answer = await ask(app, job_id=job_id, max_age=60)
    assert datetime.fromisoformat(answer.json()["expires_at"]) == until
    clock.now = START + 30
    check_problem(await get(app, answer.json()["urls"]["job"]), 401, "unauthenticated")


@pytest.mark.parametrize("how", ["token", "key"])
async def test_a_stream_ends_with_what_it_was_opened_with(make: Make, clock: Clock, how: str) -> None:
    until = datetime.fromtimestamp(START + 30, UTC)
    app = await make(auth=AuthKeys([key("ada", expires=until), key("root")], clock=clock))
    job_id = await submitted(app)
    query = f"token={await token(app, job_id)}".encode() if how == "token" else b""
    headers = [] if how == "token" else [(b"x-api-key", b"the-key-of-ada")]
    connection = Connection(app, "GET", f"/jobs/{job_id}/events", query=query, headers=headers)
    connection.feed(b"")
    running = asyncio.create_task(connection.run())
    while sum(message.get("body") == b": \n\n" for message in connection.sent) < 3:
        await asyncio.sleep(0.005)
    assert not running.done()
    clock.now = START + 30
    await asyncio.wait_for(running, 30)
    assert connection.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert (await get(app, f"/jobs/{job_id}", **by("root"))).json()["status"] == "running"


async def test_a_call_whose_key_has_ended_is_cancelled_as_if_its_caller_had_left(make: Make, clock: Clock) -> None:
    until = datetime.fromtimestamp(START + 30, UTC)
    app = await make(auth=AuthKeys([key("ada", expires=until), key("root")], clock=clock))
    headers = [(b"x-api-key", b"the-key-of-ada"), (b"content-type", b"application/json")]
    connection = Connection(app, "POST", "/invoke", query=b"mode=stream", headers=headers)
    connection.feed(b'{"parameters":{}}')
    running = asyncio.create_task(connection.run())
    while b": \n\n" not in [message.get("body") for message in connection.sent]:
        await asyncio.sleep(0.005)
    clock.now = START + 30
    await asyncio.wait_for(running, 30)
    [job] = (await get(app, "/jobs", **by("root"))).json()["jobs"]
    while job["status"] != "cancelled":
        await asyncio.sleep(0.005)
        job = (await get(app, f"/jobs/{job['job_id']}", **by("root"))).json()


# --------------------------------------------------------------------------------------- the team's own code


async def test_what_the_teams_code_signs_from_a_coroutine_and_from_a_thread(app: PipelineApp) -> None:
    job_id = await submitted(app)
    for signed in (app.sign(job_id), await asyncio.to_thread(app.sign, job_id, "read", 60)):
        assert (await get(app, signed.paths["job"])).json()["job_id"] == job_id
        assert (await get(app, signed.url("http://testserver").removeprefix("http://testserver"))).status == 200
    cancelled = await request(app, "POST", app.sign(job_id, "cancel").paths["cancel"])
    assert cancelled.json()["reason"] == "cancelled on request of app"


async def test_what_endpoints_of_fastapi_sign(make: Make) -> None:
    """In a coroutine on the loop, and in a thread; the user is whom the code names."""
    app = await make(token_secret=APP_SECRET)
    host = FastAPI()

    def user(request: HTTPConnection) -> str | None:
        return request.headers.get("x-user")

    host.include_router(app.router(principal=user), prefix="/ai")

    @host.get("/link/{job_id}")
    async def link(job_id: str, request: Request) -> dict[str, str]:
        with acting_as(user(request), source="fastapi"):
            return dict(app.sign(job_id).paths)

    @host.get("/sync/link/{job_id}")
    def sync_link(job_id: str, request: Request) -> dict[str, str]:
        with acting_as(user(request), source="fastapi"):
            return dict(app.sign(job_id).paths)

    ada, bob = {"x-user": "ada"}, {"x-user": "bob"}
    job_id = (await post(host, "/ai/submit", {"parameters": {"steps": 1}}, headers=ada)).json()["job_id"]
    for path in ("/link/", "/sync/link/"):
        of_ada, of_bob, of_the_app = [(await get(host, path + job_id, headers=each)).json() for each in (ada, bob, {})]
        assert (await get(host, f"/ai/jobs/{job_id}")).status == 404
        assert (await get(host, "/ai" + of_ada["job"])).json()["job_id"] == job_id
        assert (await get(host, "/ai" + of_the_app["job"])).json()["job_id"] == job_id
        assert (await get(host, "/ai" + of_bob["job"])).status == 404
        async with Socket(host, "/ai/stream", query=of_ada["websocket"].partition("?")[2]) as socket:
            assert (await socket.ask(type="subscribe", job_id=job_id))["type"] == "accepted"


def vouching(app: ASGIApp, name: str) -> ASGIApp:
    """A host with a login."""

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        scope = dict(scope)
        hand_over(scope, principal=Principal(name, frozenset({"invoke", "read", "cancel"}), "shop"), guarded=True)
        await app(scope, receive, send)

    return host


async def test_a_host_s_user_gets_tokens_as_a_key_does(make: Make) -> None:
    app = await make(token_secret=APP_SECRET)
    ada, bob = vouching(app, "ada"), vouching(app, "bob")
    job_id = (await post(ada, "/submit", {"parameters": {}})).json()["job_id"]
    assert (await post(bob, "/tokens", {"job_id": job_id})).status == 404
    answer = await post(ada, "/tokens", {"job_id": job_id})
    assert answer.status == 201
    nobody = vouching(app, "nobody-in-particular")
    assert (await get(nobody, answer.json()["urls"]["job"])).json()[
        "job_id"
    ] == job_id  # the token tells, not the login


async def test_tokens_are_in_no_log_of_ours_and_what_servers_log_has_a_dash(
    app: PipelineApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    job_id = await submitted(app)
    given = await token(app, job_id)
    for path in (f"/jobs/{job_id}", "/jobs/unknown", f"/jobs/{job_id}/events"):
        connection = Connection(app, "HEAD", path, query=f"x=1&token={given}".encode())
        connection.feed(b"")
        await connection.run()
        assert connection.scope["query_string"] == b"x=1&token=-"
    for path in (f"/jobs/{job_id}/cancel", "/jobs", "/nothing"):  # where it is not looked at
        connection = Connection(app, "GET", path, query=f"token={given}&x=1".encode())
        connection.feed(b"")
        await connection.run()
        assert connection.scope["query_string"] == b"token=-&x=1"
    await get(app, f"/jobs/{job_id}?token={given}x")
    async with Socket(app, query=f"token={given}") as socket:
        await socket.ask(type="ping")
        assert socket.scope["query_string"] == b"token=-"
    assert caplog.records
    assert given not in caplog.text and given.rpartition(".")[2] not in caplog.text
