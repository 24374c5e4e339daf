"""Maps at run time: items, their order, their names, their failures, and how many run at the same time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from tests.support.graphs import branch, call, choose, execute, graph, node, of

from pipemount import Retry, StepContext, get_step_context, step
from pipemount.errors import InvalidOutputsError, RunError, StepFailedError, StepTimeoutError
from pipemount.pipelines.snapshot import Fan, Node, Snapshot
from pipemount.pipelines.specs import OutputField, ParameterField, StepSpec
from pipemount.runtime import crew
from pipemount.runtime.call import Call
from pipemount.runtime.events import Event
from pipemount.runtime.executor import Executor
from pipemount.runtime.fans import Work
from pipemount.runtime.plan import build_plan
from pipemount.runtime.recorder import Recorder
from pipemount.runtime.run import Run
from pipemount.runtime.threads import Owner, ThreadPool
from pipemount.runtime.turn import Turn


@step
async def double(x: int, by: int = 2) -> int:
    return x * by


@step
def sync_double(x: int, by: int = 2) -> int:
    return x * by


@step(thread=False)
def loop_double(x: int, by: int = 2) -> int:
    return x * by


@step
async def waiting_double(x: int, by: int = 2) -> int:
    await asyncio.sleep(0)
    return x * by


KINDS = [double, sync_double, loop_double, waiting_double]


def mapped(function: Any, limit: int | None = None, **values: Any) -> Node:
    return node("items", function, fan=Fan("map", ("x",), limit), **{"x": "$xs", **values})


def over(function: Any, limit: int | None = None, **values: Any) -> Snapshot:
    return graph(mapped(function, limit, **values), inputs={"xs": Any}, outputs={"ys": of("items")})


def as_step(body: Snapshot) -> StepSpec:
    """A spec that only names a pipeline's parameters and outputs, as the compiler makes it for a map of one."""

    async def nothing() -> None:
        raise NotImplementedError

    outputs = tuple(OutputField(result.name, result.annotation) for result in body.results)
    return StepSpec(nothing, body.name, "async", False, body.parameters, outputs)


def each(body: Snapshot, limit: int | None = None, id: str = "outer", **values: Any) -> Node:
    fan = Fan("map", ("x",), limit)
    return node(id, as_step(body), fan=fan, body=body, **{"x": "$xs", **values})


async def items_of(body: Snapshot, **inputs: Any) -> Any:
    return (await execute(body, **inputs))["ys"]


# ------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("function", KINDS)
@pytest.mark.parametrize("limit", [None, 1, 3])
async def test_values_keep_the_order_of_the_items(function: Any, limit: int | None) -> None:
    assert await items_of(over(function, limit), xs=range(50)) == [2 * x for x in range(50)]
    assert await items_of(over(function, limit), xs=[7]) == [14]


@pytest.mark.parametrize("function", KINDS)
async def test_no_items_give_an_empty_list(function: Any) -> None:
    assert await items_of(over(function), xs=[]) == []


async def test_the_order_holds_whichever_item_ends_first() -> None:
    @step
    async def late(x: int) -> int:
        await asyncio.sleep(0.01 * (3 - x))
        return x

    assert await items_of(over(late), xs=[0, 1, 2]) == [0, 1, 2]


async def test_a_product_takes_every_combination_the_last_list_fastest() -> None:
    @step
    async def pair(x: int, letter: str, end: str) -> str:
        return f"{x}{letter}{end}"

    fan = Fan("product", ("x", "letter"))
    body = graph(
        node("pair", pair, fan=fan, x="$xs", letter="$letters", end="!"),
        inputs={"xs": Any, "letters": Any},
        outputs={"ys": of("pair")},
    )

    assert await items_of(body, xs=[1, 2], letters={"a": 1, "b": 2}.keys()) == ["1a!", "1b!", "2a!", "2b!"]
    assert await items_of(body, xs=[1, 2], letters=[]) == []


async def test_lists_of_different_lengths_are_refused_with_their_lengths() -> None:
    body = graph(
        node("items", double, fan=Fan("map", ("x", "by")), x="$xs", by="$bys"),
        inputs={"xs": Any, "bys": Any},
        outputs={"ys": of("items")},
    )

    assert await items_of(body, xs=[1, 2], bys=(3, 4)) == [3, 8]
    with pytest.raises(RunError, match=r"'items' is mapped over lists of different lengths \(x: 2, by: 1\)") as caught:
        await items_of(body, xs=[1, 2], bys=[3])
    assert caught.value.step == "items"


@pytest.mark.parametrize("value", [None, 3, "text", b"bytes", {"a": 1}])
async def test_what_is_no_list_of_items_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOutputsError, match=f"mapped over 'x', which is no list but {type(value).__name__}"):
        await items_of(over(double), xs=value)


async def test_unmapped_arguments_are_the_same_for_every_item_and_constants_are_copies() -> None:
    seen: list[list[int]] = []

    @step
    async def note(x: int, shared: object, constant: list[int]) -> bool:
        constant.append(x)
        seen.append(constant)
        return shared is marker

    marker = object()
    body = graph(
        mapped(note, shared="$marker", constant=[0]), inputs={"xs": Any, "marker": Any}, outputs={"ys": of("items")}
    )

    assert await items_of(body, xs=[1, 2], marker=marker) == [True, True]
    assert seen == [[0, 1], [0, 2]]


async def test_what_is_not_proved_by_its_type_is_validated_item_by_item_and_once_for_all() -> None:
    body = over(double, coerce={"x": int, "by": int}, by="3")

    assert await items_of(body, xs=["1", "2"]) == [3, 6]
    with pytest.raises(InvalidOutputsError, match=r"'x' of step 'items\[1\]' does not fit its type") as caught:
        await items_of(body, xs=["1", "b", "3"])
    assert caught.value.step == "items[1]"
    with pytest.raises(InvalidOutputsError, match=r"'by' of step 'items' does not fit its type"):
        await items_of(over(double, coerce={"by": int}, by="b"), xs=[1])


@pytest.mark.parametrize("items", [[1, 2], []])
async def test_steps_with_several_outputs_give_a_tuple_of_lists(items: list[int]) -> None:
    @step
    def split(x: int) -> tuple[int, str]:
        return x, str(x)

    body = graph(mapped(split), inputs={"xs": Any}, outputs={"n": of("items", 0), "text": of("items", 1)})

    assert await execute(body, xs=items) == {"n": items, "text": [str(x) for x in items]}


async def test_a_map_of_a_map() -> None:
    body = graph(
        node("first", sync_double, fan=Fan("map", ("x",)), x="$xs"),
        node("second", double, fan=Fan("map", ("x",)), x=of("first")),
        inputs={"xs": Any},
        outputs={"ys": of("second")},
    )

    assert build_plan(body).ways is not None
    assert await items_of(body, xs=[1, 2]) == [4, 8]


async def test_overrides_reach_every_item() -> None:
    overrides = {"items": {"parameters": {"by": 10}}}

    assert await execute(over(double), overrides=overrides, xs=[1, 2]) == {"ys": [10, 20]}
    assert await execute(over(double), overrides={"other": {}}, xs=[1, 2]) == {"ys": [2, 4]}


# ------------------------------------------------------------------------------------ names and events


@pytest.mark.parametrize("thread", [True, False])
async def test_an_item_knows_its_index(thread: bool) -> None:
    @step(thread=thread)
    def name(x: int, context: StepContext) -> str:
        assert get_step_context() is context
        return context.step_name

    assert await items_of(over(name), xs=[5, 5]) == ["items[0]", "items[1]"]


@pytest.mark.parametrize("function", KINDS)
async def test_a_map_tells_of_itself_its_items_and_its_progress(function: Any) -> None:
    told: list[Event] = []
    await execute(over(function, 1), told=told, xs=[1, 2])

    assert [(e.kind, e.step) for e in told] == [
        ("step_started", "items"),
        ("step_started", "items[0]"),
        ("step_completed", "items[0]"),
        ("progress", "items"),
        ("step_started", "items[1]"),
        ("step_completed", "items[1]"),
        ("progress", "items"),
        ("step_completed", "items"),
    ]
    assert [e.data for e in told if e.kind == "progress"] == [{"done": 1, "total": 2}, {"done": 2, "total": 2}]
    assert told[-1].data.keys() == {"duration", "items"}
    assert told[-1].data["items"] == 2


async def test_progress_never_goes_back_however_many_threads_make_it() -> None:
    told: list[Event] = []
    await execute(over(sync_double), told=told, threads=4, xs=range(200))

    done = [e.data["done"] for e in told if e.kind == "progress"]  # the newest stands for those that waited with it
    assert done == sorted(set(done))
    assert done[-1] == 200


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_deltas_of_items_carry_their_index(kind: str) -> None:
    @step
    def count(x: int) -> Iterator[int]:
        yield from range(x)

    @step
    async def count_async(x: int) -> AsyncGenerator[int, None]:
        for number in range(x):
            yield number

    told: list[Event] = []
    found = await execute(over(count if kind == "thread" else count_async), told=told, xs=[1, 2])

    assert found == {"ys": [[0], [0, 1]]}
    assert sorted((e.step, e.data["value"]) for e in told if e.kind == "delta") == [
        ("items[0]", 0),
        ("items[1]", 0),
        ("items[1]", 1),
    ]


# ------------------------------------------------------------------------------ failures and attempts


@pytest.mark.parametrize("thread", [True, False])
async def test_the_failing_item_is_named_and_the_others_are_cancelled(thread: bool) -> None:
    @step(thread=thread)
    def fail(x: int) -> int:
        if x == 2:
            raise KeyError("secret")
        return x

    told: list[Event] = []
    with pytest.raises(StepFailedError) as caught:
        await execute(over(fail, 1), told=told, xs=range(5))

    assert (caught.value.step, str(caught.value)) == ("items[2]", "step 'items[2]' raised KeyError")
    assert [e.step for e in told if e.kind == "step_failed"] == ["items[2]", "items"]
    assert [e.step for e in told if e.kind == "step_started"] == ["items", "items[0]", "items[1]", "items[2]"]


async def test_items_that_wait_are_cancelled_when_one_fails() -> None:
    cancelled: list[int] = []

    @step
    async def wait(x: int) -> int:
        if x == 3:
            await asyncio.sleep(0.01)
            raise ValueError
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.append(x)
            raise
        return x

    with pytest.raises(StepFailedError, match=r"items\[3\]"):
        await items_of(over(wait), xs=range(6))
    assert sorted(cancelled) == [0, 1, 2, 4, 5]


async def test_threads_learn_that_another_item_failed() -> None:
    begun, seen = threading.Event(), threading.Event()

    @step
    def watch(x: int, context: StepContext) -> int:
        if x == 1:
            begun.wait(5)
            raise ValueError
        begun.set()
        while not context.cancelled:
            time.sleep(0.001)
        seen.set()
        return x

    with pytest.raises(StepFailedError, match=r"items\[1\]"):
        await items_of(over(watch), xs=[0, 1, 2, 3, 4, 5])
    assert await asyncio.to_thread(seen.wait, 5)


@pytest.mark.parametrize("kind", ["async", "thread", "loop", "timed", "hooked"])
async def test_each_item_has_its_own_attempts(kind: str) -> None:
    attempts: list[tuple[int, int]] = []

    def body(x: int) -> int:
        attempts.append((x, get_step_context().attempt))
        if x == 1 and get_step_context().attempt < 3:
            raise OSError
        return x

    async def async_body(x: int) -> int:
        return body(x)

    function = async_body if kind == "async" else body
    watched: dict[str, Any] = {"timed": {"timeout": 5}, "hooked": {"on_end": lambda: None}}
    options = watched.get(kind, {})
    flaky = step(name="flaky", retry=Retry(attempts=3), thread=kind != "loop", **options)(function)

    assert await items_of(over(flaky, 1), xs=[0, 1, 2]) == [0, 1, 2]
    assert attempts == [(0, 1), (1, 1), (1, 2), (1, 3), (2, 1)]


async def test_hooks_are_called_for_each_item() -> None:
    seen: list[str] = []

    def note() -> None:
        seen.append(get_step_context().step_name)

    hooked = step(on_start=note)(sync_double.function)

    assert await items_of(over(hooked, 1), xs=[1, 2]) == [2, 4]
    assert seen == ["items[0]", "items[1]"]


async def test_an_item_past_its_timeout_is_named() -> None:
    @step(timeout=0.01)
    async def slow(x: int) -> int:
        await asyncio.sleep(30 if x else 0)
        return x

    with pytest.raises(StepTimeoutError, match=r"items\[1\]"):
        await items_of(over(slow), xs=[0, 1])


async def test_an_item_that_cancels_itself_fails_the_run() -> None:
    @step
    async def leave(x: int) -> int:
        raise asyncio.CancelledError

    @step
    async def cancel(x: int) -> int:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        return x

    with pytest.raises(StepFailedError, match=r"step 'items\[0\]' raised CancelledError"):
        await items_of(over(leave), xs=[1])
    with pytest.raises(RunError, match="a step cancelled the task that runs it"):
        await items_of(over(cancel), xs=[1])


@pytest.mark.parametrize("thread", [True, False])
async def test_cancelling_the_run_ends_all_items(thread: bool) -> None:
    begun = threading.Event()
    ended: list[int] = []

    @step
    def watch(x: int, context: StepContext) -> int:
        begun.set()
        while not context.cancelled:
            time.sleep(0.001)
        ended.append(x)
        return x

    @step
    async def wait(x: int) -> int:
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(x)
        return x

    task = asyncio.create_task(items_of(over(watch if thread else wait, 2), xs=range(4)))
    await asyncio.to_thread(begun.wait, 5)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while len(ended) < 2:
        await asyncio.sleep(0.001)

    assert sorted(ended) == [0, 1]


# ----------------------------------------------------------------------------- how many at the same time


class Meter:
    """Counts who is inside, and the most there ever were."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.inside -= 1


@pytest.mark.parametrize(("limit", "most"), [(None, 20), (3, 3), (1, 1)])
async def test_async_items_run_together_up_to_their_limit(limit: int | None, most: int) -> None:
    meter = Meter()

    @step
    async def wait(x: int) -> int:
        with meter:
            for _ in range(20):
                await asyncio.sleep(0)
        return x

    assert await items_of(over(wait, limit), xs=range(20)) == list(range(20))
    assert meter.most == most


@pytest.mark.parametrize(("limit", "most"), [(None, 4), (2, 2), (9, 4)])
@pytest.mark.parametrize("timeout", [None, 5])
async def test_sync_items_run_together_up_to_the_threads(limit: int | None, most: int, timeout: float | None) -> None:
    meter, together = Meter(), threading.Barrier(most, timeout=5)

    @step(timeout=timeout)
    def meet(x: int) -> int:
        with meter:
            together.wait()
        return x

    assert await items_of(over(meet, limit), xs=range(8)) == list(range(8))
    assert meter.most == most


async def test_workers_give_way_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a slice of no time a worker lets others have the loop, or the thread, after each item."""
    monkeypatch.setattr(crew, "SLICE", 0.0)
    order: list[str] = []

    @step
    async def note(x: int) -> int:
        order.append("item")
        return x

    async def somebody_else() -> None:
        for _ in range(3):
            order.append("else")
            await asyncio.sleep(0)

    beside = asyncio.create_task(somebody_else())
    assert await items_of(over(note), xs=range(5)) == list(range(5))
    await beside
    assert order.index("else") < 4
    assert await execute(over(sync_double), threads=1, xs=range(5)) == {"ys": [0, 2, 4, 6, 8]}


async def test_a_worker_takes_many_sync_items_in_one_hop() -> None:
    hops: list[Callable[[], Any]] = []

    class Counting(ThreadPool):
        async def run(self, function: Callable[[], Any], owner: Owner | None = None) -> Any:
            hops.append(function)
            return await super().run(function, owner)

    body, pool = over(sync_double, 1), Counting(1)
    try:
        found = await Executor(body, pool).run(call(body, {"xs": range(100)}), dict)
    finally:
        pool.close()

    assert found == {"ys": [2 * x for x in range(100)]}
    assert len(hops) < 20


# ------------------------------------------------------------------------------------ maps of pipelines


def inner(function: Any = double, **options: Any) -> Snapshot:
    return graph(
        node("first", function, x="$x", by="$by"),
        node("second", function, x=of("first")),
        inputs={"x": int, "by": (int, 3)},
        outputs={"y": of("second")},
        name="inner",
        **options,
    )


@pytest.mark.parametrize("function", KINDS)
@pytest.mark.parametrize("limit", [None, 2])
async def test_a_pipeline_is_run_for_each_item(function: Any, limit: int | None) -> None:
    body = graph(each(inner(function), limit), inputs={"xs": Any}, outputs={"ys": of("outer")})
    other = graph(each(inner(function), limit, by=5), inputs={"xs": Any}, outputs={"ys": of("outer")})

    assert await items_of(body, xs=range(10)) == [6 * x for x in range(10)]
    assert await items_of(other, xs=[1]) == [10]
    assert await items_of(body, xs=[]) == []
    assert await execute(body, overrides={"outer": {"parameters": {"by": 7}}}, xs=[1]) == {"ys": [14]}


async def test_nested_maps_name_their_items_all_the_way() -> None:
    names: list[str] = []

    @step
    async def name(x: int, context: StepContext) -> int:
        names.append(context.step_name)
        if x == 9:
            raise ValueError
        return x

    many = graph(
        node("inner", name, fan=Fan("map", ("x",)), x="$x"), inputs={"x": Any}, outputs={"ys": of("inner")}, name="many"
    )
    body = graph(each(many), inputs={"xs": Any}, outputs={"ys": of("outer")})
    told: list[Event] = []

    assert await execute(body, told=told, xs=[[1], [], [2, 3]]) == {"ys": [[1], [], [2, 3]]}
    assert names == ["outer[0]/inner[0]", "outer[2]/inner[0]", "outer[2]/inner[1]"]
    assert {e.step for e in told if e.kind == "step_completed"} == {
        "outer",
        "outer[0]",
        "outer[0]/inner",
        "outer[0]/inner[0]",
        "outer[1]",
        "outer[1]/inner",
        "outer[2]",
        "outer[2]/inner",
        "outer[2]/inner[0]",
        "outer[2]/inner[1]",
    }
    with pytest.raises(StepFailedError) as caught:
        await execute(body, told=told, xs=[[1], [2, 9]])
    assert caught.value.step == "outer[1]/inner[1]"


async def test_pipelines_branch_item_by_item_and_lack_what_their_path_lacks() -> None:
    branched = graph(
        node("big", double, x="$x", paths=0b01, decided_by=["branch"]),
        inputs={"x": int},
        outputs={"y": choose((0b01, of("big")), (0b10, "$x")), "only": of("big")},
        only_on={"only": 0b01},
        branches=[branch("branch", ">", "$x", 10, yes=0b01, no=0b10)],
        paths=2,
    )
    body = graph(each(branched), inputs={"xs": Any}, outputs={"ys": of("outer", 0), "only": of("outer", 1)})
    told: list[Event] = []

    assert await execute(body, told=told, xs=[1, 11]) == {"ys": [1, 22], "only": [None, 22]}
    assert [e.data["branch"] for e in told if e.kind == "branch"] == ["outer[0]/branch", "outer[1]/branch"]


async def test_a_pipeline_without_outputs_gives_nothing_for_each_item() -> None:
    silent = graph(node("first", double, x="$x"), inputs={"x": int})

    assert await items_of(graph(each(silent), inputs={"xs": Any}, outputs={"ys": of("outer")}), xs=[1, 2]) == [
        None,
        None,
    ]


async def test_pipelines_with_sync_steps_run_no_more_items_than_there_are_threads() -> None:
    meter = Meter()

    @step
    async def enter(x: int) -> int:
        meter.__enter__()
        return x

    @step
    def leave(x: int) -> int:
        meter.__exit__()
        return x

    body = graph(
        node("enter", enter, x="$x"), node("leave", leave, x=of("enter")), inputs={"x": int}, outputs={"y": of("leave")}
    )
    within = graph(each(body, id="deep"), inputs={"xs": Any}, outputs={"ys": of("deep")})
    assert build_plan(within).threaded
    assert await execute(within, threads=3, xs=range(12)) == {"ys": list(range(12))}
    assert meter.most <= 3


async def test_what_fails_outside_the_steps_of_a_mapped_pipeline_names_the_item() -> None:
    @step
    async def nothing(x: int) -> Any:
        return None

    wrong = graph(
        inputs={"x": Any},
        branches=[branch("branch", "<", "$x", 1, yes=0b01, no=0b10)],
        paths=2,
    )
    with pytest.raises(RunError, match="`branch\\?` raised TypeError") as caught:
        await execute(graph(each(wrong), inputs={"xs": Any}), xs=[1, "a"])
    assert caught.value.step == "outer[1]"


# ------------------------------------------------------------------------ what the caller's task sees


async def within_a_run(work: Callable[[Executor, Run], Awaitable[Any]], told: list[Event] | None = None) -> Any:
    """What a body does that calls steps itself."""
    pool = ThreadPool(2)
    empty = graph()
    try:
        executor = Executor(empty, pool)
        recorder = None if told is None else Recorder("id", (told.append,))
        run = Run(Call(empty.input.validate({}), "id", "run"), build_plan(empty), recorder)
        return await work(executor, run)
    finally:
        pool.close()


async def test_a_body_may_perform_steps_itself_and_go_on_after_a_failure() -> None:
    @step(retry=Retry(attempts=2))
    def fail(x: int) -> int:
        raise ValueError(x)

    async def work(executor: Executor, run: Run) -> list[Any]:
        found: list[Any] = [await executor.perform(run, Turn("one", double.spec, lambda run, name: {"x": 4}))]
        found.append(await executor.perform_all(run, sync_double.spec, doubling("all", sync_double, [1, 2])))
        for attempt in (
            lambda: executor.perform(run, Turn("bad", fail.spec, lambda run, name: {"x": 4})),
            lambda: executor.perform_all(run, fail.spec, doubling("bad", fail, [1, 2])),
        ):
            with pytest.raises(StepFailedError) as caught:
                await attempt()
            found.append(caught.value.step)
        found.append(await executor.perform(run, Turn("last", sync_double.spec, lambda run, name: {"x": 5})))
        return found

    *found, last = await within_a_run(work)
    assert found[:3] == [8, [2, 4], "bad"]
    assert found[3] in ("bad[0]", "bad[1]")
    assert last == 10


def doubling(name: str, function: Any, items: list[int]) -> Work:
    def turn(index: int, item: int) -> Turn:
        return Turn(f"{name}[{index}]", function.spec, lambda run, name: {"x": item})

    return Work(name, items, len(items), turn)


def test_body_parameters_have_the_defaults_of_the_pipeline() -> None:
    (field,) = [p for p in inner().parameters if not p.required]
    assert field == ParameterField("by", "by", int, False, 3)
