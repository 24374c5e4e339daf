"""Row H2 of the hardening matrix: a caller who leaves, whenever and however, leaves nothing behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from tests.support.asgi import Connection

from pipemount import PipelineApp, Settings, pipeline, step
from pipemount.http import reading
from pipemount.runtime import guard
from pipemount.types import Message


@step
async def turn(rounds: int) -> int:
    for _ in range(rounds):
        await asyncio.sleep(0)
    return rounds


@step
def think(rounds: int) -> int:
    time.sleep(rounds / 10_000)
    return rounds


@step
async def count(rounds: int) -> AsyncIterator[int]:
    for number in range(rounds):
        await asyncio.sleep(0)
        yield number


@pipeline
def turning(rounds: int = 6) -> Any:
    return turn(rounds)


@pipeline
def thinking(rounds: int = 6) -> Any:
    return think(rounds)


@pipeline
def counting(rounds: int = 6) -> Any:
    return count(rounds)


@pipeline
def at_once(rounds: int = 0) -> Any:
    return turn(rounds)


PIPELINES = {"turning": turning, "thinking": thinking, "counting": counting, "at_once": at_once}
JSON, KEYED = {b"content-type": b"application/json"}, {b"idempotency-key": b'"%d"'}
STREAM = {b"accept": b"text/event-stream"}
REQUESTS: dict[str, tuple[str, str, dict[bytes, bytes], bytes]] = {
    **{f"invoke {name}": ("POST", f"/{name}/invoke", JSON, b'{"parameters":{}}') for name in PIPELINES},
    **{f"batch {name}": ("POST", f"/{name}/batch", JSON, b"[{},{},{}]") for name in PIPELINES},
    "keyed invoke": ("POST", "/turning/invoke", JSON | KEYED, b'{"parameters":{}}'),
    "keyed batch": ("POST", "/turning/batch", JSON | KEYED, b"[{},{}]"),
    "submit": ("POST", "/turning/submit", JSON, b'{"parameters":{}}'),
    "stream": ("POST", "/counting/invoke", JSON | STREAM, b'{"parameters":{}}'),
    "keyed stream": ("POST", "/counting/invoke", JSON | STREAM | KEYED, b'{"parameters":{}}'),
    "no JSON": ("POST", "/turning/invoke", JSON, b'{"parameters":'),
    "invalid": ("POST", "/turning/invoke", JSON, b'{"parameters":{"rounds":"many"}}'),
    "jobs": ("GET", "/jobs", {}, b""),
    "no job": ("GET", "/jobs/01939d3e-0000-7000-8000-000000000000/events", STREAM, b""),
    "status": ("GET", "/status", {}, b""),
    "info": ("GET", "/turning/info", {}, b""),
    "docs": ("GET", "/docs", {}, b""),
    "nothing": ("GET", "/nothing", {}, b""),
}


class Leaver(Connection):
    """A caller who leaves when the app receives for the ``leaves_at``-th time, and at the ``breaks_at``-th sending.

    ``pause`` turns of the loop pass before each message comes; without ``leaves_at`` the caller stays.
    """

    def __init__(
        self,
        app: PipelineApp,
        name: str,
        number: int,
        leaves_at: int | None = None,
        breaks_at: int | None = None,
        pause: int = 0,
    ) -> None:
        method, path, headers, body = REQUESTS[name]
        raw = [(key, value % number if b"%d" in value else value) for key, value in headers.items()]
        super().__init__(app, method, path, headers=raw)
        self.body, self._pause, self._leaves_at, self._breaks_at, self._asked = body, pause, leaves_at, breaks_at, 0
        self.gone, self.late = False, 0

    async def _receive(self) -> Message:
        self._asked += 1
        for _ in range(self._pause):
            await asyncio.sleep(0)
        if self._leaves_at is None or (self._asked <= self._leaves_at and not self._incoming.empty()):
            return await super()._receive()
        for _ in range(self._leaves_at - self._asked):
            await asyncio.sleep(0)
        self.gone = True
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.late += self.gone
        if self._breaks_at is not None and len(self.sent) >= self._breaks_at:
            self.gone = True
            raise OSError("the caller has gone")
        await super()._send(message)
        await asyncio.sleep(0)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextmanager
def started() -> Iterator[tuple[PipelineApp, asyncio.Runner]]:
    app = PipelineApp(PIPELINES, settings=Settings(max_jobs=20, generate_request_ids=True))
    with asyncio.Runner() as runner:
        runner.run(app.lifecycle.startup())
        yield app, runner
        runner.run(app.lifecycle.shutdown())


async def at_rest(app: PipelineApp, tasks: int, opened: int) -> bool:
    """Whether nothing is left of what was asked for, soon: a second, were the machine ours alone."""
    admission, until = app.admission, time.monotonic() + 10
    while time.monotonic() < until:
        left = len(asyncio.all_tasks()) - 1
        if (admission.active, admission.queued, admission.reading) == (0, 0, 0) and left <= tasks:
            return not len(app.streams) and descriptors() <= opened
        await asyncio.sleep(0.005)
    return False


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")
@pytest.mark.parametrize("cases", [200, pytest.param(2_000, marks=pytest.mark.full)])
def test_h2_a_caller_that_leaves_at_any_message(cases: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "GRACE", 0.0)  # the watch begins at once, as after 50 ms
    monkeypatch.setattr(reading, "GRACE", 0.0)
    number = 0
    with started() as (app, runner):

        @seed(5)
        @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(
            st.sampled_from(sorted(REQUESTS)),
            st.lists(st.integers(0, 17), max_size=4).map(sorted),
            st.integers(0, 16),
            st.one_of(st.none(), st.integers(0, 6)),
            st.integers(0, 2),
        )
        def check(name: str, cuts: list[int], leaves_at: int, breaks_at: int | None, pause: int) -> None:
            nonlocal number
            number += 1
            connection = Leaver(app, name, number, leaves_at, breaks_at, pause)
            body = connection.body
            connection.feed(*(body[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)))
            runner.run(asyncio.wait_for(connection.run(), 30))

            assert sum(message["type"] == "http.response.start" for message in connection.sent) <= 1
            assert connection.late == 0, "something was sent to a caller who was known to have left"

        for number, name in enumerate(REQUESTS):  # whatever is made once is made
            connection = Leaver(app, name, -number)
            connection.feed(connection.body)
            runner.run(asyncio.wait_for(connection.run(), 30))
            assert connection.sent, name
        assert runner.run(at_rest(app, 1000, 1000))
        tasks, opened = len(asyncio.all_tasks(runner.get_loop())), descriptors()
        check()
        assert runner.run(at_rest(app, tasks, opened))
