"""The loop thread of an app that brings none: when it begins, what its lifespan does, how it ends."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from tests.support.wsgi import call

from pipemount.bridge import WSGIBridge, own_loop
from pipemount.errors import UnavailableError
from pipemount.http.lifespan import HostLifespanError
from pipemount.runtime import shutdown
from pipemount.types import Receive, Scope, Send


class Product:
    """A Starlette application with a lifespan, and the notes of its life."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.failing: Exception | None = None
        self.app = Starlette(lifespan=self.lifespan, routes=[Route("/", self.page)])

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[dict[str, str]]:
        self.notes.append("start")
        if self.failing is not None and self.notes.count("start") == 1:
            raise self.failing
        yield {"pool": "open"}
        self.notes.append("stop")
        if self.failing is not None:
            raise self.failing

    async def page(self, request: Request) -> JSONResponse:
        pool = getattr(request.state, "pool", None)
        request.state.pool = "changed"
        return JSONResponse({"pool": pool, "thread": threading.current_thread().name})


@pytest.fixture
def product() -> Product:
    return Product()


@pytest.fixture
def bridge(product: Product) -> Iterator[WSGIBridge]:
    with closing(WSGIBridge(product.app, lifespan=True)) as made:
        yield made


def test_no_thread_begins_before_the_first_request(product: Product) -> None:
    before = set(threading.enumerate())  # some of which may be about to end
    bridge = WSGIBridge(product.app, lifespan=True)
    assert set(threading.enumerate()) <= before
    with closing(bridge):
        assert b"pipemount-bridge" in call(bridge).body
        assert len(set(threading.enumerate()) - before) == 1
    assert set(threading.enumerate()) <= before


def test_the_lifespan_runs_once_around_all_requests_and_leaves_its_state(product: Product, bridge: WSGIBridge) -> None:
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: call(bridge), range(20)))
    assert {reply.status for reply in replies} == {200}
    assert all(b'"pool":"open"' in reply.body for reply in replies)  # each request has a copy
    assert product.notes == ["start"]
    bridge.close()
    bridge.close()
    assert product.notes == ["start", "stop"]


def test_a_bridge_that_was_closed_begins_anew(product: Product, bridge: WSGIBridge) -> None:
    call(bridge)
    bridge.close()
    assert call(bridge).status == 200
    assert product.notes == ["start", "stop", "start"]


def test_without_lifespan_there_is_none(product: Product) -> None:
    with closing(WSGIBridge(product.app)) as bridge:
        assert b'"pool":null' in call(bridge).body
    assert product.notes == []


def test_an_app_that_has_no_lifespan_is_served(product: Product) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await PlainTextResponse("served")(scope, receive, send)

    with closing(WSGIBridge(app, lifespan=True)) as bridge:
        assert call(bridge).body == b"served"


def test_a_start_that_fails_is_raised_and_tried_again(product: Product, bridge: WSGIBridge) -> None:
    product.failing = OSError("no database")
    with pytest.raises(HostLifespanError, match="no database"):
        call(bridge)
    product.failing = None
    assert call(bridge).status == 200


def test_a_stop_that_fails_is_logged(product: Product, bridge: WSGIBridge, caplog: pytest.LogCaptureFixture) -> None:
    call(bridge)
    product.failing = OSError("no database")
    with caplog.at_level(logging.ERROR, "pipemount"):
        bridge.close()
    assert "shutdown failed" in caplog.text
    assert "no database" in caplog.text


def test_a_start_that_takes_long_is_told_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    @asynccontextmanager
    async def slow(app: Any) -> AsyncIterator[None]:
        go.wait(20)
        yield

    monkeypatch.setattr(own_loop, "START_PATIENCE", 0.01)
    app = Starlette(lifespan=slow, routes=[Route("/", lambda _: PlainTextResponse("served"))])
    with closing(WSGIBridge(app, lifespan=True)) as bridge:
        assert call(bridge).status == 503
        go.set()
        monkeypatch.setattr(own_loop, "START_PATIENCE", 20)
        assert call(bridge).body == b"served"


def test_the_exit_of_the_process_ends_it(product: Product, bridge: WSGIBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "_live", set())
    monkeypatch.setattr(shutdown, "_exiting_pid", 0)
    call(bridge)
    shutdown._close_all()
    assert product.notes == ["start", "stop"]
    assert call(bridge).status == 503  # and nothing begins after that


def test_where_no_thread_starts_any_more_the_answer_is_503(bridge: WSGIBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Any:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(own_loop, "LoopThread", refuse)
    assert call(bridge).status == 503


@pytest.mark.parametrize("hook", [True, False])
def test_a_forked_child_has_a_loop_of_its_own(
    product: Product, bridge: WSGIBridge, hook: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Python's fork hooks, and under a server that forks without them."""
    call(bridge)
    reader, writer = multiprocessing.Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:  # pragma: no cover  the child reports and leaves without any hook
        try:
            if not hook:
                assert bridge._own is not None
                bridge._own._pid, bridge._own._life = os.getppid(), bridge._own._inherited[-1]  # type: ignore[assignment]  # as it was
            writer.send([call(bridge).status, product.notes])
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert reader.poll(5)
    assert reader.recv() == [200, ["start", "start"]]
    assert call(bridge).status == 200
    assert product.notes == ["start"]


def test_a_process_id_that_has_changed_is_enough(bridge: WSGIBridge) -> None:
    call(bridge)
    own = bridge._own
    assert own is not None
    parent = own._life
    assert parent is not None
    own._pid = 0
    assert call(bridge).status == 200
    assert own._life is not parent
    parent.end()


def test_a_request_within_a_start_waits_for_it_and_an_exiting_process_says_so() -> None:
    loop = own_loop.OwnLoop(Starlette(), lifespan=False)
    assert loop.state == {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutdown, "_exiting_pid", os.getpid())
        with pytest.raises(UnavailableError, match="shutting down"):
            loop.loop()
    loop.close()  # it never began
