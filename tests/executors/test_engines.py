"""One suite over all engines: what a step is, does and says does not change with where it runs."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.executors import sent
from tests.support.clusters import Engine
from tests.support.servers import wait_until

import pipemount
from pipemount import Retry, pipeline, step, unmapped
from pipemount.dask import Dask
from pipemount.dask.connection import DaskConnection
from pipemount.errors import (
    ExecutorError,
    PipelineError,
    RunCancelledError,
    StepFailedError,
    StepTimeoutError,
    WorkerLostError,
)
from pipemount.inprocess import run_compiled
from pipemount.runtime.events import Event

pytestmark = pytest.mark.server


async def run(definition: Any, *, told: list[Event] | None = None, timeout: float | None = None, **inputs: Any) -> Any:
    listener = None if told is None else told.append
    found = await run_compiled(pipemount.compile(definition), inputs, listener=listener, timeout=timeout)
    return found.value


async def cancelled_when_begun(app: pipemount.PipelineApp, begun: Path, **inputs: Any) -> None:
    """A run that is cancelled when one of its steps has said there that it waits."""
    task = asyncio.create_task(app.run("waiting", **inputs))
    await asyncio.to_thread(wait_until, lambda: sent.notes(begun) != [], 60)
    task.cancel()
    with pytest.raises((asyncio.CancelledError, RunCancelledError)):
        await task


def of(told: Sequence[Event], step: str, *kinds: str) -> list[Event]:
    return [event for event in told if event.step == step and (not kinds or event.kind in kinds)]


async def test_a_map_gives_its_values_in_order_whatever_its_steps_are(each_engine: Engine) -> None:
    here = each_engine.executor()

    @pipeline
    def numbers(given: list[int], points: list[sent.Point]) -> Any:
        values, texts = sent.both.map(given, executor=here)
        return {
            "sync": sent.square.map(given, executor=here),
            "awaited": sent.asquare.with_options(executor=here).map(given),
            "values": values,
            "texts": texts,
            "points": sent.mirrored.map(points, executor=here),
            "added": sent.closure(3).map(given, executor=here),
            "one": sent.square.with_options(executor=here)(7),
            "pids": sent.where.map(given, executor=here),
        }

    found = await run(numbers, given=list(range(9)), points=[{"x": 2, "y": 3}])
    pids = found.pop("pids")
    assert found == {
        "sync": [n * n for n in range(9)],
        "awaited": [n * n for n in range(9)],
        "values": list(range(9)),
        "texts": [str(n) for n in range(9)],
        "points": [sent.Point(x=3, y=4)],
        "added": [n * n + 3 for n in range(9)],
        "one": 49,
    }
    assert os.getpid() not in pids


async def test_maps_of_pipelines_and_dynamic_bodies_send_their_steps_too(engine: Engine, tmp_path: Path) -> None:
    square = sent.square.with_options(executor=engine.executor())
    weighed = sent.weighed.with_options(executor=engine.executor())

    @pipeline
    def inner(number: int) -> Any:
        return square(square(number))

    @pipeline
    def outer(given: list[int]) -> Any:
        return inner.map(given)

    @pipeline(dynamic=True)
    async def body(given: list[int]) -> Any:
        heavy = sent.Heavy(str(tmp_path), 5)
        return await weighed.map(await inner.map(given), unmapped(heavy))

    assert await run(outer, given=[1, 2, 3]) == [1, 16, 81]
    assert await run(body, given=[1, 2, 3]) == [6, 21, 86]
    assert len(list(sent.lines(tmp_path, "packed"))) == 1


@pytest.mark.parametrize("size", [10, 2_000_000])
async def test_what_all_items_share_is_sent_once_and_opened_once_by_each_worker(
    engine: Engine, tmp_path: Path, size: int
) -> None:
    @pipeline(dynamic=True)
    async def weigh(given: list[int]) -> Any:
        return await sent.weighed.map(given, unmapped(sent.Heavy(str(tmp_path), size)), executor=engine.executor())

    assert await run(weigh, given=list(range(12))) == [size + n for n in range(12)]
    done = Counter(line.split()[0] for line in sent.notes(tmp_path))
    assert done["packed"] == 1
    assert 1 <= done["opened"] <= 2


async def test_the_context_knows_the_run(engine: Engine) -> None:
    @pipeline
    def ask(numbers: list[int]) -> Any:
        return {"one": sent.known.with_options(executor=engine.executor(), id="one")()}

    with pipemount.acting_as({"username": "ada", "secret": threading.Lock()}):
        app = pipemount.PipelineApp(ask)
        result = await app.run("ask", numbers=[])
        await app.lifecycle.aclose()
    found = dict(result.value["one"])
    assert 0 < found.pop("left") <= 300
    assert found.pop("pid") != os.getpid()
    run_id = found["run_id"]
    assert found == {
        "pipeline_name": "ask",
        "run_id": run_id,
        "run_name": f"ask-{run_id}",
        "idempotency_key": f"{run_id}/one",
        "step_name": "one",
        "attempt": 1,
        "cancelled": False,
        "principal": ["ada", None],
    }


async def test_what_steps_say_is_told_in_their_order(each_engine: Engine) -> None:
    here = each_engine.executor()

    @pipeline
    def talking(given: list[int]) -> Any:
        lengths = sent.spell.map(["abc", "de"], executor=here)
        return {"talk": sent.talk.map(given, executor=here), "n": lengths, "a": sent.aspell.map(["xy"], executor=here)}

    told: list[Event] = []
    found = await run(talking, told=told, given=[0, 1, 2])
    assert found == {"talk": [0, 1, 2], "n": [3, 2], "a": [["x", "y"]]}
    for number in range(3):
        events = of(told, f"talk[{number}]")
        kinds = [event.kind for event in events]
        assert kinds == ["step_started", *(["progress", "data"] * 5), "log", "step_completed"]
        assert [e.data["value"]["count"] for e in events if e.kind == "data"] == list(range(5))
        assert events[-2].data == {"level": "warning", "message": f"{number} is done"}
        assert {event.attempt for event in events} == {1}
    assert "".join(event.data["value"] for event in of(told, "spell[0]", "delta")) == "abc"
    assert "".join(event.data["value"] for event in of(told, "aspell[0]", "delta")) == "xy"
    assert [event.data["done"] for event in of(told, "talk", "progress")] == [1, 2, 3]


@pytest.mark.parametrize("name", ["of_state", "ask"])
async def test_what_a_context_cannot_do_there_names_the_way_out(engine: Engine, name: str) -> None:
    there = getattr(sent, name).with_options(executor=engine.executor())

    @pipeline
    def asking() -> Any:
        return there()

    with pytest.raises(ExecutorError, match="hand the"):
        await run(asking)


async def test_what_a_step_raises_is_raised_as_it_is(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    refuse = sent.refuse.with_options(executor=engine.executor())
    on_purpose = sent.refuse_on_purpose.with_options(executor=engine.executor())

    @pipeline
    def refusing() -> Any:
        return refuse.map([2, 3])

    @pipeline
    def refusing_on_purpose() -> Any:
        return on_purpose()

    with pytest.raises(StepFailedError) as failed:
        await run(refusing)
    cause = failed.value.cause
    assert isinstance(cause, sent.OddError)
    assert (failed.value.step, cause.number, str(cause)) == ("refuse[1]", 3, "3 is odd")
    assert "raise OddError(number=number)" in cause.__notes__[0]
    with pytest.raises(PipelineError, match="no more of these") as purpose:
        await run(refusing_on_purpose)
    assert (purpose.value.status, purpose.value.detail_code) == (422, "too-many")


async def test_a_failed_attempt_is_repeated_by_us(engine: Engine, tmp_path: Path) -> None:
    there = sent.second_time.with_options(executor=engine.executor(), retry=Retry(attempts=2, on=(OSError,)))

    @pipeline
    def twice(folder: str) -> Any:
        return there(folder)

    told: list[Event] = []
    assert await run(twice, told=told, folder=str(tmp_path)) == 2
    assert sent.notes(tmp_path) == ["attempt 1", "attempt 2"]
    assert [e.data["error"] for e in of(told, "second_time", "step_retrying")] == ["OSError"]


async def test_what_cannot_be_sent_is_said_by_the_first_call(engine: Engine) -> None:
    lock = threading.Lock()
    here = engine.executor()

    @step(executor=here)
    def holds() -> int:
        with lock:
            return 1

    @step(executor=here)
    def takes(lock: Any) -> int:
        return 1

    @pipeline(dynamic=True)
    async def function() -> Any:
        return await holds()

    @pipeline(dynamic=True)
    async def argument() -> Any:
        return await takes(lock)

    @pipeline(dynamic=True)
    async def value() -> Any:
        return await sent.unsendable.with_options(executor=here)()

    with pytest.raises(ExecutorError, match=r"'holds' cannot be sent to a worker: its function"):
        await run(function)
    with pytest.raises(ExecutorError, match=r"'takes' cannot be sent to a worker: its argument 'lock', a lock,"):
        await run(argument)
    with pytest.raises(ExecutorError, match=r"'unsendable' gave cannot be sent back .* a generator"):
        await run(value)


async def test_a_step_that_takes_too_long_is_cancelled(engine: Engine, tmp_path: Path) -> None:
    there = sent.wait_until_told.with_options(executor=engine.executor(), timeout=0.3)

    @pipeline
    def waiting(folder: str) -> Any:
        return there(folder)

    with pytest.raises(StepTimeoutError):
        await run(waiting, folder=str(tmp_path))
    await asyncio.to_thread(wait_until, lambda: "told" in sent.notes(tmp_path), 30)


@pytest.mark.parametrize("name", ["wait_until_told", "await_until_told"])
async def test_a_run_that_is_cancelled_cancels_what_is_under_way(engine: Engine, tmp_path: Path, name: str) -> None:
    there = getattr(sent, name)

    @pipeline
    def waiting(folders: list[str]) -> Any:
        return there.map(folders, executor=engine.executor())

    app = pipemount.PipelineApp(waiting)
    await cancelled_when_begun(app, tmp_path, folders=[str(tmp_path)])
    await asyncio.to_thread(wait_until, lambda: "told" in sent.notes(tmp_path), 30)
    await app.lifecycle.aclose()


async def test_a_killed_worker_loses_nothing(each_engine: Engine, tmp_path: Path) -> None:
    @pipeline
    def dying(folder: str, numbers: list[int]) -> Any:
        return sent.kill_once.map(unmapped(folder), numbers, executor=each_engine.executor())

    told: list[Event] = []
    found = await run(dying, told=told, folder=str(tmp_path), numbers=list(range(12)))
    each_engine.add_worker()
    assert found == [10 * n for n in range(12)]
    begun = Counter(int(line.split()[0]) for line in sent.notes(tmp_path))
    assert begun[2] == 2
    retried = [e.step for e in told if e.kind == "step_retrying"]
    assert "kill_once[2]" in retried
    assert Counter(e.step for e in told if e.kind == "step_completed") == Counter(
        ["kill_once", *(f"kill_once[{n}]" for n in range(12))]
    )
    assert {e.attempt for e in told if e.kind == "step_completed"} == {1}, "it was no failure of the step's own"


@pytest.mark.full
async def test_a_step_that_kills_its_workers_fails(engine: Engine, tmp_path: Path) -> None:
    there = sent.poison.with_options(executor=engine.executor(), retry=Retry(attempts=5))

    @pipeline
    def dying(folder: str) -> Any:
        return there(folder)

    for _ in range(4):
        engine.add_worker()
    with pytest.raises(WorkerLostError, match="4 processes came to their end while they performed step 'poison'"):
        await run(dying, folder=str(tmp_path))
    assert len(sent.notes(tmp_path)) == 4
    engine.add_worker()


@pytest.mark.full
async def test_a_step_that_does_not_end_has_its_ray_worker_ended(ray: Engine, tmp_path: Path) -> None:
    @pipeline
    def waiting(folders: list[str]) -> Any:
        return sent.stubborn.map(folders, executor=ray.executor(grace=0.3))

    app = pipemount.PipelineApp(waiting)
    await cancelled_when_begun(app, tmp_path, folders=[str(tmp_path)])
    pid = int(sent.notes(tmp_path)[0].split()[1])
    await asyncio.to_thread(wait_until, lambda: not psutil.pid_exists(pid), 30)
    await app.lifecycle.aclose()


@pytest.mark.full
async def test_an_app_that_stops_ends_what_was_cancelled_and_does_not_end(ray: Engine, tmp_path: Path) -> None:
    @pipeline
    def waiting(folder: str) -> Any:
        return sent.stubborn.with_options(executor=ray.executor(grace=600))(folder)

    app = pipemount.PipelineApp(waiting)
    await cancelled_when_begun(app, tmp_path, folder=str(tmp_path))
    await app.lifecycle.aclose()
    pid = int(sent.notes(tmp_path)[0].split()[1])
    await asyncio.to_thread(wait_until, lambda: not psutil.pid_exists(pid), 30)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_client_of_yours_is_used_and_left_open(dask: Any, asynchronous: bool) -> None:
    from distributed import Client

    connect: Any = functools.partial(Client, dask.address, asynchronous=asynchronous, set_as_default=False)
    client = await connect() if asynchronous else await asyncio.to_thread(connect)
    try:

        @pipeline
        def numbers(given: list[int]) -> Any:
            return sent.square.map(given, executor=Dask(client))

        assert await run(numbers, given=[1, 2, 3]) == [1, 4, 9]
        assert client.status == "running"
    finally:
        await (client.close() if asynchronous else asyncio.to_thread(client.close))


async def test_an_app_has_one_connection_to_each_engine(dask: Engine) -> None:
    square = sent.square.with_options(executor=dask.executor())

    @pipeline
    def one(number: int) -> Any:
        return square(number)

    @pipeline
    def other(number: int) -> Any:
        return square.with_options(executor=dask.executor(priority=1))(square(number))

    app = pipemount.PipelineApp({"one": one, "other": other})
    opened: list[Any] = []
    opens = DaskConnection.open

    def noted(connection: DaskConnection) -> None:
        opened.append(connection)
        opens(connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DaskConnection, "open", noted)
        found = await asyncio.gather(app.run("one", number=2), app.run("other", number=2), app.run("one", number=3))
    assert [each.value for each in found] == [4, 16, 9]
    assert len(opened) == 1
    await app.lifecycle.aclose()
    assert not opened[0].alive
