"""Steps use the database from threads of ours: no connection stays open that Django would not keep itself."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import RequestFactory
from tests.django.asking import JSON, Asked, only
from tests.django.site.models import Note
from tests.support.asgi import post

from pipemount import PipelineApp, Settings, pipeline, step
from pipemount.django.environment import step_environment

pytestmark = pytest.mark.django_db(transaction=True)

RUNS = 200


class Opened:
    """Every connection to the database that is opened, by the wrapper that has it."""

    def __init__(self) -> None:
        self.wrappers: dict[int, BaseDatabaseWrapper] = {}
        self.count = 0

    def still(self) -> list[BaseDatabaseWrapper]:
        """Those that are open, but for the test's own."""
        mine = connections["default"]
        return [one for one in self.wrappers.values() if one.connection is not None and one is not mine]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    seen = Opened()
    connect = BaseDatabaseWrapper.connect

    def counted(self: BaseDatabaseWrapper) -> None:
        connect(self)
        seen.wrappers[id(self)] = self
        seen.count += 1

    monkeypatch.setattr(BaseDatabaseWrapper, "connect", counted)
    yield seen
    for wrapper in seen.still():
        wrapper.inc_thread_sharing()
        wrapper.close()


@step
def count(times: int) -> int:
    return Note.objects.count() + times


@step
def count_more(so_far: int) -> int:
    return Note.objects.count() + so_far


@step
async def count_async(so_far: int) -> int:
    return await Note.objects.acount() + so_far


def note() -> None:
    Note.objects.count()


@pipeline(on_start=note, on_end=note)
def hooked(times: int = 0) -> Any:
    return count_async(count_more(count(times)))


@pipeline
def plain(times: int = 0) -> Any:
    return count_more(count(times))


@pipeline
def waited(times: int = 0) -> Any:
    return count_async(times)


@pytest.mark.parametrize("name", ["counting", "counting_async"])
def test_wsgi_requests_leave_no_connection_open(opened: Opened, name: str) -> None:
    Note.objects.create(text="one")
    client = Asked("wsgi")
    for _ in range(RUNS):
        only(client("POST", f"/several/{name}/invoke", {"parameters": {}}))
    assert opened.still() == []


@pytest.mark.parametrize("name", ["counting", "counting_async"])
def test_asgi_requests_leave_no_connection_open(opened: Opened, name: str) -> None:
    Note.objects.create(text="one")
    assert opened.still() == []

    handler: Any = ASGIHandler()

    async def ask() -> None:
        for _ in range(RUNS // 5):
            replies = [post(handler, f"/several/{name}/invoke", {"parameters": {}}) for _ in range(5)]
            assert {reply.status for reply in await asyncio.gather(*replies)} == {200}

    asyncio.run(ask())
    assert opened.count >= RUNS // 5
    assert opened.still() == []


async def test_calls_of_the_project_leave_no_connection_open(opened: Opened) -> None:
    app = PipelineApp({"hooked": hooked, "plain": plain})
    async with app.lifespan():
        await asyncio.gather(*(app.run("plain") for _ in range(RUNS)))
        assert opened.count >= 1
        assert opened.still() == []
        before = opened.count
        await app.run("hooked")
        assert opened.count > before
        assert [one.alias for one in opened.still()] in ([], ["default"])  # the one of Django's thread for all


async def test_a_step_for_the_request_that_runs_outside_of_one(opened: Opened) -> None:
    app = PipelineApp(plain, settings=Settings(affinity="request"))
    async with app.lifespan():
        await app.run()
        assert opened.count >= 1
    assert opened.still() == []


async def test_connections_that_may_live_on_are_used_again_and_end_with_the_app(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", None)
    monkeypatch.delattr(mail, "outbox")  # as in production: in tests nothing lives on
    app = PipelineApp(plain, settings=Settings(threads=3))
    async with app.lifespan():
        await asyncio.gather(*(app.run() for _ in range(RUNS)))
        assert 1 <= opened.count <= 3
        assert len(opened.still()) == opened.count
    await until_closed(opened)


async def test_in_tests_none_lives_on_so_that_the_database_can_be_dropped(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", None)
    app = PipelineApp(plain, settings=Settings(threads=3))
    async with app.lifespan():
        await asyncio.gather(*(app.run() for _ in range(RUNS)))
        assert opened.count >= 1
        assert opened.still() == []


@pytest.mark.parametrize("age", [0, None])
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
async def test_async_steps_of_djangos_test_clients_leave_none_open(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, kind: str, age: int | None
) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", age)
    client = Asked(kind)
    reply = await asyncio.to_thread(client, "POST", "/several/counting_async/invoke", {"parameters": {}})
    assert only(reply) == 0
    assert opened.count >= 1
    await until_closed(opened)


@pytest.mark.parametrize("age", [0, None])
def test_under_wsgi_the_thread_for_async_steps_takes_its_connections_along(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, rf: RequestFactory, age: int | None
) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", age)
    monkeypatch.delattr(mail, "outbox")
    view = PipelineApp(waited).django_urls()[0][0].callback
    for _ in range(3):
        assert json.loads(view(rf.post("/invoke", {"parameters": {}}, JSON), rest="invoke").content)["success"]
    assert opened.count >= 3
    assert opened.still() == []


async def until_closed(opened: Opened) -> None:
    """Threads of a pool end by themselves once it is closed."""
    for _ in range(500):
        if not opened.still():
            return
        gc.collect()
        await asyncio.sleep(0.01)
    raise AssertionError("connections outlive the app")


def test_in_the_projects_own_threads_nothing_is_closed() -> None:
    Note.objects.count()
    held = connections["default"].connection
    with step_environment(None):
        assert connections["default"].connection is held
    assert connections["default"].connection is held


def test_where_nothing_is_configured_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipemount.django.environment.in_pool", lambda: True)
    monkeypatch.setattr("pipemount.django.environment.settings", type("Unset", (), {"configured": False}))
    monkeypatch.setattr("pipemount.django.environment.close_old_connections", None)
    with step_environment(None):
        assert threading.current_thread() is threading.main_thread()
