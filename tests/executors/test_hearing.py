from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("distributed", reason="needs Dask")

from pipemount.dask.hearing import Hearing


async def test_all_is_heard_before_the_outcome_counts_and_in_order() -> None:
    heard: list[bytes] = []
    hearing = Hearing(heard.append)
    waiting = asyncio.create_task(hearing.all_of("one", 3))
    for message in (b"a", b"b", b"c"):
        assert not waiting.done()
        await asyncio.to_thread(hearing.heard, "one", message)
    await waiting
    assert heard == [b"a", b"b", b"c"]


async def test_a_worker_that_lost_its_task_to_another_one_is_not_heard_any_more() -> None:
    heard: list[bytes] = []
    hearing = Hearing(heard.append)
    for mine, message in [("one", b"a"), ("two", b"b"), ("one", b"late"), ("two", b"c")]:
        hearing.heard(mine, message)
    await hearing.all_of("two", 2)
    assert heard == [b"a", b"b", b"c"]


async def test_events_that_never_come_are_not_waited_for_for_ever(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipemount.dask.hearing.PATIENCE", 0.01)
    await Hearing(lambda message: None).all_of("one", 1)
    assert "were lost on the way" in caplog.text
