"""The service with adapters' pipelines: what it adds to a bare ``stream``, and what it makes of a broken one."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel
from tests.support.fakes import schema_of
from typing_extensions import TypedDict

from pipemount import compile as compile_pipeline
from pipemount import step
from pipemount.adapters.native import NativePipeline
from pipemount.adapters.protocol import CompiledPipeline, GraphView, PipelineInfo, Result, overrides_of
from pipemount.errors import DeadlineExceededError, InvalidOutputsError, PipelineError, RunError, StepFailedError
from pipemount.inprocess import run_compiled
from pipemount.runtime.admission import Admission
from pipemount.runtime.call import Call
from pipemount.runtime.events import Event
from pipemount.runtime.threads import ThreadPool
from pipemount.service import Service
from pipemount.settings import Settings


class Inputs(BaseModel):
    x: int


class Outputs(TypedDict):
    y: int


class Foreign:
    """The protocol and nothing more."""

    info = PipelineInfo("foreign", "elsewhere", "1.0", "0" * 64)
    graph = GraphView((), (), "opaque")
    input = schema_of(Inputs)
    output = schema_of(Outputs, output=True)
    capabilities: frozenset[str] = frozenset()

    def __init__(self, *items: Any) -> None:
        self.items = items
        self.log: list[Any] = []

    async def start(self, resources: Mapping[str, Any]) -> Any:
        return "state"

    async def stop(self, state: Any) -> None:
        self.log.append(f"stopped with {state}")

    async def stream(self, call: Call) -> AsyncIterator[Event | Result]:
        self.log.append((call.state, call.inputs.x))
        try:
            for item in self.items:
                if isinstance(item, BaseException):
                    raise item
                if item == "sleep":
                    await asyncio.sleep(60)
                yield item
        finally:
            self.log.append("closed")


class Direct(Foreign):
    async def run(self, call: Call) -> Mapping[str, Any]:
        if isinstance(self.items[0], BaseException):
            raise self.items[0]
        return {"y": 100 + call.inputs.x}


def event(**data: Any) -> Event:
    return Event("data", 77, "another id", 0.0, "inner", 2, data)


async def test_the_outputs_are_those_of_the_one_result() -> None:
    foreign = Foreign(event(value=1), Result({"y": 2}))
    assert isinstance(foreign, CompiledPipeline)
    assert overrides_of(foreign) is None

    assert (await run_compiled(compile_pipeline(foreign), {"x": 1}, overrides={"a": 1})).value == {"y": 2}
    assert foreign.log == [("state", 1), "closed", "stopped with state"]


async def test_events_are_numbered_anew_between_those_of_the_run() -> None:
    heard: list[Event] = []
    foreign = Foreign(event(kind="x", step="y", attempt="z", self=1), Result({"y": 2}))

    result = await run_compiled(foreign, {"x": 1}, listener=heard.append)

    assert [(e.kind, e.sequence) for e in heard] == [("run_started", 1), ("data", 2), ("run_completed", 3)]
    assert (heard[1].step, heard[1].attempt, heard[1].run_id) == ("inner", 2, result.run_id)
    assert heard[1].data == {"kind": "x", "step": "y", "attempt": "z", "self": 1}


async def test_a_run_of_its_own_is_preferred_where_nobody_listens() -> None:
    heard: list[Event] = []
    direct = Direct(Result({"y": 2}))

    assert (await run_compiled(direct, {"x": 1})).value == {"y": 101}
    assert (await run_compiled(direct, {"x": 1}, listener=heard.append)).value == {"y": 2}
    assert [e.kind for e in heard] == ["run_started", "run_completed"]


@pytest.mark.parametrize("items", [(), (event(),), (Result({"y": 1}), Result({"y": 2}))])
async def test_a_stream_without_just_one_result_fails_the_run(items: Any) -> None:
    with pytest.raises(RunError, match="a stream ends with one"):
        await run_compiled(Foreign(*items), {"x": 1})


@pytest.mark.parametrize("kind", [Foreign, Direct])
@pytest.mark.parametrize("raised", [KeyError("x"), SystemExit(1), asyncio.CancelledError()])
async def test_what_an_adapter_raises_is_its_pipelines_failure(kind: type[Foreign], raised: BaseException) -> None:
    heard: list[Event] = []
    for listener in (None, heard.append) if kind is Foreign else (None,):
        with pytest.raises(StepFailedError, match=f"'foreign' raised {type(raised).__name__}"):
            await run_compiled(kind(raised), {"x": 1}, listener=listener)
    assert [e.kind for e in heard] in ([], ["run_started", "run_failed"])


async def test_an_adapter_may_raise_our_errors_itself() -> None:
    with pytest.raises(PipelineError, match="no such town"):
        await run_compiled(Foreign(PipelineError("no such town", status=404)), {"x": 1})


@pytest.mark.parametrize("outputs", [{"y": "text"}, {}, None, {"y": 1, "z": 2}])
async def test_outputs_are_validated_before_the_run_counts_as_completed(outputs: Any) -> None:
    heard: list[Event] = []
    foreign = Foreign(Result(outputs))
    with contextlib.suppress(InvalidOutputsError):
        await run_compiled(foreign, {"x": 1}, listener=heard.append)
        assert outputs == {"y": 1, "z": 2}, "a TypedDict leaves out what it does not know"
    assert heard[-1].kind == ("run_completed" if outputs and "z" in outputs else "run_failed")
    assert foreign.log[1] == "closed"


async def test_a_stream_that_passes_the_deadline_is_closed() -> None:
    foreign = Foreign("sleep", Result({"y": 2}))
    with pytest.raises(DeadlineExceededError):
        await run_compiled(foreign, {"x": 1}, timeout=0.05)
    assert foreign.log == [("state", 1), "closed", "stopped with state"]


async def test_a_cancelled_caller_closes_the_stream_and_is_cancelled() -> None:
    heard: list[Event] = []
    foreign = Foreign(event(), "sleep")
    task = asyncio.ensure_future(run_compiled(foreign, {"x": 1}, listener=heard.append))
    while len(heard) < 2:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [e.kind for e in heard] == ["run_started", "data", "run_cancelled"]
    assert foreign.log[1:] == ["closed", "stopped with state"]


# ------------------------------------------------------------------------------ ours, by the protocol


@step
def double(x: int) -> int:
    return 2 * x


async def started() -> tuple[NativePipeline, ThreadPool]:
    compiled = compile_pipeline(double)
    assert isinstance(compiled, NativePipeline)
    threads = ThreadPool(1)
    await compiled.start({"threads": threads, "settings": Settings()})
    return compiled, threads


async def test_our_own_pipelines_keep_the_protocol_too() -> None:
    compiled, threads = await started()
    call = Call(compiled.input.validate({"x": 2}), "id")

    assert await compiled.run(call) == {"output": 4}
    heard = [item async for item in compiled.stream(Call(call.inputs, "id"))]
    threads.close()

    assert heard[-1] == Result({"output": 4})
    assert [item.kind for item in heard[:-1] if isinstance(item, Event)] == ["step_started", "step_completed"]


async def test_a_pipeline_that_is_not_started_says_so() -> None:
    compiled, threads = await started()
    await compiled.stop(None)
    threads.close()
    with pytest.raises(RuntimeError, match="is not started"):
        await compiled.run(Call(compiled.input.validate({"x": 2}), "id"))


async def test_a_runs_name_may_be_a_template() -> None:
    compiled, threads = await started()
    service = Service("double", compiled, Settings(), Admission(1, 0))
    await service.start({"threads": threads, "settings": Settings()})
    named, plain = (Call(compiled.input.validate({"x": 2}), "id", name) for name in ("run {run_id}: {date}", None))
    await service.invoke(named)
    await service.invoke(plain)
    assert not hasattr(plain, "sealed"), "what the run left behind would keep its outputs"
    await service.stop()
    threads.close()

    assert re.fullmatch(r"run id: \d{4}_\d\d_\d\d", named.run_name or "")
    assert plain.run_name == "double-id"
    assert (named.run_index, plain.run_index) == (1, 2)
