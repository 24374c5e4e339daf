"""Runs of LangGraph's graphs: what is told of them, how they end, and what their nodes can reach."""

from __future__ import annotations

import asyncio
import contextlib
import operator
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.errors import GraphRecursionError
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, RetryPolicy, interrupt
from pydantic import BaseModel
from tests.support.asgi import Connection, get, post
from tests.support.models import Parrot
from typing_extensions import TypedDict

from pipemount import AuthKeys, PipelineApp, PipelineError, StepContext, get_step_context
from pipemount import compile as compile_pipeline
from pipemount.adapters.langgraph import LangGraphPipeline, compile_graph
from pipemount.adapters.langgraph.failures import as_run_error
from pipemount.adapters.langgraph.telling import Teller
from pipemount.adapters.protocol import Result
from pipemount.errors import (
    ConfigurationError,
    DeadlineExceededError,
    RunError,
    RunSuspendedError,
    StepFailedError,
)
from pipemount.inprocess import run_compiled
from pipemount.runtime.call import Call
from pipemount.runtime.events import Event
from pipemount.runtime.recorder import Recorder
from pipemount.runtime.threads import ThreadPool
from pipemount.service import new_run_id
from pipemount.settings import Settings


class State(TypedDict):
    x: int
    log: NotRequired[Annotated[list[str], operator.add]]


def sequence(*nodes: Any, state: Any = State, **schemas: Any) -> Any:
    return StateGraph(state, **schemas).add_sequence(nodes).add_edge(START, nodes[0].__name__)


def pipeline(*nodes: Any, **options: Any) -> LangGraphPipeline:
    return compile_graph(sequence(*nodes).compile(name="graph"), **options)


async def told(compiled: LangGraphPipeline, **inputs: Any) -> list[Event]:
    events: list[Event] = []
    with contextlib.suppress(RunError):
        await run_compiled(compiled, inputs, listener=events.append)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    return events


def shown(events: list[Event]) -> list[tuple[Any, ...]]:
    """Kind and step of each event, and its value if it has one."""
    found = []
    for event in events:
        value = event.data.get("value", event.data.get("message"))
        found.append((event.kind, event.step) if value is None else (event.kind, event.step, value))
    return found


async def outputs(compiled: Any, **inputs: Any) -> Any:
    return dict((await run_compiled(compiled, inputs)).outputs)


def plus(state: State) -> dict[str, Any]:
    return {"x": state["x"] + 1}


async def double(state: State) -> dict[str, Any]:
    return {"x": state["x"] * 2}


async def fail(state: State) -> dict[str, Any]:
    raise LookupError("secret")


# ---------------------------------------------------------------------------------------------- events


async def test_each_node_is_told_with_its_path() -> None:
    inner = sequence(plus, double).compile()
    outer = StateGraph(State).add_node(plus).add_node("sub", inner).add_edge(START, "plus").add_edge("plus", "sub")
    compiled = compile_graph(outer.compile(), name="outer")
    events = await told(compiled, x=1)
    assert shown(events) == [
        ("run_started", None),
        ("step_started", "plus"),
        ("step_completed", "plus"),
        ("step_started", "sub"),
        ("step_started", "sub/plus"),
        ("step_completed", "sub/plus"),
        ("step_started", "sub/double"),
        ("step_completed", "sub/double"),
        ("step_completed", "sub"),
        ("run_completed", None),
    ]
    assert all(event.data["duration"] >= 0 for event in events if event.kind == "step_completed")
    assert await outputs(compiled, x=1) == {"x": 6, "log": []}


async def test_a_node_that_leaves_its_subgraph_by_a_command_has_ended() -> None:
    def leave(state: State) -> Any:
        return Command(goto="plus", graph=Command.PARENT, update={"x": 5})

    inner = StateGraph(State).add_node(leave).add_edge(START, "leave").compile()
    outer = StateGraph(State).add_node("sub", inner, destinations=("plus",)).add_node(plus).add_edge(START, "sub")
    compiled = compile_graph(outer.compile())
    assert shown(await told(compiled, x=1))[1:-1] == [
        ("step_started", "sub"),
        ("step_started", "sub/leave"),
        ("step_completed", "sub/leave"),
        ("step_completed", "sub"),
        ("step_started", "plus"),
        ("step_completed", "plus"),
    ]


@task
def thrice(x: int) -> int:
    get_step_context().emit("in a task")
    return 3 * x


@entrypoint()
async def workflow(x: int) -> int:
    once = await thrice(x)
    return await thrice(once)


async def test_tasks_of_the_functional_api_are_told() -> None:
    events = await told(compile_graph(workflow), x=1)
    assert shown(events)[1:-1] == [
        ("step_started", "workflow"),
        ("step_started", "workflow/thrice"),
        ("data", "workflow/thrice", "in a task"),
        ("step_completed", "workflow/thrice"),
        ("step_started", "workflow/thrice"),
        ("data", "workflow/thrice", "in a task"),
        ("step_completed", "workflow/thrice"),
        ("step_completed", "workflow"),
    ]


async def test_a_task_that_one_of_several_nodes_calls_is_told_by_its_name() -> None:
    async def call(state: State) -> None:
        await thrice(state["x"])

    async def other(state: State) -> None:
        await asyncio.sleep(0.02)

    both = StateGraph(State).add_node(call).add_node(other).add_edge(START, "call").add_edge(START, "other").compile()
    assert ("step_started", "thrice") in shown(await told(compile_graph(both), x=1))


async def test_the_custom_stream_is_data_of_the_node_that_runs() -> None:
    async def speak(state: State) -> None:
        get_stream_writer()({"half": True})

    async def other(state: State) -> None:
        await asyncio.sleep(0.01)

    inner = sequence(speak).compile()
    outer = StateGraph(State).add_node("sub", inner).add_node(speak).add_node(other).add_edge(START, "sub")
    both = outer.add_edge("sub", "speak").add_edge("sub", "other").compile()
    data = [(event.step, event.data["value"]) for event in await told(compile_graph(both), x=1) if event.kind == "data"]
    assert data == [("sub/speak", {"half": True}), (None, {"half": True})]


async def test_a_node_that_says_much_loses_none_of_it() -> None:
    def speak(state: State) -> None:
        for number in range(5000):
            get_stream_writer()(number)

    said = [item async for item in pipeline(speak).stream(Call({"x": 1}, new_run_id())) if isinstance(item, Event)]
    assert [event.data["value"] for event in said if event.kind == "data"] == list(range(5000))


async def test_what_a_node_says_through_its_context_names_the_node() -> None:
    async def one(state: State) -> None:
        get_step_context().emit(1)
        get_step_context().log("so", level="warning")

    def two(state: State) -> None:
        get_step_context().emit(get_step_context().step_name)

    both = StateGraph(State).add_node(one).add_node(two).add_edge(START, "one").add_edge(START, "two").compile()
    events = await told(compile_graph(both), x=1)
    assert {("data", "one", 1), ("log", "one", "so"), ("data", "two", "two")} <= set(shown(events))
    assert await outputs(compile_graph(both), x=1) == {"x": 1, "log": []}


def chat(model: Any) -> Any:
    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    async def close(state: MessagesState) -> dict[str, Any]:
        return {"messages": [HumanMessage("no delta"), AIMessage("Bye", id="bye"), AIMessage("", id="none")]}

    return sequence(answer, close, state=MessagesState).compile(name="chat")


async def test_the_tokens_of_a_model_are_deltas() -> None:
    events = await told(compile_graph(chat(Parrot())), messages=[{"role": "user", "content": "hello you there"}])
    deltas = [event for event in events if event.kind == "delta"]
    assert [(event.step, event.data["value"]) for event in deltas] == [
        ("answer", "HELLO"),
        ("answer", " YOU"),
        ("answer", " THERE"),
        ("close", "Bye"),
    ]
    assert len({event.data["message"] for event in deltas}) == 2


async def test_a_models_answer_is_the_same_whether_somebody_listens_or_not() -> None:
    app = PipelineApp(chat(Parrot()))
    answer = await post(app, "/invoke", {"parameters": {"messages": [{"role": "user", "content": "hello you"}]}})
    assert [message["content"] for message in answer.json()["outputs"]["messages"]] == [
        "hello you",
        "HELLO YOU",
        "no delta",
        "Bye",
        "",
    ]


# -------------------------------------------------------------------------------------------- failures


async def test_a_failure_names_the_node_in_its_subgraph() -> None:
    inner = sequence(plus, fail).compile()
    compiled = compile_graph(StateGraph(State).add_node("sub", inner).add_edge(START, "sub").compile(name="outer"))
    with pytest.raises(StepFailedError, match=r"^step 'sub/fail' raised LookupError$") as caught:
        await outputs(compiled, x=1)
    assert (caught.value.step, type(caught.value.cause)) == ("sub/fail", LookupError)
    assert shown(await told(compiled, x=1))[-4:] == [
        ("step_started", "sub/fail"),
        ("step_failed", "sub/fail"),
        ("step_failed", "sub"),
        ("run_failed", None),
    ]


async def test_over_http_a_failure_tells_class_and_step_only() -> None:
    answer = await post(PipelineApp(sequence(fail).compile()), "/invoke", {"parameters": {"x": 1}})
    assert (answer.status, answer.json()["step"], answer.json()["code"]) == (500, "fail", "step-failed")
    assert "secret" not in answer.body.decode()


async def test_a_node_may_refuse_with_a_status_of_its_own() -> None:
    def refuse(state: State) -> None:
        raise PipelineError("only even numbers", status=422, code="odd")

    answer = await post(PipelineApp(sequence(refuse).compile()), "/invoke", {"parameters": {"x": 1}})
    assert (answer.status, answer.json()["detail"]) == (422, "only even numbers")
    assert (answer.json()["code"], answer.json()["step"]) == ("odd", "refuse")


async def test_a_task_that_fails_is_named_below_its_entrypoint() -> None:
    @task
    async def broken() -> None:
        raise LookupError

    @entrypoint()
    async def flow(x: int) -> None:
        await broken()

    with pytest.raises(StepFailedError, match="raised LookupError") as caught:
        await outputs(compile_graph(flow), x=1)
    assert caught.value.step == "flow/broken"


async def test_a_graph_that_goes_in_circles_is_stopped() -> None:
    circle = sequence(plus, double).add_edge("double", "plus").compile(name="circle").with_config(recursion_limit=5)
    with pytest.raises(StepFailedError, match=r"^step 'circle' raised GraphRecursionError$") as caught:
        await outputs(compile_graph(circle), x=1)
    assert isinstance(caught.value.cause, GraphRecursionError)
    assert shown(await told(compile_graph(circle), x=1))[-1] == ("run_failed", None)


async def test_a_node_that_cancels_itself_fails() -> None:
    async def cancel(state: State) -> None:
        raise asyncio.CancelledError

    with pytest.raises(StepFailedError, match=r"step '(cancel|graph)' raised"):  # from 1.2 on with the node's name
        await outputs(pipeline(cancel), x=1)
    inner = sequence(cancel).compile()
    outer = StateGraph(State).add_node("sub", inner).add_edge(START, "sub").compile()
    with pytest.raises(StepFailedError, match=r"step '(sub/cancel|sub|LangGraph)' raised"):
        await outputs(compile_graph(outer), x=1)


async def test_retries_are_langgraphs_own() -> None:
    tries: list[int] = []

    def flaky(state: State) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError

    policy = RetryPolicy(max_attempts=3, initial_interval=0.0, jitter=False)
    graph = StateGraph(State).add_node("flaky", flaky, retry_policy=policy).add_edge(START, "flaky").compile()
    assert await outputs(compile_graph(graph), x=1) == {"x": 1, "log": []}
    assert len(tries) == 3


def test_an_error_that_no_node_noted_is_the_graphs() -> None:
    assert as_run_error(ValueError(), "graph").step == "graph"
    assert as_run_error(RunError("late", step="inner"), "graph").step == "inner"


async def test_a_node_whose_end_was_not_told_has_failed_with_the_run() -> None:
    events: list[Event] = []
    teller = Teller(Recorder("id", [events.append]))
    for name in ("sub", "other"):
        teller.tell((), "tasks", {"id": name, "name": name, "triggers": ()})
    teller.failed(StepFailedError(step="sub/inner", cause=ValueError()))
    teller.tell((), "tasks", {"id": "other", "name": "other", "result": {}, "error": "text", "interrupts": []})
    assert shown(events)[2:] == [("step_failed", "sub"), ("step_failed", "other")]
    assert events[-1].data["error"] == "step 'other' raised an exception"


# ------------------------------------------------------------------------------------------ cancelling


@dataclass
class Slow:
    """A graph with one node that never ends by itself, and what became of it."""

    started: asyncio.Event
    cancelled: asyncio.Event

    def compiled(self) -> LangGraphPipeline:
        async def wait(state: State) -> None:
            self.started.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise

        return pipeline(wait)


@pytest.fixture
def slow() -> Slow:
    return Slow(asyncio.Event(), asyncio.Event())


async def test_closing_the_stream_cancels_the_node(slow: Slow) -> None:
    compiled = slow.compiled()
    stream: Any = compiled.stream(Call({"x": 1}, new_run_id()))
    assert (await anext(stream)).kind == "step_started"
    await slow.started.wait()
    await asyncio.wait_for(stream.aclose(), 2)
    assert slow.cancelled.is_set()


async def test_cancelling_the_task_cancels_the_node(slow: Slow) -> None:
    run = asyncio.ensure_future(slow.compiled().run(Call({"x": 1}, new_run_id())))
    await slow.started.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(run, 2)
    assert slow.cancelled.is_set()


@pytest.mark.parametrize("listener", [None, [].append])
async def test_the_deadline_cancels_the_node(slow: Slow, listener: Any) -> None:
    with pytest.raises(DeadlineExceededError):
        await run_compiled(slow.compiled(), {"x": 1}, timeout=0.1, listener=listener)
    assert slow.cancelled.is_set()


async def test_a_caller_who_leaves_cancels_the_node(slow: Slow) -> None:
    app = PipelineApp(slow.compiled())
    headers = [(b"content-type", b"application/json")]
    async with app.lifespan(app):
        connection = Connection(app, "POST", "/invoke", headers=headers)
        connection.feed(b'{"parameters":{"x":1}}')
        answering = asyncio.ensure_future(connection.run())
        await slow.started.wait()
        connection.disconnect()
        await asyncio.wait_for(answering, 2)
    assert slow.cancelled.is_set()
    assert connection.sent == []


async def test_a_node_in_a_thread_learns_that_nobody_waits() -> None:
    seen, go, done = threading.Event(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def look(state: State) -> None:
        context = get_step_context()
        loop.call_soon_threadsafe(done.set)
        go.wait(5)
        context.emit("too late")
        seen.set() if context.cancelled else None

    run = asyncio.ensure_future(pipeline(look).run(Call({"x": 1}, new_run_id())))
    await done.wait()
    run.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await run
    go.set()
    assert await asyncio.to_thread(seen.wait, 5)


async def test_a_stream_ends_with_one_result() -> None:
    items = [item async for item in pipeline(plus).stream(Call({"x": 1}, new_run_id()))]
    assert isinstance(items[-1], Result)
    assert items[-1].outputs == {"x": 2, "log": []}


# ------------------------------------------------------------------------------- what nodes can reach

ASKED: ContextVar[str] = ContextVar("asked", default="nobody")


async def test_nodes_reach_state_run_and_context_variables_in_threads_and_on_the_loop() -> None:
    seen: list[Any] = []

    def in_thread(state: State) -> None:
        context = get_step_context()
        seen.append((context.pipeline_state, context.run_id, context.pipeline_name, context.step_name, ASKED.get()))
        seen.append(threading.current_thread() is threading.main_thread())

    async def on_loop(state: State) -> None:
        context = get_step_context()
        seen.append((context.pipeline_state, context.run_id, context.pipeline_name, context.step_name, ASKED.get()))

    ASKED.set("rosa")
    compiled = pipeline(in_thread, on_loop, on_init=lambda size: [size], on_init_kwargs={"size": 3})
    run_id = (await run_compiled(compiled, {"x": 1})).run_id
    assert seen == [
        ([3], run_id, "graph", "in_thread", "rosa"),
        False,
        ([3], run_id, "graph", "on_loop", "rosa"),
    ]


async def test_outside_of_nodes_there_is_no_step() -> None:
    names: list[str] = []

    def choose(run: StepContext) -> None:
        names.append(run.step_name)
        run.emit("to nobody")

    graph = sequence(plus).compile()
    assert [event.kind for event in await told(compile_graph(graph, context=choose), x=1)][:2] == [
        "run_started",
        "step_started",
    ]
    assert names == [""]


async def test_state_is_made_once_and_given_back() -> None:
    log: list[Any] = []

    async def open_(name: str = "db") -> str:
        log.append("open")
        return name

    def close(state: str) -> None:
        log.append(f"close {state}")

    def read(state: State) -> None:
        log.append(get_step_context().pipeline_state)

    app = PipelineApp(compile_pipeline(sequence(read).compile(), name="reader", on_init=open_, on_cleanup=close))
    async with app.lifespan(app):
        for _ in range(2):
            assert (await post(app, "/pipelines/reader/invoke", {"parameters": {"x": 1}})).status == 200
    assert log == ["open", "db", "db", "close db"]


async def test_without_hooks_start_and_stop_do_nothing() -> None:
    compiled = pipeline(plus)
    assert await compiled.start({"threads": ThreadPool(1), "settings": Settings()}) is None
    await compiled.stop(None)


async def test_a_run_within_a_run_is_one_of_its_own() -> None:
    seen: list[Any] = []

    async def inner(state: State) -> dict[str, Any]:
        seen.append(get_step_context().step_name)
        return {"x": 10}

    app = PipelineApp({"inner": sequence(inner).compile(checkpointer=InMemorySaver())})

    async def outer(state: State) -> dict[str, Any]:
        found = await app.run("inner", x=1)
        seen.append(get_step_context().step_name)
        return {"x": found.outputs["x"] + 1}

    async with app.lifespan(app):
        events = await told(pipeline(outer), x=1)
    assert seen == ["inner", "outer"]
    assert [event.step for event in events if event.kind == "step_started"] == ["outer"]


# --------------------------------------------------------------------------------------------- context


@dataclass
class Settled:
    user: str = "nobody"
    loud: bool = False


class Needy(BaseModel):
    user: str


class Loose(TypedDict, total=False):
    user: str


def who(state: State, runtime: Runtime[Any]) -> dict[str, Any]:
    context = runtime.context
    return {"log": [repr(context)]}


def contextual(schema: Any, **options: Any) -> LangGraphPipeline:
    return compile_graph(sequence(who, context_schema=schema).compile(name="who"), **options)


@pytest.mark.parametrize(
    ("schema", "options", "expected"),
    [
        (None, {}, "None"),
        (Settled, {}, "Settled(user='nobody', loud=False)"),
        (Loose, {}, "None"),  # LangGraph hands an empty mapping over as none
        (Needy, {"context": Needy(user="rosa")}, "Needy(user='rosa')"),
        (Needy, {"context": lambda run: Needy(user=run.pipeline_name)}, "Needy(user='who')"),
        (Needy, {"context": {"user": "rosa"}}, "Needy(user='rosa')"),
    ],
)
async def test_the_author_says_where_the_context_comes_from(
    schema: Any, options: Mapping[str, Any], expected: str
) -> None:
    compiled = contextual(schema, **options)
    assert (await outputs(compiled, x=1))["log"] == [expected]
    assert "context" not in compiled.input.json_schema()["properties"]


@pytest.mark.parametrize(
    ("schema", "sent", "expected"),
    [
        (Settled, {}, "Settled(user='nobody', loud=False)"),
        (Settled, {"context": {"user": "rosa", "loud": "yes"}}, "Settled(user='rosa', loud=True)"),
        (Loose, {"context": {"user": "rosa"}}, "{'user': 'rosa'}"),
        (Needy, {"context": {"user": "rosa"}}, "who_Context(user='rosa')"),
    ],
)
async def test_callers_send_the_context_where_the_author_lets_them(schema: Any, sent: Any, expected: str) -> None:
    app = PipelineApp(contextual(schema, context="inputs"))
    answer = await post(app, "/invoke", {"parameters": {"x": 1, **sent}})
    assert answer.json()["outputs"]["log"] == [expected]
    wrong = await post(app, "/invoke", {"parameters": {"x": 1, "context": {"user": 3, "admin": True}}})
    assert (wrong.status, {fault["loc"][-1] for fault in wrong.json()["errors"]}) == (422, {"user", "admin"})


async def test_a_context_that_the_graph_needs_is_asked_for() -> None:
    with pytest.raises(ConfigurationError, match=r"needs a context with user; say where .*context='inputs'"):
        contextual(Needy)
    needed = await post(PipelineApp(contextual(Needy, context="inputs")), "/invoke", {"parameters": {"x": 1}})
    assert needed.json()["errors"][0] == {"loc": ["parameters", "context"], "msg": "Field required", "type": "missing"}


@pytest.mark.parametrize(("schema", "context"), [(None, "inputs"), (Settled, "outputs")])
def test_a_context_that_cannot_be_is_refused(schema: Any, context: str) -> None:
    with pytest.raises(ConfigurationError, match=r"context='\w+': write 'inputs' where the graph 'who' declares"):
        contextual(schema, context=context)


async def test_what_choosing_the_context_raises_fails_the_run() -> None:
    def choose(run: StepContext) -> Any:
        raise PipelineError("who are you?", status=403)

    answer = await post(PipelineApp(contextual(Settled, context=choose)), "/invoke", {"parameters": {"x": 1}})
    assert (answer.status, answer.json()["detail"]) == (403, "who are you?")


# --------------------------------------------------------------------------------------------- threads


class Talk(TypedDict):
    x: int
    log: Annotated[list[str], operator.add]


def note(state: Talk) -> dict[str, Any]:
    return {"log": [str(state["x"])]}


def remembering(**options: Any) -> LangGraphPipeline:
    graph = sequence(note, state=Talk).compile(name="talk", checkpointer=InMemorySaver())
    return compile_graph(graph, **options)


async def test_without_a_word_every_run_has_a_thread_of_its_own() -> None:
    app = PipelineApp(remembering())
    logs = [(await post(app, "/invoke", {"parameters": {"x": x}})).json()["outputs"]["log"] for x in (1, 2)]
    assert logs == [["1"], ["2"]]
    assert (await post(app, "/invoke", {"parameters": {"x": 1, "thread_id": "a"}})).status == 422


async def test_callers_go_on_with_a_thread_where_the_author_lets_them() -> None:
    app = PipelineApp(remembering(thread="inputs"))
    sent = ({"x": 1, "thread_id": "a"}, {"x": 2, "thread_id": "a"}, {"x": 3, "thread_id": "b"}, {"x": 4})
    logs = [(await post(app, "/invoke", {"parameters": body})).json()["outputs"]["log"] for body in sent]
    assert logs == [["1"], ["1", "2"], ["3"], ["4"]]
    described = (await get(app, "/schema")).json()["input"]["properties"]["thread_id"]
    assert described["minLength"] == 1
    assert "default" not in described


async def test_nobody_reads_the_thread_of_another() -> None:
    keys = AuthKeys({"rosa": "rosa-0123456789abcdef0123456789", "a/b": "ben-0123456789abcdef0123456789ab"})
    app = PipelineApp(remembering(thread="inputs"), auth=keys)
    logs = []
    for name, key in (("rosa", "rosa-0123456789abcdef0123456789"), ("ben", "ben-0123456789abcdef0123456789ab")):
        body = {"parameters": {"x": 1, "thread_id": "a"}}
        answer = await post(app, "/invoke", body, headers={"authorization": f"Bearer {key}"})
        logs.append((name, answer.json()["outputs"]["log"]))
    assert logs == [("rosa", ["1"]), ("ben", ["1"])]


async def test_the_author_may_choose_the_thread() -> None:
    app = PipelineApp(remembering(thread=lambda run: 7))
    logs = [(await post(app, "/invoke", {"parameters": {"x": x}})).json()["outputs"]["log"] for x in (1, 2)]
    assert logs == [["1"], ["1", "2"]]


class Default(BaseModel):
    x: int = 0
    log: Annotated[list[str], operator.add] = []


async def test_a_default_does_not_overwrite_what_a_thread_remembers() -> None:
    def keep(state: Default) -> dict[str, Any]:
        return {"log": [str(state.x)]}

    graph = sequence(keep, state=Default).compile(name="talk", checkpointer=InMemorySaver())
    compiled = compile_graph(graph, thread="inputs")
    app = PipelineApp(compiled)
    logs = []
    for body in ({"x": 5, "thread_id": "a"}, {"thread_id": "a"}, {}):
        answer = await post(app, "/invoke", {"parameters": body})
        logs.append(answer.json()["outputs"]["log"])
    assert logs == [["5"], ["5", "5"], ["0"]]
    assert "default" not in compiled.input.json_schema()["properties"]["thread_id"]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"thread": "outputs"}, "thread='outputs': write 'inputs'"), ({"thread": 3}, "thread=3: write 'inputs'")],
)
def test_a_thread_that_cannot_be_is_refused(options: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        remembering(**options)


def test_a_thread_needs_a_checkpointer() -> None:
    with pytest.raises(ConfigurationError, match=r"keeps nothing between runs, .* compile it with a checkpointer"):
        pipeline(plus, thread="inputs")


def test_an_input_of_the_name_of_an_extra_one_is_refused() -> None:
    class Clash(TypedDict):
        thread_id: str

    graph = sequence(note, state=Clash).compile(checkpointer=InMemorySaver())
    with pytest.raises(ConfigurationError, match="takes 'thread_id' itself"):
        compile_graph(graph, thread="inputs")


# ------------------------------------------------------------------------------------------ interrupts


def ask(state: State) -> dict[str, Any]:
    return {"log": [interrupt({"question": "sure?", "about": {1}})]}


def asking(checkpointer: InMemorySaver) -> Any:
    inner = sequence(ask).compile()
    return StateGraph(State).add_node("sub", inner).add_edge(START, "sub").compile(checkpointer=checkpointer)


async def test_a_run_that_waits_for_an_answer_says_what_is_asked() -> None:
    saver = InMemorySaver()
    app = PipelineApp(compile_graph(asking(saver), name="asking", thread=lambda run: "t"))
    answer = await post(app, "/invoke", {"parameters": {"x": 1}})
    said = answer.json()
    assert (answer.status, said["code"], said["step"]) == (409, "run-suspended", "sub")
    assert said["detail"] == "the run waits at 'sub' and is suspended until its question is answered"
    assert [asked["value"] for asked in said["interrupts"]] == [{"question": "sure?", "about": [1]}]
    resumed = await asking(saver).ainvoke(Command(resume="yes"), {"configurable": {"thread_id": "t"}})
    assert resumed["log"] == ["yes"]


async def test_a_run_that_waits_tells_so_and_ends() -> None:
    events = await told(compile_graph(asking(InMemorySaver())), x=1)
    assert shown(events)[-2:] == [("suspended", "sub/ask"), ("run_failed", None)]
    assert [asked["value"]["question"] for asked in events[-2].data["interrupts"]] == ["sure?"]


@pytest.mark.parametrize("breakpoints", [{"interrupt_before": ["double"]}, {"interrupt_after": ["plus"]}])
async def test_a_breakpoint_that_was_compiled_in_suspends_too(breakpoints: Any) -> None:
    compiled = compile_graph(sequence(plus, double).compile(checkpointer=InMemorySaver(), **breakpoints))
    with pytest.raises(RunSuspendedError) as caught:
        await outputs(compiled, x=1)
    assert (caught.value.step, caught.value.interrupts) == ("double", ())
    assert shown(await told(compiled, x=1))[-2:] == [("suspended", "double"), ("run_failed", None)]


def test_a_suspended_run_may_have_no_step() -> None:
    error = RunSuspendedError(step=None, interrupts=())
    assert str(error) == "the run is suspended until its question is answered"


async def test_without_a_checkpointer_a_run_that_asks_is_at_its_end() -> None:
    with pytest.raises(RunSuspendedError) as caught:
        await outputs(pipeline(ask), x=1)
    assert (caught.value.step, caught.value.status) == (None, 409)
    assert [event.step for event in await told(pipeline(ask), x=1) if event.kind == "suspended"] == ["ask"]
