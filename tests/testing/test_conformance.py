"""``check_adapter``: passes what keeps the protocol, and tells each fault of what does not."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextvars import ContextVar
from datetime import date, datetime
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, TypeAdapter, WithJsonSchema
from tests.support.fakes import schema_of
from typing_extensions import TypedDict

from pipemount import compile as compile_pipeline
from pipemount import pipeline, step
from pipemount.adapters.protocol import GraphEdge, GraphNode, GraphView, PipelineInfo, Result
from pipemount.errors import ConfigurationError, RunError, StepFailedError
from pipemount.pipelines.schema import Schema
from pipemount.runtime.call import Call
from pipemount.runtime.events import Event, EventKind
from pipemount.testing import ConformanceError, Finding, check_adapter
from pipemount.testing.subject import same


class Inputs(BaseModel):
    model_config = ConfigDict(extra="forbid")
    x: int


class Outputs(TypedDict):
    y: int


class Texts(TypedDict):
    x: str


class Called(TypedDict):
    y: Callable[[], int]


def told(kind: EventKind, step: str | None = "double", attempt: int | None = 1, **data: Any) -> Event:
    return Event(kind, 0, "", 0.0, step, attempt, data)


STARTED, COMPLETED = told("step_started"), told("step_completed", duration=0.0)


class Sound:
    """Keeps every promise; negative numbers fail, from 1000 on it takes long."""

    capabilities: Any = frozenset({"step-events", "cancel:task"})
    info: Any = PipelineInfo("sound", "by hand", "1.0", "0" * 64)
    graph: Any = GraphView((GraphNode("double", "double"),), (GraphEdge("", "double"), GraphEdge("double", "")))
    input: Any = schema_of(Inputs)
    output: Any = schema_of(Outputs, output=True)

    async def start(self, resources: Mapping[str, Any]) -> Any:
        self.threads = resources["threads"]
        return [2]

    async def stop(self, state: Any) -> None:
        state.clear()

    async def stream(self, call: Call) -> AsyncIterator[Any]:
        yield STARTED
        try:
            outputs = {"y": await self.work(call)}
        except RunError as error:
            yield told("step_failed", error=str(error))
            raise
        yield COMPLETED
        yield Result(outputs)

    async def work(self, call: Call) -> int:
        x, (factor,) = call.inputs.x, call.state
        if x < 0:
            raise StepFailedError(step="double", cause=ValueError("too small"))
        await asyncio.sleep(60 if x >= 1000 else 0)
        return int(factor * x)


GOOD: Any = [{"x": 1}, {"x": 2}]


async def examine(make: Callable[[], Any], **options: Any) -> None:
    given: dict[str, Any] = {
        "expected": [{"y": 2}, {"y": 4}],
        "failing": [{"x": -1}],
        "slow": {"x": 1000},
    }
    await check_adapter(make, GOOD, [{"x": "one"}, {}, {"x": 1, "z": 1}], **given | options)


async def test_what_keeps_the_protocol_passes() -> None:
    await examine(Sound)


@pytest.mark.parametrize("options", [{"expected": None}, {"failing": []}, {"slow": None}])
async def test_what_is_not_known_need_not_be_given(options: dict[str, Any]) -> None:
    await examine(Sound, **options)


# -------------------------------------------------------------------------------- our own pipelines


@step
def double(x: int) -> int:
    if x < 0:
        raise ValueError("too small")
    return 2 * x


@step
async def wait(x: int) -> int:
    await asyncio.sleep(60 if x >= 1000 else 0)
    return x


@step
def count(x: int) -> Iterator[int]:
    yield from range(x % 1000)


@pipeline
def counted(x: int) -> Any:
    doubled = double(wait(x))
    return {"y": doubled, "items": count(x)}


async def test_our_own_pipelines_pass() -> None:
    await check_adapter(
        lambda: compile_pipeline(counted),
        GOOD,
        [{"x": "one"}, {}, {"x": 1, "z": 1}],
        expected=[{"y": 2, "items": [0]}, {"y": 4, "items": [0, 1]}],
        failing=[{"x": -1}],
        slow={"x": 1000},
    )


@step
def total(numbers: list[int]) -> int:
    return sum(numbers)


@pipeline
def branched(numbers: list[int], twice: bool = False) -> Any:
    doubled = total(double.map(numbers))
    outputs = {"y": doubled}
    if twice:
        outputs["more"] = double.with_options(name="again")(doubled)
    return outputs


@step
def parse(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


@pipeline
def parsed(day: date) -> Any:
    return parse(day)


async def test_moments_without_a_zone_pass() -> None:
    await check_adapter(lambda: compile_pipeline(parsed), [{"day": "2026-11-01"}], [{"day": "today"}])


async def test_branches_and_maps_pass() -> None:
    await check_adapter(
        lambda: compile_pipeline(branched),
        [{"numbers": [1, 2]}, {"numbers": [2], "twice": True}],
        [{"numbers": 3}, {}],
        expected=[{"y": 6}, {"y": 4, "more": 8}],
        failing=[{"numbers": [1, -1]}],
    )


# -------------------------------------------------------------------------------------- planted faults

FAULTS: list[Any] = []


def fault(message: str) -> Callable[[Any], Any]:
    """What is below must be found out with this ``message``."""

    def plant(make: Any) -> Any:
        FAULTS.append(pytest.param(make, message, id=make.__name__))
        return make

    return plant


@fault("members: 'info' is missing. Give the pipeline 'info', a PipelineInfo.")
class WithoutInfo(Sound):
    @property
    def info(self) -> Any:
        raise AttributeError

    graph: Any = {"nodes": []}  # noqa: RUF012 - the fault
    capabilities = frozenset({"telepathy"})


@fault("members: 'graph' is of type dict. Make it a GraphView.")
class GraphAsDict(WithoutInfo): ...


@fault("members: unknown capabilities: telepathy. Declare some of batch, cancel:between-steps, cancel:task, deltas")
class Telepathic(WithoutInfo): ...


@fault("members: 'start' is no coroutine function. Write `async def start(self, …)`.")
class SyncStart(Sound):
    def start(self, resources: Mapping[str, Any]) -> Any: ...


@fault("members: 'stream' is no generator.")
class StreamReturns(Sound):
    async def stream(self, call: Call) -> Any:  # type: ignore[override]  # the fault
        return [Result({"y": 1})]

    def run(self, call: Call) -> Any: ...


@fault("members: 'run' is no coroutine function. Write `async def run(self, call)`, or leave it out.")
class SyncRun(StreamReturns): ...


@fault("info: info.framework_version is empty. Tell callers what they reach.")
class NoVersion(Sound):
    info = PipelineInfo("nobody", "by hand", "", "xyz")


@fault("info: the fingerprint is not 64 hexadecimal digits. Take sha256(…).hexdigest().")
class NoFingerprint(NoVersion): ...


@fault("info: compiling twice gives two fingerprints.")
class AnotherFingerprint(Sound):
    made = itertools.count()

    def __init__(self) -> None:
        self.info = PipelineInfo("sound", "by hand", "1.0", f"{next(self.made):064x}")


SHARED = Sound()


@fault("info: `make` gives the same object twice. Compile anew in `make`")
def made_once() -> Sound:
    return SHARED


@fault("info: info.doc is of type NoneType. Make it a str.")
class NoDoc(Sound):
    info = PipelineInfo("a name/with a slash", "by hand", "1.0", "0" * 64, None)  # type: ignore[arg-type]  # the fault


@fault("info: 'a name/with a slash' cannot name a pipeline in a path;")
class NoName(NoDoc): ...


@fault("graph: a node has no id. Give each node one; an empty text stands for inputs and outputs.")
class NodeWithoutId(Sound):
    graph = GraphView((GraphNode("double", "double"), GraphNode("", "?")), (GraphEdge("", "double"),), "superset")


EDGES = (GraphEdge("", "a"), GraphEdge("", "a"), GraphEdge("a", "elsewhere"))


@fault("graph: an edge names 'elsewhere', which is no node. Name nodes by their ids")
class EdgeToNowhere(Sound):
    graph = GraphView((GraphNode("a", "a"), GraphNode("a", "b")), EDGES, "sure")  # type: ignore[arg-type]  # the fault


@fault("graph: two nodes are called 'a'. Give each node an id of its own.")
class NodesTwice(EdgeToNowhere): ...


@fault("graph: the edge from '' to 'a' is there twice. Tell each edge once.")
class EdgesTwice(EdgeToNowhere): ...


@fault("graph: the fidelity 'sure' is unknown. Say one of exact, superset, opaque.")
class UnknownFidelity(EdgeToNowhere): ...


@fault("inputs: the bad inputs {'x': 'one'} are accepted. Declare types narrow enough to refuse them.")
class TakesAnything(Sound):
    input = schema_of(dict[str, Any])


@fault("inputs: the good inputs {'x': 1} are refused. Declare types wide enough for them.")
class TakesTexts(Sound):
    input = schema_of(Texts)


def refuse_badly(inputs: Any) -> Any:
    return {"x": {1: 1, 2: 2}[inputs["x"]]}


@fault("inputs: validating {'x': 'one'} raises KeyError. Refuse with InvalidInputsError")
class RefusesBadly(Sound):
    input = schema_of(Annotated[Any, AfterValidator(refuse_badly)])


def change(inputs: Any) -> Any:
    inputs["seen"] = True
    return inputs


@fault("inputs: validating changes what it is given. Validate into a new object.")
class ChangesInputs(Sound):
    input = schema_of(Annotated[Any, AfterValidator(change)])


@fault("inputs: the input schema refuses the good inputs {'x': 1}: 'y' is a required property.")
class OtherSchema(Sound):
    input = schema_of(Annotated[Any, WithJsonSchema({"type": "object", "required": ["y"]})])


@fault("inputs: the input schema is no JSON Schema of draft 2020-12: 'anything' is not valid")
class NoJsonSchema(Sound):
    input = schema_of(Annotated[Any, WithJsonSchema({"type": "anything"})])


@fault("outputs: the output type has no JSON Schema: PydanticInvalidForJsonSchema.")
class NoOutputSchema(Sound):
    output = schema_of(Called, output=True)


@fault("inputs: the overrides type has no JSON Schema")
class NoOverridesSchema(Sound):
    overrides = schema_of(Called)


# ---------------------------------------------------------------------------------------------- runs


@fault("runs: a stream gives no results. End each stream with one Result.")
class NoResult(Sound):
    async def stream(self, call: Call) -> AsyncIterator[Any]:
        yield STARTED
        yield COMPLETED


@fault("runs: a stream gives 2 results. End each stream with one Result.")
class TwoResults(Sound):
    async def stream(self, call: Call) -> AsyncIterator[Any]:
        async for item in super().stream(call):
            yield item
        yield item


@fault("runs: a stream goes on after its result. Tell every event before the Result.")
class TalksOn(Sound):
    async def stream(self, call: Call) -> AsyncIterator[Any]:
        yield STARTED
        yield Result({"y": await self.work(call)})
        yield COMPLETED


@fault("runs: a result holds a NoneType. Give Result a mapping of output names to values.")
class EmptyHanded(Sound):
    async def stream(self, call: Call) -> AsyncIterator[Any]:
        yield STARTED
        yield COMPLETED
        yield Result(None)  # type: ignore[arg-type]  # the fault


@fault("runs: a run with good inputs raises KeyError('x'). Let good inputs succeed, or mend the pipeline.")
class FailsAlways(Sound):
    async def work(self, call: Call) -> int:
        raise KeyError("x")


class Telling(Sound):
    """Tells ``events`` in the middle of its step."""

    events: tuple[Any, ...] = ()

    async def stream(self, call: Call) -> AsyncIterator[Any]:
        async for item in super().stream(call):
            for event in self.events if item is COMPLETED else ():
                yield event
            yield item


@fault("runs: a stream tells a str, which is no event. Yield Event and Result only.")
class TellsTexts(Telling):
    events = ("half way", told("sneeze"))  # type: ignore[arg-type]  # the fault


@fault("runs: a stream tells 'sneeze', which is no event.")
class TellsUnknown(TellsTexts): ...


@fault("runs: a stream tells 'run_started'. Leave the run's own events to the service.")
class TellsRun(Telling):
    events = (told("run_started", None, None),)


@fault("runs: 'progress' lacks done. Put them into the event's data.")
class TellsHalf(Telling):
    events = (told("progress", total=1),)


@fault("runs: 'progress' has the done -1. Tell seconds and counts as numbers from 0 on")
class TellsBackwards(Telling):
    events = (told("progress", done=-1), told("log", level=20, message="20 %"))


@fault("runs: 'log' has the level 20. Tell seconds and counts as numbers from 0 on, and what people read as texts.")
class TellsNumbers(TellsBackwards): ...


@fault("runs: 'data' names the step 'triple', which the graph does not have.")
class TellsOfOthers(Telling):
    events = (told("data", "triple", value=1), told("step_started", None))


@fault("runs: 'step_started' names no step or no attempt. Give both, the first attempt as 1.")
class TellsOfNobody(TellsOfOthers): ...


@fault("runs: deltas are told but not declared. Add 'deltas' to the capabilities.")
class TellsDeltas(Telling):
    events = (told("delta", value="a"),)


@fault("runs: events of steps are told but not declared. Add 'step-events' to the capabilities.")
class TellsUndeclared(Sound):
    capabilities = frozenset({"cancel:task"})


@fault("runs: 'step-events' is declared, but no step is told. Tell the steps, or take the capability back.")
class TellsNothing(Sound):
    async def stream(self, call: Call) -> AsyncIterator[Any]:
        yield Result({"y": await self.work(call)})


@fault("runs: step 'double' ends before it starts. Tell step_started first.")
class EndsFirst(Telling):
    events = (COMPLETED,)


@fault("runs: step 'double' starts and never ends.")
class NeverEnds(Telling):
    events = (STARTED,)


@fault("runs: attempt 2 of step 'double' comes without a retry.")
class SkipsRetry(Telling):
    events = (COMPLETED, told("step_started", attempt=2), told("step_completed", attempt=2, duration=0.0), STARTED)


class Retrying(Telling):
    events = (
        told("step_retrying", delay=0.0, error="ValueError"),
        told("step_started", attempt=2),
        told("step_completed", attempt=2, duration=0.0),
        told("step_started", "double[3]"),
        told("step_completed", "double[3]", duration=0.0),
        STARTED,
    )


async def test_steps_may_be_tried_again_and_items_of_a_map_belong_to_its_node() -> None:
    await examine(Retrying)


BRANCHES = (GraphNode("double", "double"), GraphNode("halve", "halve"))


@fault("runs: the graph is called exact, but a run leaves out 'halve'. Mark edges that not every run takes")
class LeavesOut(Sound):
    graph = GraphView(BRANCHES, (GraphEdge("", "double"), GraphEdge("", "halve")))


class MayLeaveOut(Sound):
    graph = GraphView(BRANCHES, (GraphEdge("", "double"), GraphEdge("", "halve", conditional=True)))


async def test_a_graph_with_conditions_may_have_more_than_a_run() -> None:
    await examine(MayLeaveOut)


def to_text(value: int) -> str:
    return str(value)


@fault("runs: the outputs do not fit the output schema: '2' is not of type 'integer'.")
class SerialisesOtherwise(Sound):
    output = Schema(Any, TypeAdapter(dict[str, Annotated[int, PlainSerializer(to_text)]]), "validation")


@fault(
    "runs: the outputs cannot be dumped: outputs do not fit their declared types: y: Input should be a valid integer"
)
class OutputsOtherwise(Sound):
    async def work(self, call: Call) -> Any:
        return "many"


@fault("runs: {'x': 1} gives {'y': 3}, expected was {'y': 2}. Mend the outputs.")
class Miscounts(Sound):
    async def work(self, call: Call) -> Any:
        return 1 + await super().work(call)


@fault("runs: `run` gives {'y': 7}, `stream` gives {'y': 2}. Let both call the same code.")
class RunsOtherwise(Sound):
    async def run(self, call: Call) -> Any:
        return {"y": 7}


@fault("runs: `run` raises TypeError('no'), `stream` does not. Let both call the same code.")
class RunsBadly(Sound):
    async def run(self, call: Call) -> Any:
        raise TypeError("no")


@fault("runs: a run with {'x': 1} did not end within 0.5 s. Await what is waited for on the loop")
class Hangs(Sound):
    async def work(self, call: Call) -> Any:
        await asyncio.Event().wait()


@fault("runs: a run changes os.environ. Keep what belongs to a run in the call")
class ChangesEnvironment(Sound):
    async def work(self, call: Call) -> Any:
        os.environ["PIPEMOUNT_TEST"] = call.run_id
        return await super().work(call)


USER: ContextVar[str] = ContextVar("user")


@fault("runs: a run changes the caller's context variables.")
class ChangesContext(Sound):
    async def work(self, call: Call) -> Any:
        USER.set(call.run_id)
        return await super().work(call)


@fault("runs at once: 8 runs at once mix up their outputs. Keep nothing of a run on the pipeline")
class MixesOutputs(Sound):
    async def work(self, call: Call) -> Any:
        self.x = call.inputs.x
        await asyncio.sleep(0.001)
        return 2 * self.x if call.inputs.x in range(1000) else await super().work(call)


@fault("runs at once: 8 runs at once mix up their events.")
class MixesEvents(Sound):
    under_way = 0

    async def stream(self, call: Call) -> AsyncIterator[Any]:
        self.under_way += 1
        async for item in super().stream(call):
            yield item
            for again in (STARTED, COMPLETED) if item is COMPLETED and self.under_way > 1 else ():
                yield again
        self.under_way -= 1


@fault("runs at once: one of 8 runs at once raises RuntimeError('busy').")
class OneAtATime(Sound):
    busy = False

    async def work(self, call: Call) -> Any:
        if self.busy:
            raise RuntimeError("busy")
        self.busy = True
        try:
            return await super().work(call)
        finally:
            self.busy = False


@fault("failures: a failing run raises ValueError, no RunError. Raise StepFailedError(step=…, cause=error) from error.")
class RaisesBare(Sound):
    async def work(self, call: Call) -> Any:
        if call.inputs.x < 0:
            raise ValueError("too small")
        return await super().work(call)


@fault("failures: a failing run blames the step None. Name the node whose code raised.")
class BlamesNobody(Sound):
    async def work(self, call: Call) -> Any:
        if call.inputs.x < 0:
            raise RunError("too small")
        return await super().work(call)


@fault("failures: the failing inputs {'x': -1} do not fail. Raise what went wrong.")
class FailsNever(Sound):
    async def work(self, call: Call) -> Any:
        call.inputs.x = abs(call.inputs.x)
        return await super().work(call)


@fault("failures: after a failed run, good inputs give {'y': 0}. Leave nothing of a failed run behind.")
class Remembers(Sound):
    async def work(self, call: Call) -> Any:
        call.state[0] = call.state[0] if call.inputs.x >= 0 else 0
        return await super().work(call)


@fault("failures: step 'double' fails the run, but is not told as failed. Tell step_failed before the error is raised.")
class FailsInSilence(Sound):
    async def stream(self, call: Call) -> AsyncIterator[Any]:
        async for item in super().stream(call):
            if not isinstance(item, Event) or item.kind != "step_failed":
                yield item


@fault("failures: `run` raises ValueError('too small'), `stream` raises StepFailedError(")
class RunFailsOtherwise(Sound):
    async def run(self, call: Call) -> Any:
        if call.inputs.x < 0:
            raise ValueError("too small")
        return {"y": await self.work(call)}


@fault("failures: `run` gives {'y': 0}, `stream` raises StepFailedError(")
class RunNeverFails(Sound):
    async def run(self, call: Call) -> Any:
        return {"y": 0 if call.inputs.x < 0 else await self.work(call)}


@fault("blocking: a run keeps the loop for 0.")
class Blocks(Sound):
    async def work(self, call: Call) -> Any:
        sleep_in_thread(15)
        return await super().work(call)


# ------------------------------------------------------------------------------ closing, start and stop


@fault("closing: closing a stream raises RuntimeError. Make `stream` an async generator that yields nothing after")
class GoesOn(Sound):
    async def stream(self, call: Call) -> AsyncIterator[Any]:
        with contextlib.suppress(GeneratorExit):
            yield STARTED
        yield COMPLETED
        yield Result({"y": await self.work(call)})


@fault("closing: a cancelled stream raises ValueError. Let CancelledError pass.")
class TurnsCancellation(Sound):
    async def work(self, call: Call) -> Any:
        try:
            return await super().work(call)
        except asyncio.CancelledError:
            raise ValueError("cancelled") from None


@fault("closing: the task <coroutine object Sound.work at")
class LeavesTask(Sound):
    async def work(self, call: Call) -> Any:
        return await asyncio.shield(super().work(call))


@fault("(sleep_in_thread) still works after its stream was closed. Cancel and await tasks in a `finally`")
class LeavesThread(Sound):
    async def work(self, call: Call) -> Any:
        if call.inputs.x >= 1000:
            await self.threads.run(sleep_in_thread)
        return await super().work(call)


def sleep_in_thread(hundredths: int = 200) -> None:
    for _ in range(hundredths):
        time.sleep(0.01)


@fault("closing: a cancelled stream goes on to its end. Let CancelledError pass.")
class OverlooksCancellation(Sound):
    async def work(self, call: Call) -> Any:
        with contextlib.suppress(asyncio.CancelledError):
            return await super().work(call)
        return 0


@fault("still works after its stream was closed. Cancel and await tasks in a `finally`; let work in threads look at")
class CancelsBetweenSteps(Sound):
    async def work(self, call: Call) -> Any:
        if call.inputs.x >= 1000:
            return await asyncio.shield(asyncio.sleep(1.0, 0))
        return await super().work(call)


class WaitsForWork(Sound):
    async def stream(self, call: Call) -> AsyncIterator[Any]:
        try:
            async for item in super().stream(call):
                yield item
        finally:
            await asyncio.sleep(1.3 if call.inputs.x >= 1000 else 0)


async def test_a_stream_that_waits_for_its_work_does_not_cancel_at_once() -> None:
    with pytest.raises(ConformanceError, match=r"closing a stream waits for its work\. Cancel what is under way, or"):
        await examine(WaitsForWork)
    WaitsForWork.capabilities = frozenset({"step-events", "cancel:between-steps"})
    await examine(WaitsForWork)


@fault("closing: closing a stream did not end within 0.5 s.")
class WaitsOn(Sound):
    async def stream(self, call: Call) -> AsyncIterator[Any]:
        try:
            async for item in super().stream(call):
                yield item
        finally:
            await asyncio.sleep(60 if call.inputs.x >= 1000 else 0)


@fault("start and stop: after another app stopped, good inputs give ")
class SharesState(Sound):
    state: list[int] = []  # noqa: RUF012 - the fault

    async def start(self, resources: Mapping[str, Any]) -> Any:
        self.state[:] = [2]
        return self.state


@fault("start and stop: after stop and start, good inputs give {'y': 0}. Make in `start` all that runs need")
class StartsOnce(Sound):
    starts = 0

    async def start(self, resources: Mapping[str, Any]) -> Any:
        self.starts += 1
        return [2 if self.starts == 1 else 0]


@fault("start and stop: the task <coroutine object sleep at")
class LeavesHeartbeat(Sound):
    async def start(self, resources: Mapping[str, Any]) -> Any:
        self.heartbeat = asyncio.ensure_future(asyncio.sleep(60))
        return [2]


@fault("start and stop: raises KeyError('gone'). Let the pipeline start, run and stop without it.")
class StopsBadly(Sound):
    starts = 0

    async def start(self, resources: Mapping[str, Any]) -> Any:
        self.starts += 1
        if self.starts == 2:
            raise KeyError("gone")
        return [2]


@pytest.mark.parametrize(("make", "message"), FAULTS)
async def test_a_planted_fault_is_found(make: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPEMOUNT_TEST", "")
    with pytest.raises(ConformanceError) as raised:
        await examine(make, patience=0.5)
    assert message in str(raised.value)
    assert all(finding.way_out in str(raised.value) for finding in raised.value.findings)


# ---------------------------------------------------------------------------------------------- batch


class Rows(TypedDict):
    rows: list[Inputs]


class ManyOutputs(TypedDict):
    rows: list[Outputs]


class Batch(Sound):
    capabilities = frozenset({"step-events", "cancel:task", "batch"})
    input = schema_of(Rows)
    output = schema_of(ManyOutputs, output=True)

    async def stream(self, call: Call) -> AsyncIterator[Any]:
        yield STARTED
        yield COMPLETED
        yield Result({"rows": self.many([row.x for row in call.inputs["rows"]])})

    def many(self, rows: list[int]) -> list[Any]:
        return [{"y": 2 * row} for row in rows]


class BatchThatSums(Batch):
    def many(self, rows: list[int]) -> list[Any]:
        return [{"y": sum(rows)} for _ in rows]


class BatchThatLoses(Batch):
    def many(self, rows: list[int]) -> list[Any]:
        return super().many(rows[1:])


ROWS: Any = [{"rows": [{"x": 1}, {"x": 2}]}, {"rows": []}]


async def test_a_batch_gives_each_row_what_it_gets_alone() -> None:
    await check_adapter(
        Batch, ROWS, [{"rows": [{"x": "one"}]}], expected=[{"rows": [{"y": 2}, {"y": 4}]}, {"rows": []}]
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (BatchThatSums, "batch: a row gets something else in a batch than alone. Judge each row by itself."),
        (BatchThatLoses, "batch: a batch does not give one row for each. Take and give lists of one length"),
    ],
)
async def test_a_batch_that_is_none_is_found(make: Any, message: str) -> None:
    with pytest.raises(ConformanceError) as raised:
        await check_adapter(make, ROWS)
    assert message in str(raised.value)


# ---------------------------------------------------------------------------------------- its own use


@pytest.mark.parametrize(("good", "expected"), [([], None), (GOOD, [{"y": 2}])])
async def test_it_says_what_it_needs(good: Any, expected: Any) -> None:
    with pytest.raises(ConfigurationError, match="needs good inputs, and as many expected outputs"):
        await check_adapter(Sound, good, expected=expected)


async def test_it_says_which_extra_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "jsonschema":
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    imported = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigurationError, match=r"install pipemount\[testing\]"):
        await examine(Sound)


def test_the_error_is_an_assertion_that_tells_all() -> None:
    error = ConformanceError("soup", [Finding("info", "is thin", "Add salt"), Finding("graph", "is hot", "Wait")])
    assert isinstance(error, AssertionError)
    assert str(error).splitlines() == [
        "'soup' does not keep the protocol of compiled pipelines:",
        "- info: is thin. Add salt.",
        "- graph: is hot. Wait.",
    ]


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"a": [1.0, 2]}, {"a": [1.0 + 1e-12, 2]}, True),
        ({"a": 1}, {"b": 1}, False),
        ([1], [1, 2], False),
        (1.0, 1, True),
        (1.0, "1", False),
        (True, 1, False),
        (None, None, True),
    ],
)
def test_equal_but_for_rounding(one: Any, other: Any, equal: bool) -> None:
    assert same(one, other) is equal
