"""Steps that run elsewhere, on an engine of the test's own: what becomes of a map when its engine comes and goes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.executors import sent

import pipemount
from pipemount import Retry, Settings, pipeline
from pipemount.errors import ExecutorUnavailableError, RunCancelledError
from pipemount.inprocess import run_compiled
from pipemount.pipelines.executors import Hear, Sending
from pipemount.runtime.outpost import perform


@dataclass(frozen=True, eq=False)
class Near:
    """An engine whose workers are threads of the test.

    Attributes:
        opened: The connections to it, as they were made.
        unreachable: Those that cannot be opened.
        broken: Those that end when something is brought to the workers.
        calls: That the first connection takes before it ends.
        until: Opening a connection takes until then.
    """

    opened: list[NearConnection] = field(default_factory=list)
    unreachable: tuple[int, ...] = ()
    broken: tuple[int, ...] = ()
    calls: int = 10**6
    until: threading.Event | None = None

    @property
    def engine(self) -> str:
        return "near"

    @property
    def place(self) -> Hashable:
        return id(self)

    @property
    def settings(self) -> Mapping[str, Any]:
        return {}

    def connection(self) -> NearConnection:
        found = NearConnection(self, len(self.opened))
        self.opened.append(found)
        return found


class NearConnection:
    """What is brought to one connection is not known to another."""

    def __init__(self, near: Near, number: int) -> None:
        self._near, self._number, self._performed = near, number, 0
        self.alive, self.heads = True, dict[object, bytes]()

    def open(self) -> None:
        if self._near.until is not None:
            self._near.until.wait(60)
        if self._number in self._near.unreachable:
            raise self._gone()

    def close(self) -> None:
        self.alive = False

    async def slots(self, executor: Any) -> int:
        return 1

    async def put(self, content: bytes) -> object:
        await asyncio.sleep(0)
        if self._number in self._near.broken:
            raise self._gone()
        head = object()
        self.heads[head] = content
        return head

    async def perform(self, executor: Any, sending: Sending, hear: Hear) -> bytes:
        await asyncio.sleep(0)
        self._performed += 1
        if self._number == 0 and self._performed > self._near.calls:
            raise self._gone()
        head = self.heads[sending.head]
        said: list[bytes] = []
        outcome = await asyncio.to_thread(
            perform, str(id(sending.head)), lambda: head, sending.item, said.append, lambda: False
        )
        for message in said:
            hear(message)
        return outcome

    def _gone(self) -> ExecutorUnavailableError:
        self.alive = False
        return ExecutorUnavailableError(engine="near", way_out="wait")


@pytest.mark.parametrize(
    "near",
    [Near(calls=3), Near(broken=(0,)), Near(broken=(0, 1)), Near(unreachable=(0, 1)), Near(broken=(0,), calls=0)],
    ids=["in the middle", "at first", "twice", "not there at first", "all of it"],
)
async def test_a_map_goes_on_over_another_connection_where_its_step_is_tried_again(near: Near) -> None:
    @pipeline
    def squares(numbers: list[int]) -> Any:
        there = sent.square.with_options(retry=Retry(attempts=4, delay=0.01, on=(ExecutorUnavailableError,)))
        return there.map(numbers, executor=near)

    found = await run_compiled(pipemount.compile(squares), {"numbers": list(range(8))})
    assert found.value == [n * n for n in range(8)]
    assert 2 <= len(near.opened) <= 3


async def test_a_map_whose_step_is_not_tried_again_fails_as_a_whole() -> None:
    @pipeline
    def squares(numbers: list[int]) -> Any:
        return sent.square.map(numbers, executor=Near(unreachable=(0,)))

    with pytest.raises(ExecutorUnavailableError) as failed:
        await run_compiled(pipemount.compile(squares), {"numbers": [1, 2]})
    assert failed.value.step == "square"


async def test_an_app_stops_though_a_thread_still_connects() -> None:
    near = Near(until=threading.Event())
    assert near.until is not None

    @pipeline
    def squares(numbers: list[int]) -> Any:
        return sent.square.map(numbers, executor=near)

    try:
        app = pipemount.PipelineApp(squares, settings=Settings(cleanup_timeout=50))
        running = asyncio.ensure_future(app.run("squares", numbers=[1]))
        while not near.opened:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises((asyncio.CancelledError, RunCancelledError)):
            await running
        async with asyncio.timeout(40):
            await app.lifecycle.aclose()
    finally:
        near.until.set()
