"""The request's own thread: steps see the open transaction there, and ``ATOMIC_REQUESTS`` holds for them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections, transaction
from django.test import AsyncClient, RequestFactory
from django.urls import resolve
from tests.django.asking import JSON, Asked, only
from tests.django.site.models import Note
from tests.django.site.pipelines import WRITTEN

from pipemount import PipelineApp, Settings, pipeline, step
from pipemount.django.transactions import SensitiveThread
from pipemount.runtime.lending import REQUEST_THREAD
from pipemount.runtime.loops import LoopThread, call_from_loop

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/several/writing/invoke"


@pytest.fixture
def atomic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)


def body(text: str, **parameters: Any) -> dict[str, Any]:
    return {"parameters": {"text": text, **parameters}}


def notes() -> list[str]:
    return list(Note.objects.values_list("text", flat=True))


def test_without_atomic_requests_each_step_is_on_its_own(ask: Asked) -> None:
    assert only(ask("POST", PATH, body("one"))) is False
    assert ask("POST", PATH, body("two", well=False)).status_code == 422
    assert notes() == ["one", "two"]


@pytest.mark.usefixtures("atomic")
def test_atomic_requests_hold_for_steps_in_the_requests_thread(ask: Asked) -> None:
    assert only(ask("POST", PATH, body("one"))) is True
    assert ask("POST", PATH, body("two", well=False)).status_code == 422
    assert notes() == ["one"]


@pytest.mark.usefixtures("atomic")
def test_other_requests_open_no_transaction(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipemount.django.transactions._Transaction", None)
    assert only(ask("POST", "/several/counting/invoke", {"parameters": {}})) == 0
    assert ask("GET", "/several/writing/info").status_code == 200
    assert ask("POST", "/several/nothing/invoke", {}).status_code == 404


@pytest.mark.usefixtures("atomic")
def test_what_the_app_raises_rolls_back(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    async def raising(self: Any, scope: Any, receive: Any, send: Any) -> None:
        raise OSError("the app fails")

    monkeypatch.setattr("pipemount.PipelineApp.__call__", raising)
    with pytest.raises(OSError, match="the app fails"):
        ask("POST", PATH, body("one"))
    assert not connections["default"].in_atomic_block


def test_a_step_sees_the_transaction_that_its_view_opened() -> None:
    view, args, kwargs = resolve(PATH)
    request = RequestFactory().post(PATH, body("inner"), content_type=JSON)
    with transaction.atomic():
        Note.objects.create(text="outer")
        response = view(request, *args, **kwargs)
        assert b"true" in response.content  # in an atomic block
        transaction.set_rollback(True)
    assert notes() == []


async def test_from_another_loop_the_thread_is_the_same() -> None:
    """The pipelines' own loop asks for the thread of a request that another loop handles."""
    own = LoopThread("elsewhere")
    try:
        async with ThreadSensitiveContext():
            expected = await sync_to_async(threading.get_ident)()
            lent = SensitiveThread()
            here = await lent.run(threading.get_ident)
            there = await call_from_loop(own.loop, lambda: lent.run(threading.get_ident))
        assert here == there == expected != threading.get_ident()
    finally:
        own.stop()


async def test_what_a_function_raises_there_is_raised_here() -> None:
    def stop() -> None:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        await SensitiveThread().run(stop)
    with pytest.raises(ZeroDivisionError):
        await SensitiveThread().run(lambda: 1 / 0)


@pytest.mark.usefixtures("atomic")
async def test_a_cancelled_request_rolls_back() -> None:
    asked = asyncio.create_task(AsyncClient().post("/several/lingering/invoke", body("one"), content_type=JSON))
    while not WRITTEN.is_set():
        await asyncio.sleep(0.01)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert await Note.objects.acount() == 0


async def test_a_step_in_that_thread_may_wait_for_a_run_that_wants_it_too() -> None:
    apps: list[PipelineApp] = []

    @step
    async def pause() -> int:
        await asyncio.sleep(0)
        return 1

    @step(affinity="request")
    def inner(one: int) -> int:
        return threading.get_ident() * one

    @pipeline
    def waiting() -> Any:
        return inner(pause())

    @step(affinity="request")
    def outer() -> bool:
        value: int = apps[0].run_sync("waiting").value
        return value == threading.get_ident()

    apps.append(PipelineApp({"waiting": waiting, "outer": outer}, settings=Settings(request_timeout=20)))
    async with ThreadSensitiveContext():
        REQUEST_THREAD.set(SensitiveThread())
        assert (await apps[0].run("outer")).value is True
    await apps[0].lifecycle.aclose()
