"""What goes into a graph of LangGraph and what comes out, for every way to write one."""

from __future__ import annotations

import json
import operator
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired
from typing import TypedDict as PlainTypedDict

import numpy as np
import pytest
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import RunnableLambda
from langgraph.channels import EphemeralValue, LastValue
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import END, START, MessagesState, StateGraph, add_messages
from langgraph.managed import RemainingSteps
from langgraph.pregel import NodeBuilder, Pregel
from langgraph.types import Command, Send
from pydantic import BaseModel, Field, field_validator
from tests.support.asgi import get, post
from typing_extensions import TypedDict

from pipemount import PipelineApp
from pipemount import compile as compile_pipeline
from pipemount.adapters.langgraph import LangGraphPipeline, compile_graph, interface
from pipemount.adapters.langgraph.messages import spoken, text_of
from pipemount.adapters.protocol import CompiledPipeline, GraphEdge
from pipemount.drawing.layout import drawn
from pipemount.drawing.mermaid import to_mermaid
from pipemount.errors import CompileError, ConfigurationError, InvalidInputsError, InvalidOutputsError, StepFailedError
from pipemount.inprocess import run_compiled
from pipemount.pipelines.codecs import Codec, registry


class Place(TypedDict):
    city: str
    units: NotRequired[Literal["C", "F"]]


class Told(TypedDict):
    report: str


class Weather(TypedDict):
    city: str
    units: NotRequired[Literal["C", "F"]]
    report: NotRequired[str]


def tell(state: Any) -> dict[str, Any]:
    return {"report": f"{state['city']} in {state.get('units', 'C')}"}


def built(state: Any, *nodes: Any, **schemas: Any) -> Any:
    """A graph whose nodes follow each other."""
    return StateGraph(state, **schemas).add_sequence(nodes).add_edge(START, nodes[0].__name__)


def refused(compiled: CompiledPipeline, inputs: Any) -> list[tuple[Any, ...]]:
    """Where the inputs are wrong, and how."""
    with pytest.raises(InvalidInputsError) as caught:
        compiled.input.validate(inputs)
    return [(*error["loc"], error["type"]) for error in caught.value.errors]


async def outputs(compiled: CompiledPipeline, **inputs: Any) -> Any:
    return dict((await run_compiled(compiled, inputs)).outputs)


# ------------------------------------------------------------------------------------------- detection


def test_a_graph_is_found_by_name_and_its_adapter_imported_then() -> None:
    code = "import sys, pipemount; pipemount.PipelineApp; print('langgraph' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment())
    assert done.stdout.strip() == "False"
    compiled = compile_pipeline(built(Weather, tell).compile(), name="weather")
    assert isinstance(compiled, LangGraphPipeline)
    assert isinstance(compiled, CompiledPipeline)
    assert (compiled.info.name, compiled.info.framework) == ("weather", "langgraph")
    assert compiled.capabilities == {"step-events", "deltas", "cancel:task"}


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}


def test_a_graph_that_is_not_compiled_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"StateGraph cannot run yet; give what its compile\(\) returns"):
        compile_pipeline(built(Weather, tell))


def test_an_option_that_the_adapter_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot be compiled with colour: its adapter has got an unexpected"):
        compile_pipeline(built(Weather, tell).compile(), colour="red")


@pytest.mark.parametrize(("given", "name"), [(None, "LangGraph"), ("my agent!", "my_agent"), ("…", "graph")])
def test_a_name_is_made_to_stand_in_a_path(given: str | None, name: str) -> None:
    assert compile_graph(built(Weather, tell).compile(name=given)).info.name == name


# --------------------------------------------------------------------------------------------- schemas


def test_what_a_typed_dict_requires_is_required_and_nothing_else_is_taken() -> None:
    compiled = compile_graph(built(Weather, tell).compile(), name="weather")
    schema = compiled.input.json_schema()
    assert (schema["title"], schema["required"], schema["additionalProperties"]) == ("weather_Inputs", ["city"], False)
    assert schema["properties"]["units"]["enum"] == ["C", "F"]
    assert refused(compiled, {"units": "K", "town": "Oslo"}) == [
        ("city", "missing"),
        ("units", "literal_error"),
        ("town", "extra_forbidden"),
    ]
    assert compiled.output.json_schema()["required"] == ["city"]


class Undivided(TypedDict):
    topic: str
    joke: str


def joke(state: Any) -> dict[str, Any]:
    return {"joke": f"a joke about {state['topic']}"}


async def test_a_state_that_marks_nothing_as_optional_is_taken_in_parts() -> None:
    compiled = compile_graph(built(Undivided, joke).compile())
    assert await outputs(compiled, topic="cats") == {"topic": "cats", "joke": "a joke about cats"}
    assert refused(compiled, {"topic": 3}) == [("topic", "string_type")]
    assert "required" not in compiled.input.json_schema()
    with pytest.raises(StepFailedError, match="step 'joke' raised KeyError"):
        await outputs(compiled)


async def test_declared_inputs_and_outputs_are_what_callers_see() -> None:
    compiled = compile_graph(built(Weather, tell, input_schema=Place, output_schema=Told).compile())
    assert list(compiled.input.json_schema()["properties"]) == ["city", "units"]
    assert compiled.output.json_schema()["required"] == ["report"]
    assert await outputs(compiled, city="Oslo", units="F") == {"report": "Oslo in F"}


class Model(BaseModel):
    """A place, checked."""

    city: Annotated[str, Field(min_length=2, description="Where")]
    days: int = 3
    report: str = ""
    messages: Annotated[list[AnyMessage], add_messages] = []

    @field_validator("city")
    @classmethod
    def known(cls, city: str) -> str:
        if city == "Atlantis":
            raise ValueError("unknown")
        return city.title()


def look(state: Model) -> dict[str, Any]:
    return {"report": f"{state.city} for {state.days} days", "messages": [AIMessage("done", id="2")]}


async def test_a_models_validators_and_limits_hold_before_the_graph_runs() -> None:
    compiled = compile_graph(built(Model, look).compile(name="trip"))
    schema = compiled.input.json_schema()
    assert schema["description"] == "A place, checked."
    assert schema["properties"]["city"] | {"title": ""} == {
        "description": "Where",
        "minLength": 2,
        "title": "",
        "type": "string",
    }
    assert schema["properties"]["days"]["default"] == 3
    assert refused(compiled, {"city": "Atlantis", "extra": 1}) == [
        ("city", "value_error"),
        ("extra", "extra_forbidden"),
    ]
    sent = [{"role": "user", "content": "hi", "id": "1"}]
    assert await outputs(compiled, city="oslo", messages=sent) == {
        "city": "Oslo",
        "messages": [HumanMessage("hi", id="1"), AIMessage("done", id="2")],
        "report": "Oslo for 3 days",
    }


class Opaque:
    """No JSON Schema can be made of it."""


OPAQUE = Opaque()


@dataclass
class Basket:
    items: list[str]
    limit: int = 2
    labels: dict[str, str] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    strange: Any = OPAQUE
    hidden: str = field(default="", init=False)


def take(state: Basket) -> dict[str, Any]:
    return {"taken": state.items[: state.limit]}


async def test_a_dataclass_keeps_its_defaults() -> None:
    compiled = compile_graph(built(Basket, take).compile())
    schema = compiled.input.json_schema()
    assert (schema["required"], schema["properties"]["limit"]["default"]) == (["items"], 2)
    assert "hidden" not in schema["properties"]
    assert "default" not in schema["properties"]["strange"]
    assert await outputs(compiled, items=["a", "b", "c"]) == {"items": ["a", "b", "c"], "taken": ["a", "b"]}
    assert refused(compiled, {"limit": "x"}) == [("items", "missing"), ("limit", "int_parsing")]


class Managed(TypedDict):
    left: RemainingSteps
    seen: Annotated[list[int], operator.add]
    brief: Annotated[str, EphemeralValue]


def count(state: Any) -> dict[str, Any]:
    return {"seen": [state["left"]]}


async def test_what_langgraph_manages_is_no_input_and_no_output() -> None:
    compiled = compile_graph(built(Managed, count).compile())
    assert list(compiled.input.json_schema()["properties"]) == ["seen", "brief"]
    assert compiled.output.json_schema()["required"] == ["seen"]
    (left,) = (await outputs(compiled, seen=[]))["seen"]
    assert left > 5


class Holds(TypedDict):
    tool: Opaque


def test_a_type_without_a_schema_is_explained() -> None:
    with pytest.raises(CompileError, match=r"the inputs of 'holds' cannot .* no JSON Schema .*input_schema") as caught:
        compile_graph(built(Holds, count).compile(), name="holds")
    assert caught.value.detail_code == "type-without-schema"


class Item(PlainTypedDict):
    weight: np.ndarray[Any, np.dtype[np.float64]]


class Cart(TypedDict):
    items: list[Item]
    total: NotRequired[np.ndarray[Any, np.dtype[np.float64]]]


def weigh(state: Any) -> dict[str, Any]:
    return {"total": sum(item["weight"] for item in state["items"])}


async def test_what_json_does_not_know_goes_through_its_codec() -> None:
    compiled = compile_graph(built(Cart, weigh).compile())
    assert refused(compiled, {"items": [{"weight": "heavy"}]}) == [("items", 0, "weight", "list_type")]
    given = await outputs(compiled, items=[{"weight": [1, 2]}, {"weight": [3.5, 4]}])
    assert compiled.output.dump(given)["total"] == [4.5, 6.0]


async def test_a_codec_that_a_package_brings_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(annotation: Any) -> bool:
        if annotation is Opaque:
            monkeypatch.setitem(registry._registered, Opaque, Codec(str, lambda text: Opaque(), repr))
        return annotation is Opaque

    monkeypatch.setattr(interface, "load_installed", load)
    compiled = compile_graph(built(Holds, go).compile())
    assert compiled.input.json_schema()["properties"]["tool"]["type"] == "string"


async def test_outputs_that_do_not_fit_are_not_sent() -> None:
    def wrong(state: Any) -> dict[str, Any]:
        return {"report": 3}

    with pytest.raises(InvalidOutputsError, match="report: Input should be a valid string"):
        await outputs(compile_graph(built(Weather, wrong).compile()), city="Oslo")


# -------------------------------------------------------------------------------------- functional API


@entrypoint()
async def shout(text: str) -> str:
    """Says it louder."""
    return text.upper()


@entrypoint()
def describe(place: Place) -> Told:
    return {"report": place["city"]}


@entrypoint()
async def check(model: Model) -> Model:
    assert type(model).__mro__[0] is Model
    return model


@entrypoint()
def fill(basket: Basket) -> Basket:
    return Basket(basket.items, 9, strange=0)


@entrypoint()
def untyped(anything):  # type: ignore[no-untyped-def]  # what this is about
    return [anything]


@entrypoint(checkpointer=InMemorySaver())
def previous(x: int, *, previous: int | None = None) -> entrypoint.final[int, int]:
    return entrypoint.final(value=previous or 0, save=2 * x)


@entrypoint()
def bare(x: int) -> entrypoint.final:  # type: ignore[type-arg]  # what this is about
    return entrypoint.final(value=x, save=x)


@pytest.mark.parametrize(
    ("workflow", "inputs", "expected"),
    [
        (shout, {"text": "hi"}, {"output": "HI"}),
        (describe, {"city": "Oslo"}, {"report": "Oslo"}),
        (check, {"city": "oslo"}, {"city": "Oslo", "days": 3, "report": "", "messages": []}),
        (fill, {"items": ["a"]}, {"items": ["a"], "limit": 9, "labels": {}, "taken": [], "strange": 0}),
        (untyped, {"anything": {"a": 1}}, {"output": [{"a": 1}]}),
        (previous, {"x": 4}, {"output": 0}),
        (bare, {"x": 4}, {"output": 4}),
    ],
)
async def test_an_entrypoint_takes_its_parameter_or_the_members_of_it(
    workflow: Any, inputs: Any, expected: Any
) -> None:
    compiled = compile_graph(workflow)
    found = json.loads(compiled.output.dump_json(await outputs(compiled, **inputs)))
    assert found == expected
    assert refused(compiled, {**inputs, "more": 1}) == [("more", "extra_forbidden")]


def test_an_entrypoint_is_named_and_described_by_its_function() -> None:
    assert (compile_graph(shout).info.name, compile_graph(shout).info.doc) == ("shout", "Says it louder.")
    assert compile_graph(shout, doc="Louder").info.doc == "Louder"
    assert refused(compile_graph(shout), {"text": 3}) == [("text", "string_type")]


def test_an_entrypoint_whose_types_cannot_be_found_is_explained() -> None:
    @entrypoint()
    def lost(x: Nowhere) -> int:  # type: ignore[name-defined]  # noqa: F821 - what this is about
        return 1

    with pytest.raises(CompileError, match=r"test_langgraph_interface.py:\d+: .*'lost' .*'Nowhere' is not defined"):
        compile_graph(lost)


# ------------------------------------------------------------------------------------------ other graphs


async def test_a_graph_whose_state_is_one_value_has_one_input_and_one_output() -> None:
    def more(state: list[int]) -> list[int]:
        return [len(state)]

    compiled = compile_graph(built(Annotated[list[int], operator.add], more).compile())
    assert await outputs(compiled, input=[5, 6]) == {"output": [5, 6, 2]}
    assert refused(compiled, {"input": ["x"]}) == [("input", 0, "int_parsing")]


@pytest.mark.parametrize(
    ("inputs", "results", "sent", "expected"),
    [(["a"], ["b"], {"a": "x"}, {"b": "xx"}), ("a", "b", {"input": "x"}, {"output": "xx"})],
)
async def test_a_graph_of_bare_channels_runs(inputs: Any, results: Any, sent: Any, expected: Any) -> None:
    node = NodeBuilder().subscribe_only("a").do(lambda x: x + x).write_to("b")
    channels: Any = {"a": EphemeralValue(str), "b": LastValue(str)}
    graph: Any = Pregel(nodes={"n": node}, channels=channels, input_channels=inputs, output_channels=results)
    compiled = compile_graph(graph)
    assert await outputs(compiled, **sent) == expected
    assert [node.id for node in compiled.graph.nodes] == ["n"]


async def test_a_graph_that_writes_nothing_has_empty_outputs() -> None:
    def nothing(state: Any) -> None:
        return None

    assert await outputs(compile_graph(built(Undivided, nothing).compile())) == {}


# --------------------------------------------------------------------------------------------- messages


async def echo(state: MessagesState) -> dict[str, Any]:
    call = {"name": "look", "args": {"at": "hi"}, "id": "c1"}
    answer = AIMessage("looking", id="a", tool_calls=[call], name="echo", response_metadata={"secret": "yes"})
    return {"messages": [answer, ToolMessage("seen", tool_call_id="c1", id="t")]}


async def test_messages_are_role_and_content_both_ways() -> None:
    app = PipelineApp(built(MessagesState, echo).compile(name="chat"))
    sent = [{"role": "system", "content": "be brief", "id": "s"}, {"role": "user", "content": "hi", "id": "u"}]
    first = (await post(app, "/invoke", {"parameters": {"messages": sent}})).json()["outputs"]["messages"]
    assert first == [
        *sent,
        {
            "role": "assistant",
            "content": "looking",
            "id": "a",
            "name": "echo",
            "tool_calls": [{"name": "look", "args": {"at": "hi"}, "id": "c1"}],
        },
        {"role": "tool", "content": "seen", "id": "t", "tool_call_id": "c1"},
    ]
    again = await post(app, "/invoke", {"parameters": {"messages": first}})
    assert (again.status, again.json()["outputs"]["messages"]) == (200, first)


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ({"role": "remove", "content": ""}, [("messages", 0, "role", "literal_error")]),
        ({"content": "x"}, [("messages", 0, "role", "missing")]),
        ({"role": "user", "content": "x", "extra": 1}, [("messages", 0, "extra", "extra_forbidden")]),
        ({"role": "tool", "content": "x"}, [("messages", 0, "tool_call_id")]),
        ({"role": "user", "content": "x", "tool_call_id": "1"}, [("messages", 0, "tool_call_id")]),
        ({"role": "user", "content": "x", "tool_calls": []}, [("messages", 0, "tool_calls")]),
    ],
)
async def test_a_message_that_cannot_be_is_refused(message: Any, where: Any) -> None:
    app = PipelineApp(built(MessagesState, echo).compile(name="chat"))
    answer = await post(app, "/invoke", {"parameters": {"messages": [message]}})
    assert answer.status == 422
    assert [(*error["loc"][1:], error["type"]) for error in answer.json()["errors"]] == where


def test_the_document_has_one_simple_model_for_messages() -> None:
    compiled = compile_graph(built(MessagesState, echo).compile(name="chat"))
    assert set(compiled.input.json_schema()["$defs"]) == {"JsonValue", "Message", "ToolCall"}


class Tagged(TypedDict):
    plain: Annotated[list, add_messages]  # type: ignore[type-arg]  # as LangGraph's own guides write it
    formatted: Annotated[Sequence[BaseMessage], add_messages(format="langchain-openai")]
    last: NotRequired[BaseMessage | None]
    named: NotRequired[AIMessage]
    by_name: NotRequired[dict[str, list[AnyMessage]]]
    short: NotRequired[Annotated[list[AnyMessage], Field(max_length=1)]]


def test_messages_are_found_wherever_they_are() -> None:
    def look(state: Any) -> dict[str, Any]:
        return {}

    compiled = compile_graph(built(Tagged, look).compile())
    message = {"role": "user", "content": "x"}
    sent = {"plain": [message], "formatted": [message], "last": message, "by_name": {"a": [message]}}
    found = compiled.input.validate(sent)
    assert found["by_name"]["a"] == found["plain"] == found["formatted"] == [found["last"]] == [HumanMessage("x")]
    assert refused(compiled, {"plain": [], "formatted": [], "short": [message, message]}) == [("short", "too_long")]
    assert spoken(AIMessage) is AIMessage
    assert spoken(list[int]) == list[int]


def test_a_message_of_another_kind_keeps_its_role() -> None:
    compiled = compile_graph(built(MessagesState, echo).compile())
    told = compiled.output.dump(
        {"messages": [ChatMessage(content="hm", role="critic"), SystemMessage(["a", {"type": "x"}])]}
    )
    assert told["messages"] == [
        {"role": "critic", "content": "hm"},
        {"role": "system", "content": ["a", {"type": "x"}]},
    ]


def test_the_text_of_a_message_is_that_of_its_blocks() -> None:
    assert text_of(AIMessage(["a", {"type": "text", "text": "b"}, {"type": "image", "url": "…"}])) == "ab"


# ----------------------------------------------------------------------------------------------- drawing


def go(state: Any) -> dict[str, Any]:
    return {}


def after(state: Any) -> dict[str, Any]:
    return {}


def jump(state: Any) -> Command[Any]:
    return Command(goto="after")


def test_a_sequence_is_drawn_exactly() -> None:
    graph = compile_graph(built(Undivided, go, after).compile()).graph
    assert [(edge.source, edge.target) for edge in graph.edges] == [("", "go"), ("after", ""), ("go", "after")]
    assert (graph.fidelity, {node.kind for node in graph.nodes}) == ("exact", {"node"})


def test_conditional_edges_and_subgraphs_are_drawn_with_their_paths() -> None:
    inner = built(Undivided, go, after).add_conditional_edges("after", lambda s: END, {"stop": END, "again": "go"})
    outer = StateGraph(Undivided).add_node(go).add_node("sub", inner.compile()).add_edge(START, "go")
    graph = compile_graph(outer.add_edge("go", "sub").compile()).graph
    assert {node.id: node.label for node in graph.nodes} == {
        "go": "go",
        "sub": "sub",
        "sub/after": "after",
        "sub/go": "go",
    }
    assert {node.id: node.group for node in graph.nodes} == {"go": "", "sub": "", "sub/after": "sub", "sub/go": "sub"}
    boxes = {box["id"]: box["kind"] for box in drawn(graph)["layout"]["nodes"] if box["id"]}
    assert boxes == {"go": "step", "sub": "group", "sub/after": "step", "sub/go": "step"}
    assert to_mermaid(graph).count('"sub"') == 1  # the frame, which is a step as well
    assert graph.fidelity == "superset"
    assert GraphEdge("sub/after", "sub/go", "again", True) in graph.edges
    assert GraphEdge("sub/after", "", "stop", True) in graph.edges


def test_a_subgraph_in_a_subgraph_is_a_frame_in_a_frame() -> None:
    inner = built(Undivided, go).compile()
    middle = StateGraph(Undivided).add_node("in", inner).add_edge(START, "in").compile()
    outer = StateGraph(Undivided).add_node("mid", middle).add_node(after).add_edge(START, "mid")
    graph = compile_graph(outer.add_edge("mid", "after").compile()).graph
    assert {node.id: node.group for node in graph.nodes if node.kind == "subgraph"} == {"mid": "", "mid/in": "mid"}
    assert [node.id for node in graph.boxes()] == ["after", "mid/in/go"]
    assert graph.fidelity == "exact"


def test_a_slash_in_a_name_makes_no_subgraph() -> None:
    graph = compile_graph(StateGraph(Undivided).add_node("go/on", go).add_edge(START, "go/on").compile()).graph
    assert [(node.id, node.group) for node in graph.nodes] == [("go/on", "")]


def test_a_subgraph_that_a_node_calls_is_no_certain_thing() -> None:
    inner = built(Undivided, go).compile()

    def ask(state: Any) -> Any:
        return inner.invoke(state) if state["city"] else {}

    middle = built(Undivided, ask).compile()
    for graph in (middle, StateGraph(Undivided).add_node("mid", middle).add_edge(START, "mid").compile()):
        assert compile_graph(graph).graph.fidelity == "superset"


def test_a_fan_out_is_drawn_as_conditional() -> None:
    fan = built(Undivided, go).add_node(after).add_conditional_edges("go", lambda s: [Send("after", s)], ["after"])
    assert GraphEdge("go", "after", "", True) in compile_graph(fan.compile()).graph.edges


def test_what_cannot_be_foreseen_is_opaque() -> None:
    assert compile_graph(built(Undivided, jump).add_node(after).compile()).graph.fidelity == "opaque"
    assert compile_graph(shout).graph.fidelity == "opaque"


# ------------------------------------------------------------------------------------------- fingerprint


def fingerprint(graph: Any, **options: Any) -> str:
    return compile_graph(graph, **options).info.fingerprint


def test_the_fingerprint_changes_with_code_topology_schemas_and_name() -> None:
    def tell(state: Any) -> dict[str, Any]:
        return {"report": "other"}

    base = fingerprint(built(Weather, globals()["tell"]).compile())
    assert base == fingerprint(built(Weather, globals()["tell"]).compile())
    others = [
        fingerprint(built(Weather, globals()["tell"]).compile(), name="other"),
        fingerprint(built(Weather, tell).compile()),
        fingerprint(built(Weather, globals()["tell"], go).compile()),
        fingerprint(built(Weather, globals()["tell"], output_schema=Told).compile()),
    ]
    assert len({base, *others}) == 5


async def test_a_node_that_is_no_function_runs_too() -> None:
    chain = RunnableLambda(lambda state: state["topic"]) | RunnableLambda(lambda topic: {"joke": topic})
    graph = StateGraph(Undivided).add_node("chain", chain).add_edge(START, "chain")
    graph.add_conditional_edges("chain", RunnableLambda(lambda state: END) | RunnableLambda(lambda end: end), [END])
    assert await outputs(compile_graph(graph.compile()), topic="x") == {"topic": "x", "joke": "x"}


def test_the_fingerprint_sees_into_branches_and_subgraphs() -> None:
    def graph(path: Any, node: Any) -> Any:
        inner = StateGraph(Undivided).add_node("n", node).add_edge(START, "n").compile()
        outer = StateGraph(Undivided).add_node("sub", inner).add_edge(START, "sub")
        return outer.add_conditional_edges("sub", path, [END]).compile()

    def stop(state: Any) -> str:
        return END

    def end(state: Any) -> str:
        return "__end__"

    assert len({fingerprint(graph(stop, go)), fingerprint(graph(end, go)), fingerprint(graph(stop, after))}) == 3


# ------------------------------------------------------------------------------------------------- HTTP


async def test_the_schemas_are_in_the_document_and_an_enum_is_kept() -> None:
    app = PipelineApp({"weather": built(Weather, tell, output_schema=Told).compile()})
    components = (await get(app, "/openapi.json")).json()["components"]["schemas"]
    assert components["weather_LangGraph_Inputs"]["properties"]["units"]["enum"] == ["C", "F"]
    assert components["weather_LangGraph_Outputs"]["required"] == ["report"]
    answer = await post(app, "/invoke", {"parameters": {"city": "Oslo", "units": "F"}})
    assert (answer.status, answer.json()["outputs"]) == (200, {"report": "Oslo in F"})
    assert answer.json()["metadata"]["parameters_used"] == {"city": "Oslo", "units": "F"}
    wrong = await post(app, "/invoke", {"parameters": {"city": "Oslo", "units": "K"}})
    assert (wrong.status, wrong.json()["errors"][0]["loc"]) == (422, ["parameters", "units"])
    described = (await get(app, "/info")).json()
    assert (described["framework"]["name"], described["graph"]["fidelity"]) == ("langgraph", "exact")
