"""What runs of jobs keep: that it is kept when they are told so, whoever else waits, fails or is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pipemount.errors import StoreError
from pipemount.jobs.checkpoints import JobCheckpoints


class Slow:
    """Keeps what it is given once it is let."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.batches: list[list[str]] = []
        self.let = asyncio.Event()
        self.answer = True
        self._batch: list[str] | None = None

    async def save(self, key: str, value: bytes) -> bool:
        if self._batch is None:
            self._batch = []
            self.batches.append(self._batch)
            asyncio.get_running_loop().call_soon(self._end_batch)
        self._batch.append(key)
        await self.let.wait()
        self.kept[key] = value
        return self.answer

    def _end_batch(self) -> None:
        self._batch = None


def checkpoints(
    save: Callable[[str, bytes], Awaitable[bool]], lost: Callable[[], None] = lambda: None
) -> JobCheckpoints:
    return JobCheckpoints({"before": b"1"}, save, lost)


async def keep(kept: JobCheckpoints, key: str) -> None:
    kept.note(key, b"x")
    await kept.settle()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_earlier_attempts_have_kept_is_found() -> None:
    kept = checkpoints(Slow().save)
    assert (kept.found("before"), kept.found("after")) == (b"1", None)
    await kept.settle()


async def test_what_comes_while_something_is_kept_is_kept_together() -> None:
    slow = Slow()
    kept = checkpoints(slow.save)
    first = asyncio.create_task(keep(kept, "0"))
    await turns()
    others = [asyncio.create_task(keep(kept, str(number))) for number in range(1, 50)]
    await turns()
    assert not any(task.done() for task in (first, *others))
    slow.let.set()
    await asyncio.gather(first, *others)
    assert [len(batch) for batch in slow.batches] == [1, 49]
    assert len(slow.kept) == 50


@pytest.mark.parametrize("cancelled", [0, 1, 2])
async def test_who_is_cancelled_takes_nobody_s_value_along(cancelled: int) -> None:
    slow = Slow()
    kept = checkpoints(slow.save)
    tasks = [asyncio.create_task(keep(kept, str(number))) for number in range(3)]
    await turns()
    tasks[cancelled].cancel()
    await turns()
    slow.let.set()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert set(slow.kept) == {"0", "1", "2"}
    assert [task.cancelled() for task in tasks] == [number == cancelled for number in range(3)]


@pytest.mark.parametrize("fault", ["lost", "store"])
async def test_a_job_that_is_anothers_lets_nobody_go_on(fault: str) -> None:
    lost: list[bool] = []

    async def save(key: str, value: bytes) -> bool:
        if fault == "store":
            raise StoreError("gone, and the runner stops")
        return False

    kept = checkpoints(save, lambda: lost.append(True))
    waiting = asyncio.create_task(keep(kept, "a"))
    await turns(20)
    assert (lost, waiting.done()) == ([True], False)
    waiting.cancel()
    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError)
