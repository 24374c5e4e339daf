"""Hearing of the end: signals are observed and handed on, servers are looked at, and who waits is told."""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest

from pipemount.runtime import draining
from pipemount.runtime.draining import Draining, Observer


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in draining.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Server:
    """As a server that stops when it is told to."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def handle(self, number: int, frame: object) -> None:
        self.heard.append(number)


def current() -> Any:
    """What handles SIGTERM."""
    return signal.getsignal(signal.SIGTERM)


class Listener:
    def __init__(self, serving: bool) -> None:
        self.serving = serving

    def is_serving(self) -> bool:
        return self.serving


# ----------------------------------------------------------------------------------------- waiting


async def test_whoever_waits_is_told_and_whoever_comes_later_too() -> None:
    end = Draining()
    waiting = [asyncio.create_task(end.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not end.told
    end.tell()
    await asyncio.gather(*waiting)
    await end.wait()
    assert end.told
    assert not draining._audiences


async def test_the_end_of_another_runtime_is_not_ours() -> None:
    ours, theirs = Draining(), Draining()
    waiting = asyncio.create_task(ours.wait())
    await asyncio.sleep(0)
    theirs.tell()
    await theirs.wait()
    assert not waiting.done()
    ours.tell()
    await waiting


async def test_the_end_of_the_process_is_that_of_every_runtime_and_past_for_those_that_begin_later() -> None:
    both = Draining(), Draining()
    waiting = [asyncio.create_task(end.wait()) for end in both]
    await asyncio.sleep(0)
    assert draining.tell()
    await asyncio.gather(*waiting)
    assert not Draining().told
    both[0].begin()
    assert [end.told for end in both] == [False, True]


def test_a_loop_that_was_closed_while_somebody_waited_is_forgotten() -> None:
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(Draining().wait())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert draining.tell()
    assert not draining.tell()
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]  # it is never ended, on purpose


async def test_what_was_told_before_somebody_listened_is_not_missed() -> None:
    end = Draining()
    end.tell()
    await draining._Audience.of(asyncio.get_running_loop()).hear(end)
    assert not draining._audiences


async def test_ticks_go_on_until_the_end() -> None:
    end = Draining()
    seen = []
    async for count in end.ticks(0.001, 60.0):
        seen.append(count)
        if count == 3:
            end.tell()
    assert seen == [0, 1, 2, 3]


async def test_ticks_end_at_their_age() -> None:
    assert [count async for count in Draining().ticks(60.0, 0.01)] == [0]


# ----------------------------------------------------------------------------------------- signals


async def test_a_signal_is_told_and_handed_on() -> None:
    server, end = Server(), Draining()
    for number in draining.SIGNALS:
        signal.signal(number, server.handle)
    waiting = asyncio.create_task(end.wait())
    await asyncio.sleep(0)
    for number in draining.SIGNALS:
        os.kill(os.getpid(), number)
    await waiting
    assert server.heard == list(draining.SIGNALS)


async def test_the_loop_s_own_handlers_still_work() -> None:
    loop, heard, end = asyncio.get_running_loop(), asyncio.Event(), Draining()
    loop.add_signal_handler(signal.SIGTERM, heard.set)
    try:
        draining.observe()
        os.kill(os.getpid(), signal.SIGTERM)
        await heard.wait()
        assert end.told
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def test_observing_again_changes_nothing_and_what_a_server_set_since_is_observed() -> None:
    first, second = Server(), Server()
    signal.signal(signal.SIGTERM, first.handle)
    draining.observe()
    observer = current()
    draining.observe()
    assert current() is observer
    assert observer.__self__ is first
    signal.signal(signal.SIGTERM, second.handle)
    draining.observe()
    assert current().__self__ is second


def test_released_handlers_are_the_earlier_ones_and_later_ones_stay() -> None:
    server = Server()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, server.handle)
    draining.observe()
    signal.signal(signal.SIGINT, server.handle)
    draining.release()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == server.handle


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler])
def test_ctrl_c_is_left_to_python_where_no_server_handles_it(handler: Any) -> None:
    signal.signal(signal.SIGINT, handler)
    draining.observe()
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_signal_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    draining.observe()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


@pytest.mark.parametrize("server", ["uwsgi", "mod_wsgi"])
def test_servers_that_handle_signals_below_python_are_left_alone(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    monkeypatch.setitem(sys.modules, server, types.ModuleType(server))
    draining.observe()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_outside_of_the_main_thread_nothing_is_touched() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for work in (draining.observe, draining.release):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_interpreter_without_signals_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int, handler: object) -> None:
        raise ValueError("signal only works in main thread of the main interpreter")

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with monkeypatch.context() as patch:
        patch.setattr(signal, "signal", refuse)
        draining.observe()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("awaited", [False, True])
async def test_where_the_default_action_stands_the_process_is_ended(
    monkeypatch: pytest.MonkeyPatch, awaited: bool
) -> None:
    ends: list[tuple[int, bool]] = []
    monkeypatch.setattr("pipemount.runtime.shutdown.end", lambda number, hurry: ends.append((number, hurry)))
    waiting = asyncio.create_task(Draining().wait()) if awaited else None
    await asyncio.sleep(0)
    Observer(signal.SIG_DFL)(signal.SIGTERM, None)
    assert ends == [(signal.SIGTERM, not awaited)]
    if waiting:
        await waiting


# ----------------------------------------------------------------------------------------- servers


@pytest.mark.parametrize(
    ("facts", "stops"),
    [
        ({}, False),
        ({"should_exit": False, "servers": [Listener(True)]}, False),
        ({"should_exit": True}, True),
        ({"should_exit": False, "servers": [Listener(True), Listener(False)]}, True),
        ({"alive": True}, False),
        ({"alive": False}, True),
    ],
)
def test_a_server_is_found_behind_its_handler(facts: dict[str, Any], stops: bool) -> None:
    server = Server()
    vars(server).update(facts)
    signal.signal(signal.SIGTERM, server.handle)
    assert draining.server_stops() is stops
    draining.observe()
    assert draining.server_stops() is stops


async def test_who_waits_hears_of_a_server_that_stops_without_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "PAUSE", 0.001)
    server: Any = Server()
    server.alive = True
    signal.signal(signal.SIGTERM, server.handle)
    waiting = asyncio.create_task(Draining().wait())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    server.alive = False
    await waiting


@pytest.mark.parametrize("given", [{}, {"shutdown_event": threading.Event()}, {"shutdown_event": None}])
def test_hypercorn_s_workers_are_told_by_an_event(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
    monkeypatch.setitem(sys.modules, "hypercorn", types.ModuleType("hypercorn"))
    monkeypatch.setattr(multiprocessing.current_process(), "_kwargs", given, raising=False)
    assert not draining.server_stops()
    if event := given.get("shutdown_event"):
        event.set()
        assert draining.server_stops()


def test_an_observer_of_a_plain_function_has_no_server() -> None:
    assert not hasattr(Observer(lambda number, frame: None), "__self__")
