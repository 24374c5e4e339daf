"""Bodies become graphs by data flow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Required, TypeVar

import pytest
from annotated_types import Ge
from pydantic import BaseModel, ConfigDict, Field, computed_field
from typing_extensions import TypeAliasType, TypedDict

from pipemount.errors import CompileError, DefinitionError, InvalidInputsError
from pipemount.pipelines.annotations import describe
from pipemount.pipelines.authoring import PipelineDefinition, Step, compile_function, step
from pipemount.pipelines.places import Place, caller_place, function_place
from pipemount.pipelines.snapshot import Access, Collected, Constant, Output, Parameter, Snapshot, Source
from pipemount.pipelines.taking import is_tracing

T = TypeVar("T")


class Weather(BaseModel):
    city: str
    temperature: float

    @property
    def kelvin(self) -> float:
        return self.temperature + 273.15


@dataclass
class Point:
    x: int
    y: int


class Row(TypedDict):
    key: str
    values: list[int]


class Pair(NamedTuple):
    left: int
    right: str


@step
def fetch(city: str) -> Weather:
    return Weather(city=city, temperature=3)


@step
def show(text: str) -> Annotated[str, "shown"]:
    return text


@step
def anything(value: Any) -> Any:
    return value


@step
def split(text: str) -> tuple[Annotated[str, "head"], int]:
    return text[0], len(text)


def compiled(function: Any, **options: Any) -> Snapshot:
    return PipelineDefinition(function, **options).compile()


def source(snapshot: Snapshot, node: str, parameter: str) -> Source:
    (found,) = (n for n in snapshot.nodes if n.id == node)
    return {binding.parameter: binding.source for binding in found.bindings}[parameter]


def test_a_value_reaches_a_step_by_data_flow_and_never_by_name() -> None:
    @step
    def greet(city: str, name: str) -> str:
        return f"{name}, {city}"

    def crossed(city: str, name: str):  # type: ignore[no-untyped-def]
        return greet(city="Rome", name=city)

    snapshot = compiled(crossed)
    assert source(snapshot, "greet", "city") == Constant("Rome")
    assert source(snapshot, "greet", "name") == Parameter("city")


def test_nodes_edges_and_needs() -> None:
    def weather(city: str):  # type: ignore[no-untyped-def]
        report = fetch(city)
        return show(report.city)

    snapshot = compiled(weather)
    assert [(n.id, n.needs) for n in snapshot.nodes] == [("fetch", ()), ("show", ("fetch",))]
    assert [(e.source, e.target, e.label, e.verdict) for e in snapshot.edges] == [
        ("", "fetch", "city", "ok"),
        ("fetch", "show", "text", "ok"),
        ("show", "", "shown", "ok"),
    ]
    assert source(snapshot, "show", "text") == Output("fetch", None, (Access("attribute", "city"),))
    assert snapshot.nodes[0].file == __file__
    assert snapshot.nodes[1].line == snapshot.nodes[0].line + 1


def test_nodes_are_sorted_by_rank_then_by_the_order_of_the_body() -> None:
    def body(city: str):  # type: ignore[no-untyped-def]
        first = show(city)
        second = show(first)
        third = show(city, id="third")
        return second, third

    assert [node.id for node in compiled(body).nodes] == ["show", "third", "show_2"]


def test_repeated_calls_are_numbered_and_id_names_them() -> None:
    def body(city: str):  # type: ignore[no-untyped-def]
        return {"a": show(city), "b": show(city), "c": show(city, id="mine"), "d": show(city)}

    assert [node.id for node in compiled(body).nodes] == ["show", "show_2", "mine", "show_3"]


def test_an_id_given_twice_is_refused() -> None:
    def body(city: str):  # type: ignore[no-untyped-def]
        return show(city, id="one"), show(city, id="one")

    with pytest.raises(CompileError, match="two steps") as caught:
        compiled(body)
    assert caught.value.detail_code == "duplicate-id"


def test_after_orders_without_data() -> None:
    def body(city: str):  # type: ignore[no-untyped-def]
        first, (head, _) = fetch(city), split(city)
        show("last", after=[first, head, None])
        show("own", id="x", after={"any": head})

    snapshot = compiled(body)
    nodes = {node.id: node for node in snapshot.nodes}
    assert nodes["show"].after == nodes["show"].needs == ("fetch", "split")
    assert nodes["x"].after == ("split",)
    assert [(e.source, e.label) for e in snapshot.edges if e.verdict == "after"] == [
        ("fetch", ""),
        ("split", ""),
        ("split", ""),
    ]
    assert snapshot.shape == "none"
    assert snapshot.results == ()


@pytest.mark.parametrize("after", ["fetch", 3])
def test_after_takes_results_of_steps_only(after: Any) -> None:
    def body(city: str):  # type: ignore[no-untyped-def]
        return show(city, after=after)

    with pytest.raises(CompileError) as caught:
        compiled(body)
    assert caught.value.detail_code == "after-without-step"


def test_after_does_not_take_a_parameter() -> None:
    def body(city: str):  # type: ignore[no-untyped-def]
        return show("x", after=city)

    with pytest.raises(CompileError, match="names no step"):
        compiled(body)


def test_parameters_named_id_and_after_are_the_steps_own() -> None:
    @step
    def own(id: str, after: int) -> str:
        return id * after

    def body(city: str):  # type: ignore[no-untyped-def]
        first = show(city)
        return own.with_options(id="named", after=first)(id=city, after=3)

    snapshot = compiled(body)
    assert source(snapshot, "named", "after") == Constant(3)
    assert snapshot.nodes[1].after == ("show",)
    assert own("a", 2) == "aa"


def test_several_outputs_unpack_and_carry_their_index() -> None:
    def body(text: str):  # type: ignore[no-untyped-def]
        head, size = split(text)
        return head, size

    snapshot = compiled(body)
    assert [(r.name, r.source, r.annotation) for r in snapshot.results] == [
        ("head", Output("split", 0), str),
        ("output_1", Output("split", 1), int),
    ]


def test_collected_values() -> None:
    def body(a: int, b: str):  # type: ignore[no-untyped-def]
        anything([a, 1, [b]])
        anything((a, b), id="tuple")
        anything({"a": a, 2: "two"}, id="dict")

    snapshot = compiled(body)
    assert source(snapshot, "anything", "value") == Collected(
        "list", (Parameter("a"), Constant(1), Collected("list", (Parameter("b"),)))
    )
    assert source(snapshot, "tuple", "value") == Collected("tuple", (Parameter("a"), Parameter("b")))
    assert source(snapshot, "dict", "value") == Collected("dict", (Parameter("a"), Constant("two")), ("a", 2))


def test_projections_of_every_kind_of_type() -> None:
    @step
    def make() -> tuple[Weather, Point, Row, dict[str, Weather], Pair, tuple[int, str], list[Point]]:
        raise NotImplementedError

    def body():  # type: ignore[no-untyped-def]
        weather, point, row, table, pair, couple, points = make()
        left, right = pair
        one, _ = couple
        return {
            "temperature": weather.temperature,
            "kelvin": weather.kelvin,
            "x": point.x,
            "key": row["key"],
            "value": row["values"][0],
            "nested": table["Oslo"].city,
            "left": left,
            "right": right,
            "named": pair.right,
            "one": one,
            "last": couple[-1],
            "y": points[-1].y,
        }

    annotations = {r.name: r.annotation for r in compiled(body).results}
    assert annotations == {
        "temperature": float,
        "kelvin": float,
        "x": int,
        "key": str,
        "value": int,
        "nested": str,
        "left": int,
        "right": str,
        "named": str,
        "one": int,
        "last": str,
        "y": int,
    }


def test_a_constant_is_copied_so_that_the_author_cannot_change_it_later() -> None:
    options = {"a": [1]}

    def body():  # type: ignore[no-untyped-def]
        return anything(options)

    snapshot = compiled(body)
    options["a"].append(2)
    assert source(snapshot, "anything", "value") == Constant({"a": [1]})


def test_a_constant_is_validated_at_compile() -> None:
    @step
    def take(weather: Weather, number: float) -> str:
        return ""

    def body():  # type: ignore[no-untyped-def]
        return take({"city": "Oslo", "temperature": "3"}, "4.5")

    snapshot = compiled(body)
    assert source(snapshot, "take", "weather") == Constant(Weather(city="Oslo", temperature=3))
    assert source(snapshot, "take", "number") == Constant(4.5)


def test_a_reference_shows_itself_without_failing() -> None:
    seen = []

    def body(city: str):  # type: ignore[no-untyped-def]
        report = fetch(city)
        seen.append((repr(city), repr(report.temperature), dir(report)))
        return report

    compiled(body)
    assert seen[0] == ("<pipemount reference city: str>", "<pipemount reference fetch.temperature: float>", [])


# --------------------------------------------------------------------------------- pipelines inside


def test_a_pipeline_in_a_pipeline_is_inlined_with_its_own_defaults_and_constants() -> None:
    @step
    def greet(city: str, words: str) -> str:
        return f"{words} {city}"

    def inner(city: str, words: str = "Hello"):  # type: ignore[no-untyped-def]
        greet(city="Rome", words=words)
        return greet(city, words)

    sub = PipelineDefinition(inner)

    def outer(city: str, words: str):  # type: ignore[no-untyped-def]
        first = sub(city=words)
        second = sub(city, words=words)
        return {"first": first, "second": second}

    snapshot = compiled(outer)
    assert [node.id for node in snapshot.nodes] == ["inner/greet", "inner/greet_2", "inner_2/greet", "inner_2/greet_2"]
    assert source(snapshot, "inner/greet_2", "city") == Parameter("words")
    assert source(snapshot, "inner/greet_2", "words") == Constant("Hello")
    assert source(snapshot, "inner/greet", "city") == Constant("Rome")
    assert source(snapshot, "inner_2/greet_2", "words") == Parameter("words")


def test_inlining_nests_and_takes_id_and_after() -> None:
    def innermost(text: str):  # type: ignore[no-untyped-def]
        return show(text)

    one = PipelineDefinition(innermost)

    def middle(text: str):  # type: ignore[no-untyped-def]
        return one(text)

    two = PipelineDefinition(middle)

    def outer(text: str):  # type: ignore[no-untyped-def]
        first = show(text)
        a = two(text, id="block", after=first)
        b = two.with_options(name="renamed")(text)
        return a, b

    snapshot = compiled(outer)
    assert {node.id: node.after for node in snapshot.nodes} == {
        "show": (),
        "renamed/innermost/show": (),
        "block/innermost/show": ("show",),
    }
    assert [result.name for result in snapshot.results] == [
        "block/innermost/show.shown",
        "renamed/innermost/show.shown",
    ]


def test_values_entering_a_pipeline_are_validated_as_it_declares() -> None:
    def inner(number: int, weather: Weather, texts: list[str]):  # type: ignore[no-untyped-def]
        anything(weather.temperature)
        anything(texts[0])
        return anything(number)

    sub = PipelineDefinition(inner)

    def outer(text: str, words: str):  # type: ignore[no-untyped-def]
        return sub(text, {"city": text, "temperature": 3}, [text, words])

    snapshot = compiled(outer)
    nodes = {node.id: node for node in snapshot.nodes}
    (binding,) = nodes["inner/number"].bindings
    assert binding.coerce is not None
    assert nodes["inner/number"].step.function(value=binding.coerce.validate_python("12")) == 12
    assert source(snapshot, "inner/anything_3", "value") == Output("inner/number")
    assert source(snapshot, "inner/anything", "value") == Output(
        "inner/weather", None, (Access("attribute", "temperature"),)
    )
    assert source(snapshot, "inner/anything_2", "value") == Parameter("text")


def test_a_wrong_value_entering_a_pipeline_is_refused() -> None:
    def inner(number: int):  # type: ignore[no-untyped-def]
        return anything(number)

    sub = PipelineDefinition(inner)

    def constant():  # type: ignore[no-untyped-def]
        return sub("x")

    def reference(texts: list[str]):  # type: ignore[no-untyped-def]
        return sub(texts)

    def unknown(text: str):  # type: ignore[no-untyped-def]
        return sub(text, other=3)

    codes = []
    for body in (constant, reference, unknown):
        with pytest.raises(CompileError) as caught:
            compiled(body)
        codes.append(caught.value.detail_code)
    assert codes == ["bad-constant", "type-mismatch", "wrong-arguments"]


def test_recursion_is_explained() -> None:
    made: list[PipelineDefinition] = []

    def body(text: str):  # type: ignore[no-untyped-def]
        return made[0](show(text))

    made.append(PipelineDefinition(body))
    with pytest.raises(CompileError, match="body → body") as caught:
        made[0].compile()
    assert caught.value.detail_code == "recursive-pipeline"


def test_a_definition_is_called_in_bodies_only() -> None:
    def body(text: str):  # type: ignore[no-untyped-def]
        return show(text)

    with pytest.raises(DefinitionError, match="only another pipeline's body"):
        PipelineDefinition(body)("x")


# ------------------------------------------------------------------------------------------- context


def test_tracing_is_seen_by_its_own_context_only() -> None:
    seen: dict[str, Any] = {}

    def body(text: str):  # type: ignore[no-untyped-def]
        seen["here"] = is_tracing()

        def other() -> None:
            seen["there"] = is_tracing()
            seen["plain"] = show("called")

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return show(text)

    compiled(body)
    assert seen == {"here": True, "there": False, "plain": "called"}
    assert not is_tracing()


async def test_tasks_compile_side_by_side() -> None:
    def body(text: str):  # type: ignore[no-untyped-def]
        return show(show(text))

    async def one() -> list[str]:
        await asyncio.sleep(0)
        return [node.id for node in compiled(body).nodes]

    assert list(await asyncio.gather(one(), one(), one())) == [["show", "show_2"]] * 3


def test_a_failed_compilation_leaves_no_trace_behind() -> None:
    def body(text: str):  # type: ignore[no-untyped-def]
        raise ValueError("no")

    with pytest.raises(CompileError):
        compiled(body)
    assert not is_tracing()
    assert show("plain") == "plain"


# ------------------------------------------------------------------------------------ plain functions


def test_a_plain_function_is_a_pipeline_of_one_step() -> None:
    def area(width: int, height: int = 2) -> Annotated[int, "area"]:
        """The area.

        Args:
            width: In metres.
        """
        return width * height

    snapshot = compile_function(area)
    assert snapshot.name == "area"
    assert [(r.name, r.annotation) for r in snapshot.results] == [("area", int)]
    assert snapshot.shape == "value"
    assert snapshot.input.json_schema()["properties"] == {
        "width": {"description": "In metres.", "title": "Width", "type": "integer"},
        "height": {"default": 2, "title": "Height", "type": "integer"},
    }
    assert vars(snapshot.input.validate({"width": "3"})) == {"width": 3, "height": 2}
    assert [b.source for b in snapshot.nodes[0].bindings] == [Parameter("width"), Parameter("height")]


def test_plain_functions_of_every_kind() -> None:
    async def coroutine(x: int) -> int:
        return x

    def generator(x: int) -> Generator[str, None, int]:
        yield "a"
        return x

    def iterator(x: int) -> Iterator[str]:
        yield "a"

    async def asynchronous(x: int) -> AsyncGenerator[str, None]:
        yield "a"

    def untyped(x):  # type: ignore[no-untyped-def]
        yield x

    @step(thread=False)
    def quick(x: int) -> tuple[int, int]:
        return x, x

    found = {}
    for function in (coroutine, generator, iterator, asynchronous, untyped, quick):
        snapshot = compile_function(function)
        (node,) = snapshot.nodes
        found[snapshot.name] = (
            node.step.kind,
            node.step.generator,
            node.step.collects,
            [r.annotation for r in snapshot.results],
        )
    assert found == {
        "coroutine": ("async", False, False, [int]),
        "generator": ("thread", True, False, [int]),
        "iterator": ("thread", True, True, [list[str]]),
        "asynchronous": ("async", True, True, [list[str]]),
        "untyped": ("thread", True, True, [list[Any]]),
        "quick": ("loop", False, False, [int, int]),
    }


def test_a_generators_output_is_named_around_or_inside() -> None:
    def outside(x: int) -> Annotated[Iterator[str], "tokens"]:
        yield "a"

    def inside(x: int) -> Generator[str, None, Annotated[int, "count"]]:
        yield "a"
        return 1

    assert [compile_function(f).results[0].name for f in (outside, inside)] == ["tokens", "count"]


def test_names_of_arguments_are_bound_without_validation() -> None:
    def body(city: str, *, units: str = "C"):  # type: ignore[no-untyped-def]
        return show(city)

    definition = PipelineDefinition(body)
    assert definition.bind("Oslo", units=3) == {"city": "Oslo", "units": 3}
    assert definition.bind(other=1) == {"other": 1}
    with pytest.raises(InvalidInputsError, match="Unexpected positional"):
        definition.bind("Oslo", "F")
    with pytest.raises(InvalidInputsError, match="multiple values"):
        definition.bind("Oslo", city="Rome")


def test_callable_objects_and_partials_are_steps() -> None:
    import functools

    class Scale:
        def __call__(self, number: int) -> float:
            return number / 2

    def add(a: int, b: int) -> int:
        return a + b

    assert Step(Scale()).spec.name == "Scale"
    assert Step(Scale()).spec.outputs[0].annotation is float
    partial = Step(functools.partial(add, b=2))
    assert partial(3) == 5
    assert [(p.name, p.required) for p in partial.spec.parameters] == [("a", True), ("b", False)]


class Opaque:
    """A class that says nothing of its instances."""

    limit = 3

    def __getitem__(self, key: str) -> int:
        raise NotImplementedError

    @property
    def untyped(self):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    @property
    def broken(self) -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821, UP037 - cannot be resolved
        raise NotImplementedError


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")
    limited: Annotated[int, Field(ge=0)] = 0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return 2

    @cached_property
    def cached(self) -> str:
        return ""


@dataclass
class Unresolved:
    field: "Nowhere"  # type: ignore[name-defined]  # noqa: F821, UP037 - cannot be resolved


class Loose(TypedDict):
    must: Required[int]
    may: NotRequired[str]


class Shade(Enum):
    DARK = "dark"


def test_projections_into_open_types() -> None:
    @step
    def make() -> tuple[Opaque, Extra, Unresolved, Loose, Shade, T, Row | dict[str, int]]:
        raise NotImplementedError

    def body():  # type: ignore[no-untyped-def]
        opaque, extra, unresolved, loose, shade, anything, either = make()
        return {
            "limit": opaque.limit,
            "unknown": opaque.unknown,
            "untyped": opaque.untyped,
            "broken": opaque.broken,
            "item": opaque["x"],
            "more": extra.more,
            "limited": extra.limited,
            "twice": extra.twice,
            "cached": extra.cached,
            "field": unresolved.field,
            "must": loose["must"],
            "may": loose["may"],
            "value": shade.value,
            "any": anything.field["x"],
            "either": either["key"],
        }

    assert {r.name: r.annotation for r in compiled(body).results} == {
        "limit": Any,
        "unknown": Any,
        "untyped": Any,
        "broken": Any,
        "item": Any,
        "more": Any,
        "limited": Annotated[int, Ge(0)],
        "twice": int,
        "cached": str,
        "field": Any,
        "must": int,
        "may": str,
        "value": Any,
        "any": Any,
        "either": str | int,
    }


def test_plain_containers_project_to_anything() -> None:
    @step
    def make() -> tuple[list, dict, Any]:  # type: ignore[type-arg]
        raise NotImplementedError

    def body():  # type: ignore[no-untyped-def]
        many, table, unknown = make()
        anything([many[0], table["x"], unknown["x"], unknown.y])

    assert len(compiled(body).nodes) == 2


@pytest.mark.parametrize(
    ("read", "code"),
    [
        (lambda point, pair, number, shade, opaque: point.z, "unknown-field"),
        (lambda point, pair, number, shade, opaque: point._z, "unknown-field"),
        (lambda point, pair, number, shade, opaque: pair[2], "unknown-item"),
        (lambda point, pair, number, shade, opaque: pair["left"], "unknown-item"),
        (lambda point, pair, number, shade, opaque: number[0], "unknown-item"),
        (lambda point, pair, number, shade, opaque: shade.missing, "unknown-field"),
        (lambda point, pair, number, shade, opaque: len(pair), None),
        (lambda point, pair, number, shade, opaque: opaque.field, "unknown-field"),
    ],
)
def test_fields_that_cannot_be(read: Any, code: str | None) -> None:
    @step
    def make() -> tuple[Point, Pair, int, Shade, object]:
        raise NotImplementedError

    def body():  # type: ignore[no-untyped-def]
        return anything(read(*make()))

    if code is None:
        assert source(compiled(body), "anything", "value") == Constant(2)
        return
    with pytest.raises(CompileError) as caught:
        compiled(body)
    assert caught.value.detail_code == code


def test_a_collected_value_of_mixed_types_is_checked_as_a_union() -> None:
    @step
    def numbers(values: list[float]) -> float:
        return sum(values)

    def body(a: int, b: float, c: str):  # type: ignore[no-untyped-def]
        numbers([a, b, 1])
        numbers([a, c], id="mixed")

    verdicts = {(e.source, e.target): e.verdict for e in compiled(body).edges}
    assert verdicts == {("", "numbers"): "ok", ("", "mixed"): "coerce"}


def test_types_of_python_3_12() -> None:
    alias = TypeAliasType("alias", list[int])

    def body(numbers: alias):  # type: ignore[no-untyped-def]
        return anything(numbers[0])

    body.__annotations__["numbers"] = alias
    assert compiled(body).edges[0].verdict == "ok"
    assert describe(Annotated[int, Field(ge=0)]) == "int"
    assert describe(None) == "None"
    assert describe(type(None)) == "None"


def test_an_annotation_with_a_syntax_error() -> None:
    def body(text):  # type: ignore[no-untyped-def]
        return show(text)

    body.__annotations__["text"] = "not a type"
    with pytest.raises(CompileError) as caught:
        compiled(body)
    assert caught.value.detail_code == "unresolved-annotation"


def test_an_enclosing_name_that_is_not_bound_yet() -> None:
    def body(text: str):  # type: ignore[no-untyped-def]
        return later(text)

    definition = PipelineDefinition(body)
    assert definition.signature.parameters[0].annotation is str
    later = show
    assert definition.compile().nodes[0].id == "show"


def test_a_step_without_a_place() -> None:
    with pytest.raises(CompileError, match="names two outputs") as caught:
        compile_function(Nameless())
    assert caught.value.file == __file__


class Nameless:
    def __call__(self) -> tuple[Annotated[int, "a"], Annotated[int, "a"]]:
        raise NotImplementedError


def test_fields_of_literals_are_those_of_their_values() -> None:
    def body(units: Literal["C", "F"]):  # type: ignore[no-untyped-def]
        return anything(units.upper())

    with pytest.raises(CompileError, match="method of str"):
        compiled(body)


def test_functions_without_a_place() -> None:
    assert function_place(len) == Place()
    assert caller_place().file == __file__
    assert caller_place("no such file").file == __file__
