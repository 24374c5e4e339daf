"""Where streams and WebSockets are: where settings have put them, in every host, and nowhere if that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi.requests import HTTPConnection
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.support.asgi import get, post
from tests.support.events import EventReader
from tests.support.sockets import Socket

from pipemount import AuthKeys, PipelineApp, Settings, pipeline, step
from pipemount.errors import ConfigurationError
from pipemount.types import ASGIApp

MOVED = {"/jobs": "/tasks", "/stream": "/live"}
KEY = "k" * 43


@step
async def double(number: int) -> int:
    return 2 * number


@pipeline
def doubled(number: int = 1) -> Any:
    return double(number)


def make(**settings: Any) -> PipelineApp:
    return PipelineApp(doubled, settings=Settings(**settings))


async def ask_for_a_run(app: ASGIApp, path: str, **options: Any) -> tuple[str, list[str]]:
    """Its job, and what was told of it."""
    async with Socket(app, path, **options) as socket:
        job_id = (await socket.ask(type="invoke", parameters={}))["job_id"]
        return job_id, [message["event"]["kind"] for message in (await socket.hear_until("ended"))[:-1]]


async def refusal(app: ASGIApp, path: str, **options: Any) -> tuple[int, str]:
    refused = await Socket(app, path, **options).refusal()
    return refused["status"], refused["code"]


# ------------------------------------------------------------------------------------------ settings


async def test_case_23_sockets_and_streams_at_paths_of_their_own() -> None:
    app = make(paths=MOVED)
    async with app.lifespan():
        for path in ("/live", "/pipelines/doubled/live", "/doubled/live"):
            job_id, kinds = await ask_for_a_run(app, path)
            assert kinds[-1] == "run_completed"
        for path in ("/stream", "/pipelines/doubled/stream", "/doubled/stream"):
            assert await refusal(app, path) == (404, "not-found")
        for path in (f"/live/{job_id}", f"/tasks/{job_id}/events"):
            assert [told.type for told in EventReader().feed((await get(app, path)).body)] == kinds
        for path in (f"/stream/{job_id}", f"/jobs/{job_id}/events", f"/jobs/{job_id}"):
            assert (await get(app, path)).status == 404
        told = (await get(app, "/live")).json()["detail"]
        assert told.startswith("/live is a WebSocket")


async def test_case_23_links_lead_to_where_jobs_are() -> None:
    app = make(paths=MOVED)
    async with app.lifespan():
        accepted = await post(app, "/a b/submit", {"parameters": {}}, root_path="/a b")
        urls = accepted.json()
        job_id = urls["job_id"]
        place = f"/a%20b/tasks/{job_id}"
        assert (urls["poll_url"], urls["stream_url"]) == (place, f"{place}/events")
        assert accepted.headers["location"] == place
        streamed = await post(app, "/a b/invoke?mode=stream", {"parameters": {}}, root_path="/a b")
        assert streamed.headers["location"] == f"/a%20b/tasks/{streamed.headers['x-run-id']}"
        record = (await get(app, f"/a b/tasks/{job_id}", root_path="/a b")).json()
        assert (record["poll_url"], record["cancel_url"]) == (place, f"{place}/cancel")
        listed = (await get(app, "/tasks")).json()["jobs"]
        assert {job["stream_url"] for job in listed} == {f"/tasks/{job['job_id']}/events" for job in listed}
        signed = app.sign(job_id, "read", 60.0).paths
        assert {what: path.partition("?")[0] for what, path in signed.items()} == {
            "job": f"/tasks/{job_id}",
            "events": f"/tasks/{job_id}/events",
            "websocket": "/live",
        }


async def test_case_23_sockets_and_jobs_switched_off() -> None:
    app = make(without=("/stream", "/jobs"))
    async with app.lifespan():
        for path in ("/stream", "/doubled/stream"):
            assert await refusal(app, path) == (404, "not-found")
            assert (await get(app, path)).json()["code"] == "not-found"
        accepted = await post(app, "/submit", {"parameters": {}})
        assert (accepted.json()["poll_url"], accepted.json()["stream_url"]) == (None, None)
        assert "location" not in accepted.headers
        assert "location" not in (await post(app, "/invoke?mode=stream", {"parameters": {}})).headers
        assert app.sign("x", "read", 60.0).paths == {}
    refused = await Socket(app, "/nothing").refusal()
    assert "this app has none" in refused["detail"]


@pytest.mark.parametrize("wrong", [{"/stream": "/a/b"}, {"/stream": "/jobs"}, {"/stream/{job_id}": "/x/{job_id}"}])
def test_places_that_cannot_be(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        make(paths=wrong)


async def test_a_moved_stream_has_the_name_that_it_had() -> None:
    names = {route.path: route.name for route in make(paths=MOVED).route_table}
    assert (names["/live/{job_id}"], names["/tasks/{job_id}/events"]) == ("stream", "events")


# ---------------------------------------------------------------------------------------------- hosts


def login(connection: HTTPConnection) -> None:
    if connection.headers.get("x-login") != "ada":
        raise HTTPException(401, headers={"www-authenticate": "Bearer"})


def fastapi(app: PipelineApp) -> ASGIApp:
    """Included twice over, behind the dependency of the outer router."""
    outer = APIRouter(prefix="/ai", dependencies=[Depends(login)])
    outer.include_router(app.router())
    host = FastAPI()
    host.include_router(outer)
    return host


HOSTS: dict[str, Callable[[PipelineApp], ASGIApp]] = {
    "FastAPI, included": fastapi,
    "FastAPI, mounted": lambda app: FastAPI(routes=[Mount("/ai", app)]),
    "Starlette, mounted": lambda app: Starlette(routes=[Mount("/ai", app)]),
    "Starlette, wrapped": lambda app: app.wrap(Starlette(), "/ai"),
}


@pytest.mark.parametrize("moved", [False, True], ids=["usual", "moved"])
@pytest.mark.parametrize("name", HOSTS)
async def test_a_socket_in_every_host(name: str, moved: bool) -> None:
    app = make(paths=MOVED if moved else {})
    host, place = HOSTS[name](app), "/ai/live" if moved else "/ai/stream"
    headers = {"x-login": "ada"}
    async with app.lifespan():
        job_id, kinds = await ask_for_a_run(host, place, headers=headers)
        assert kinds == ["run_started", "step_started", "step_completed", "run_completed"]
        followed = await get(host, f"{place}/{job_id}", headers=headers)
        assert [told.type for told in EventReader().feed(followed.body)] == kinds
        origin = await refusal(host, place, headers={**headers, "Origin": "https://evil.example"})
        assert origin == (403, "cross-origin")
        if name == "FastAPI, included":
            assert (await Socket(host, place).refusal())["status"] == 401
            assert (await get(host, f"{place}/{job_id}")).status == 401


async def test_a_key_is_asked_for_in_every_host() -> None:
    for name, mount in HOSTS.items():
        app = PipelineApp(doubled, auth=AuthKeys({"ci": KEY}))
        host = mount(app)
        async with app.lifespan():
            status, code = await refusal(host, "/ai/stream", headers={"x-login": "ada"})
            assert (status, code) == (401, "unauthenticated"), name
            _, kinds = await ask_for_a_run(host, "/ai/stream", headers={"x-login": "ada", "x-api-key": KEY})
            assert kinds[-1] == "run_completed"
