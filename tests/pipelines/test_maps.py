"""Fan-out: what ``map`` and ``product`` become in the snapshot, and what they do outside a body."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Annotated, Any, NamedTuple

import pytest
from pydantic import BaseModel, Field
from tests.support.asgi import get, post

from pipemount import PipelineApp, pipeline, step, unmapped
from pipemount.errors import CompileError, ConfigurationError, DefinitionError, HomeLoopError
from pipemount.pipelines.authoring import PipelineDefinition
from pipemount.pipelines.snapshot import Choice, Collected, Constant, Fan, Output, Parameter, Snapshot


class Item(BaseModel):
    name: str
    sizes: list[int]


class Mark(Enum):
    GOOD = "good"
    BAD = "bad"


class Pair(NamedTuple):
    left: int
    right: int


@step
def double(number: int) -> int:
    return 2 * number


@step
def add(left: int, right: int = 10) -> int:
    return left + right


@step
def name_of(item: Item) -> str:
    return item.name


@step
def split(text: str) -> tuple[Annotated[str, "head"], Annotated[int, "size"]]:
    return text[0], len(text)


@step
def total(numbers: list[int]) -> int:
    return sum(numbers)


@step
def judge(number: int) -> Mark:
    return Mark.GOOD if number > 0 else Mark.BAD


@step
def count(value: Any) -> int:
    return len(value)


@step
async def slowly(number: int) -> int:
    return 3 * number


@step
def read(numbers: list[int]) -> list[int]:
    return numbers


@step
def shape(image: str, id: str, max_concurrency: int = 3) -> str:
    return f"{image}-{id}-{max_concurrency}"


def compiled(body: Callable[..., Any], **options: Any) -> Snapshot:
    return PipelineDefinition(body, **options).compile()


def refusal(body: Callable[..., Any], **options: Any) -> CompileError:
    with pytest.raises(CompileError) as caught:
        compiled(body, **options)
    assert caught.value.file == __file__
    assert caught.value.line is not None
    assert caught.value.way_out
    return caught.value


# --------------------------------------------------------------------------------------- the snapshot


def test_a_mapped_step_is_one_node_with_a_fan() -> None:
    def body(numbers: list[int]):  # type: ignore[no-untyped-def]
        return double.map(numbers, max_concurrency=4)

    snapshot = compiled(body)
    (node,) = snapshot.nodes
    assert node.fan == Fan("map", ("number",), 4)
    assert node.body is None
    assert node.bindings[0].source == Parameter("numbers")
    assert node.bindings[0].coerce is None
    assert snapshot.results[0].annotation == list[int]
    assert [edge.verdict for edge in snapshot.edges] == ["ok", "ok"]


def test_what_is_unmapped_is_bound_as_it_is() -> None:
    def body(numbers: list[int], right: int):  # type: ignore[no-untyped-def]
        return add.map(numbers, unmapped(right))

    (node,) = compiled(body).nodes
    assert node.fan == Fan("map", ("left",))
    assert [binding.source for binding in node.bindings] == [Parameter("numbers"), Parameter("right")]


def test_a_product_goes_over_its_lists_in_the_order_of_the_call() -> None:
    def body(numbers: list[int]):  # type: ignore[no-untyped-def]
        return add.product(right=[1, 2], left=numbers)

    (node,) = compiled(body).nodes
    assert node.fan == Fan("product", ("left", "right"))


def test_several_outputs_become_lists() -> None:
    def body(texts: list[str]):  # type: ignore[no-untyped-def]
        heads, sizes = split.map(texts)
        return {"heads": heads, "total": total(sizes)}

    snapshot = compiled(body)
    assert snapshot.results[0].annotation == list[str]
    assert snapshot.results[0].source == Output("split", 0)
    assert snapshot.nodes[1].bindings[0].source == Output("split", 1)
    assert snapshot.nodes[1].bindings[0].coerce is None


def test_a_mapped_reference_can_be_mapped_again_and_indexed() -> None:
    def body(numbers: list[int]):  # type: ignore[no-untyped-def]
        doubled = double.map(numbers)
        return {"again": double.map(doubled), "first": double(doubled[0])}

    snapshot = compiled(body)
    assert [node.id for node in snapshot.nodes] == ["double", "double_2", "double_3"]
    assert snapshot.nodes[1].needs == ("double",)


def test_a_field_of_the_inputs_can_be_mapped() -> None:
    def body(item: Item):  # type: ignore[no-untyped-def]
        return double.map(item.sizes)

    (binding,) = compiled(body).nodes[0].bindings
    assert isinstance(binding.source, Parameter)
    assert binding.coerce is None


def test_order_and_names_are_given_as_for_a_call() -> None:
    def body(numbers: list[int]):  # type: ignore[no-untyped-def]
        first = double.map(numbers, id="first")
        return add.map(numbers, after=first, id="second")

    snapshot = compiled(body)
    assert [node.id for node in snapshot.nodes] == ["first", "second"]
    assert snapshot.nodes[1].after == ("first",)


def test_options_that_the_function_has_itself_stay_its_own() -> None:
    def body(names: list[str]):  # type: ignore[no-untyped-def]
        return shape.map(names, id=names, max_concurrency=unmapped(7))

    (node,) = compiled(body).nodes
    assert node.id == "shape"
    assert node.fan == Fan("map", ("image", "id"))


def test_the_mark_of_a_mapped_enum_is_no_decision() -> None:
    def body(numbers: list[int]):  # type: ignore[no-untyped-def]
        marks = judge.map(numbers)
        return {"marks": marks, "first": count(marks[0]), "all": count(marks)}

    assert len(compiled(body).nodes) == 3


# -------------------------------------------------------------------------------------- list types


@pytest.mark.parametrize(
    "kind",
    [
        *(list[int], tuple[int, ...], set[int], frozenset[int], Sequence[int], Iterable[int], tuple[int, int], Pair),
        *(list[int] | tuple[int, ...], Annotated[list[int], Field(max_length=3)], list[bool]),
    ],
)
def test_lists_of_every_kind_can_be_mapped(kind: Any) -> None:
    def body(numbers):  # type: ignore[no-untyped-def]
        return double.map(numbers)

    body.__annotations__["numbers"] = kind
    (binding,) = compiled(body).nodes[0].bindings
    assert binding.coerce is None


@pytest.mark.parametrize("kind", [list, list[Any], list[int | str], list[str] | list[int], tuple[int, Any]])
def test_items_that_may_fit_are_validated_one_by_one(kind: Any) -> None:
    def body(numbers):  # type: ignore[no-untyped-def]
        return double.map(numbers)

    body.__annotations__["numbers"] = kind
    snapshot = compiled(body)
    (binding,) = snapshot.nodes[0].bindings
    assert binding.coerce is not None
    assert binding.coerce.validate_python("3") == 3
    assert snapshot.edges[0].verdict == "coerce"


@pytest.mark.parametrize("kind", [list[Item], tuple[int, Item], set[tuple[int, int]]])
def test_items_that_cannot_fit_are_refused(kind: Any) -> None:
    def body(numbers):  # type: ignore[no-untyped-def]
        return double.map(numbers)

    body.__annotations__["numbers"] = kind
    error = refusal(body)
    assert error.detail_code == "type-mismatch"
    assert "none of its items can become the int" in str(error)


@pytest.mark.parametrize(
    ("kind", "way_out"),
    [
        (int, "wrap it in unmapped"),
        (str, "wrap it in unmapped"),
        (dict[str, int], "keys, values or items in a step"),
        (list[int] | None, "Branch on it"),
        (Any, "Annotate it as list"),
        (Item, "wrap it in unmapped"),
    ],
)
def test_what_is_no_list_cannot_be_mapped(kind: Any, way_out: str) -> None:
    def body(numbers):  # type: ignore[no-untyped-def]
        return double.map(numbers)

    body.__annotations__["numbers"] = kind
    error = refusal(body)
    assert error.detail_code == "map-not-a-list"
    assert way_out in str(error)


# --------------------------------------------------------------------------------------- constants


@pytest.mark.parametrize("numbers", [[1, 2, 3], (1, 2, 3), range(1, 4), {3, 1, 2}, frozenset({1, 2, 3}), ["1", 2, "3"]])
def test_constant_lists_are_validated_at_compile(numbers: Any) -> None:
    def body(unused: int = 1):  # type: ignore[no-untyped-def]
        return double.map(numbers)

    (binding,) = compiled(body).nodes[0].bindings
    assert binding.source == Constant([1, 2, 3])
    assert binding.coerce is None


def test_constant_lists_may_hold_references() -> None:
    def body(number: int):  # type: ignore[no-untyped-def]
        return double.map([number, double(number), 3])

    binding = compiled(body).nodes[-1].bindings[0]
    assert isinstance(binding.source, Collected)
    assert len(binding.source.items) == 3


def test_a_constant_item_that_does_not_fit_is_named() -> None:
    def body(unused: int = 1):  # type: ignore[no-untyped-def]
        return double.map([1, "two", 3])

    error = refusal(body)
    assert error.detail_code == "bad-constant"
    assert "item 1 of double(number=…), 'two', does not fit int" in str(error)


def test_constant_lists_of_different_lengths_are_refused() -> None:
    def body(numbers: list[int], pair: tuple[int, int]):  # type: ignore[no-untyped-def]
        return add.map([1, 2, 3], pair)

    error = refusal(body)
    assert error.detail_code == "map-lengths"
    assert "left: 3, right: 2" in str(error)


def test_lists_of_lengths_that_only_a_run_knows_are_not() -> None:
    def body(numbers: list[int]):  # type: ignore[no-untyped-def]
        return add.map(numbers, [1, 2])

    assert compiled(body).nodes[0].fan == Fan("map", ("left", "right"))


# -------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda numbers: add.map(unmapped(1), unmapped(2)), "map-without-list"),
        (lambda numbers: add.product(unmapped(numbers[0])), "map-without-list"),
        (lambda numbers: add.map(numbers, 3), "map-not-a-list"),
        (lambda numbers: add.map(numbers, {"a": 1}), "map-not-a-list"),
        (lambda numbers: add.map(numbers, (n for n in [1])), "map-not-a-list"),
        (lambda numbers: count.map("text"), "map-not-a-list"),
        (lambda numbers: double(unmapped(3)), "unmapped-outside-map"),
        (lambda numbers: total([1, unmapped(3)]), "unserialisable-constant"),
        (lambda numbers: double.map(numbers, max_concurrency=0), "bad-max-concurrency"),
        (lambda numbers: double.map(numbers, max_concurrency=True), "bad-max-concurrency"),
        (lambda numbers: double.map(numbers, max_concurrency=numbers[0]), "bad-max-concurrency"),
        (lambda numbers: double.map(numbers, numbers), "wrong-arguments"),
        (lambda numbers: double.map(numbers, id="a/b"), "bad-id"),
        (lambda numbers: split.map(double.map(numbers)), "type-mismatch"),
        (lambda numbers: double(double.map(numbers)), "type-mismatch"),
    ],
)
def test_maps_that_mean_nothing_are_explained(call: Callable[[Any], Any], code: str) -> None:
    def body(numbers: list[int]):  # type: ignore[no-untyped-def]
        return call(numbers)

    assert refusal(body).detail_code == code


# ------------------------------------------------------------------------------ maps of pipelines


@pipeline
def measure(item: Item, extra: int = 1):  # type: ignore[no-untyped-def]
    sizes = double.map(item.sizes)
    return {"name": name_of(item), "total": total(sizes), "more": add(extra)}


@pipeline
def inner(numbers: list[int]):  # type: ignore[no-untyped-def]
    return double.map(numbers)


@pipeline
def two(number: int):  # type: ignore[no-untyped-def]
    return double(number), judge(number)


@pipeline
def nothing(number: int) -> None:
    double(number)


def test_a_mapped_pipeline_carries_its_own_snapshot() -> None:
    def body(items: list[Item]):  # type: ignore[no-untyped-def]
        found = measure.map(items, extra=unmapped(3), max_concurrency=2, id="measured")
        return {"names": found["name"], "sum": total(found["total"])}

    snapshot = compiled(body)
    node = snapshot.nodes[0]
    assert (node.id, node.fan) == ("measured", Fan("map", ("item",), 2))
    assert node.body is not None
    assert [inside.id for inside in node.body.nodes] == ["double", "name_of", "add", "total"]
    assert [output.name for output in node.step.outputs] == ["name", "total", "more"]
    assert snapshot.results[0].annotation == list[str]
    assert node.body.fingerprint == measure.compile().fingerprint


def test_nested_maps() -> None:
    def body(rows: list[list[int]]):  # type: ignore[no-untyped-def]
        doubled = inner.map(rows)
        return {"doubled": doubled, "again": inner.map(doubled), "sums": total.map(doubled)}

    snapshot = compiled(body)
    assert snapshot.results[0].annotation == list[list[int]]
    assert snapshot.nodes[0].body is not None
    assert snapshot.nodes[0].body.nodes[0].fan == Fan("map", ("number",))


def test_what_a_mapped_pipeline_returns_has_its_own_form() -> None:
    def body(numbers: list[int]):  # type: ignore[no-untyped-def]
        doubled, marks = two.map(numbers)
        assert nothing.map(numbers) is None
        return doubled, marks

    snapshot = compiled(body)
    assert [result.annotation for result in snapshot.results] == [list[int], list[Mark]]
    assert snapshot.nodes[-1].step.outputs == ()


@pipeline
def judged(number: int):  # type: ignore[no-untyped-def]
    found = {"number": number}
    if number > 10:
        found["mark"] = judge(number)
    return found


def test_what_a_mapped_pipeline_leaves_out_on_some_paths_may_be_none() -> None:
    def body(numbers: list[int]):  # type: ignore[no-untyped-def]
        return judged.map(numbers)

    snapshot = compiled(body)
    assert [result.annotation for result in snapshot.results] == [list[int], list[Mark | None]]
    assert not any(result.optional for result in snapshot.results)
    assert snapshot.nodes[0].body is not None
    assert len(snapshot.nodes[0].body.branches) == 1


def test_a_list_that_may_be_none_is_mapped_where_it_is_not() -> None:
    def body(numbers: list[int] | None = None):  # type: ignore[no-untyped-def]
        if numbers is not None:
            return {"doubled": double.map(numbers)}
        return {"none": double(0)}

    snapshot = compiled(body)
    assert sorted(node.fan.kind for node in snapshot.nodes if node.fan) == ["map"]
    assert [result.optional for result in snapshot.results] == [True, True]


def test_what_is_mapped_may_differ_with_the_path() -> None:
    def body(numbers: list[int], others: list[str], swap: bool):  # type: ignore[no-untyped-def]
        chosen = others if swap else numbers
        return double.map(chosen), double.map([1, 2] if swap else numbers)

    first, second = compiled(body).nodes
    assert first.bindings[0].coerce is not None
    assert isinstance(second.bindings[0].source, Choice)
    assert second.bindings[0].source.options[0][1] == Constant([1, 2])
    assert second.bindings[0].coerce is None


def test_a_map_in_a_branch_is_on_its_path_only() -> None:
    def body(numbers: list[int], many: bool):  # type: ignore[no-untyped-def]
        if many:
            return total(double.map(numbers))
        return total(double.product(numbers))

    kinds = [node.fan.kind for node in compiled(body).nodes if node.fan]
    assert sorted(kinds) == ["map", "product"]


def test_items_are_checked_against_the_pipelines_parameters() -> None:
    def body(names: list[str]):  # type: ignore[no-untyped-def]
        return measure.map(names)["name"]

    assert refusal(body).detail_code == "type-mismatch"


def test_a_pipeline_cannot_be_mapped_in_itself() -> None:
    def recursive(numbers: list[int]):  # type: ignore[no-untyped-def]
        return pipe.map([numbers])

    pipe = PipelineDefinition(recursive)
    with pytest.raises(CompileError, match="mapped in itself") as caught:
        pipe.compile()
    assert caught.value.detail_code == "recursive-pipeline"


def test_nor_through_another() -> None:
    def there(numbers: list[int]):  # type: ignore[no-untyped-def]
        return back.map([numbers])

    def again(numbers: list[int]):  # type: ignore[no-untyped-def]
        return forth.map([numbers])

    forth, back = PipelineDefinition(there), PipelineDefinition(again)
    with pytest.raises(CompileError) as caught:
        forth.compile()
    assert caught.value.detail_code == "recursive-pipeline"


def make_state() -> int:
    return 1


def make_another() -> int:
    return 2


def test_a_mapped_pipeline_shares_the_outer_state() -> None:
    stateful = PipelineDefinition(two.function, name="stateful", on_init=make_state)

    def holder(numbers: list[int]):  # type: ignore[no-untyped-def]
        return stateful(numbers[0])

    held = PipelineDefinition(holder)

    def body(numbers: list[int], rows: list[list[int]]):  # type: ignore[no-untyped-def]
        return {"marks": stateful.map(numbers)[1], "held": held.map(rows)[0], "again": held.map(rows)[1]}

    snapshot = compiled(body, on_init=make_state)
    assert [node.id for node in snapshot.nodes] == ["stateful", "holder", "holder_2"]
    assert snapshot.nodes[1].body is snapshot.nodes[2].body
    assert refusal(body).detail_code == "inlined-on-init"
    assert refusal(body, on_init=make_another).detail_code == "inlined-on-init"


def test_what_is_mapped_and_how_is_in_the_fingerprint() -> None:
    def with_limit(limit: int | None, mapped: Any = double, kind: str = "map") -> str:
        def body(numbers: list[int]):  # type: ignore[no-untyped-def]
            return getattr(mapped, kind)(numbers, max_concurrency=limit)

        return compiled(body).fingerprint

    def inside(number: int):  # type: ignore[no-untyped-def]
        return double(number)

    mapped = PipelineDefinition(inside, name="double")
    found = [with_limit(None), with_limit(2), with_limit(None, kind="product"), with_limit(None, mapped)]
    assert len({*found, with_limit(None)}) == 4


# ------------------------------------------------------------------------------- outside a body


def test_outside_a_body_the_function_is_called_for_each_item() -> None:
    assert double.map([1, 2, 3]) == [2, 4, 6]
    assert double.map(n for n in (1, 2)) == [2, 4]
    assert add.map([1, 2], right=[3, 4]) == [4, 6]
    assert add.product([1, 2], [10, 20]) == [11, 21, 12, 22]
    assert add.map([1, 2], unmapped(5), max_concurrency=1) == [6, 7]
    assert split.map(["ab", "c"]) == (["a", "c"], [2, 1])
    assert split.map([]) == ([], [])
    assert double.map([]) == []


async def test_of_an_async_one_the_list_is_awaited() -> None:
    assert await slowly.map([1, 2]) == [3, 6]
    assert await slowly.map([]) == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: add.map([1], [2, 3]), "left: 1, right: 2"),
        (lambda: double.map(3), "is no list of items"),
        (lambda: double.map({"a": 1}), "is no list of items"),
        (lambda: count.map("text"), "is no list of items"),
        (lambda: add.map(unmapped(3)), "is given no list"),
        (lambda: double.map([1], max_concurrency=0), "whole number of at least 1"),
        (lambda: double.map([1], max_concurrency="2"), "whole number of at least 1"),
    ],
)
def test_outside_a_body_wrong_maps_are_explained_too(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        call()


def test_outside_a_body_a_pipeline_runs_for_each_item() -> None:
    assert two.map([1, -1]) == ([2, -2], [Mark.GOOD, Mark.BAD])
    assert two.product([]) == ([], [])
    assert nothing.map([1, 2]) is None
    assert twice.map([1, 2], extra=unmapped(1)) == {"number": [2, 4], "more": [11, 11]}
    with pytest.raises(ConfigurationError):
        two.map([1], max_concurrency=0)
    with pytest.raises(DefinitionError):
        PipelineDefinition(two.function).map([1])


@pipeline
def twice(number: int, extra: int):  # type: ignore[no-untyped-def]
    return {"number": double(number), "more": add(extra)}


async def test_but_not_on_a_running_loop() -> None:
    with pytest.raises(HomeLoopError):
        two.map([1])


# ------------------------------------------------------------------------------------- over HTTP


@pipeline
def rows(numbers: list[int], table: list[list[int]], factor: int = 10):  # type: ignore[no-untyped-def]
    heads, sizes = split.map(["ab", "c"])
    sums = total.map(inner.map(table))
    return {
        "doubled": double.map(numbers, max_concurrency=2),
        "added": add.map(numbers, unmapped(factor)),
        "grid": add.product(numbers, [1, 2]),
        "heads": heads,
        "sizes": total(sizes),
        "sums": sums,
        "slow": slowly.map(numbers),
        "judged": judged.map(numbers)["mark"],
    }


async def test_over_http() -> None:
    app = PipelineApp(rows)
    async with app.lifespan(None):
        full = await post(app, "/invoke", {"parameters": {"numbers": [1, 20], "table": [[1, 2], []]}})
        empty = await post(app, "/invoke", {"parameters": {"numbers": [], "table": []}})
        wrong = await post(app, "/invoke", {"parameters": {"numbers": ["x"], "table": []}})
        info = (await get(app, "/info")).json()
    assert full.json()["outputs"] == {
        "doubled": [2, 40],
        "added": [11, 30],
        "grid": [2, 3, 21, 22],
        "heads": ["a", "c"],
        "sizes": 3,
        "sums": [6, 0],
        "slow": [3, 60],
        "judged": [None, "good"],
    }
    assert empty.json()["outputs"]["sums"] == []
    assert empty.json()["outputs"]["grid"] == []
    assert wrong.status == 422
    assert info["output_schema"]["properties"]["judged"]["items"]["anyOf"][1] == {"type": "null"}


async def test_the_failing_item_is_named_over_http() -> None:
    @step
    def invert(number: int) -> float:
        return 1 / number

    @pipeline
    def inverse(numbers: list[int], others: list[int]):  # type: ignore[no-untyped-def]
        return invert.map(numbers), add.map(numbers, others)

    app = PipelineApp(inverse)
    async with app.lifespan(None):
        item = await post(app, "/invoke", {"parameters": {"numbers": [1, 0], "others": [1, 2]}})
        lengths = await post(app, "/invoke", {"parameters": {"numbers": [1], "others": [1, 2]}})
    assert (item.status, item.json()["step"]) == (500, "invert[1]")
    assert "left: 1, right: 2" in lengths.json()["detail"]
