"""Where a codec may be: inside every kind of type, in the constants of a body, in the documents that callers read."""

from __future__ import annotations

import json
import subprocess
import sys
import typing
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NewType, NotRequired, Required, TypeVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, with_config
from tests.support.asgi import get, post
from typing_extensions import TypeAliasType, TypedDict

from pipemount import PipelineApp, pipeline, step
from pipemount.errors import CompileError
from pipemount.pipelines.authoring import compile_function
from pipemount.pipelines.codecs import Codec, codec_for, coded

Floats = NDArray[np.float64]
Named = NewType("Named", Floats)
T = TypeVar("T")
Couple = TypeAliasType("Couple", tuple[T, list[T]], type_params=(T,))
Tree = TypeAliasType("Tree", "Floats | list[Tree]")


@dataclass
class Sample:
    """One measurement."""

    values: Floats
    label: str = "none"
    notes: list[str] = field(default_factory=list)
    count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.label == "wrong":
            raise ValueError("no such label")
        self.count = self.values.size


@dataclass
class Plain:
    label: str


@dataclass
class Bare:
    values: Floats


@dataclass
class Linked:
    values: Floats
    next: Linked | None = None


class Row(TypedDict):
    values: Floats
    note: NotRequired[str]


@with_config(ConfigDict(str_to_lower=True))
class Lower(TypedDict):
    values: Floats
    note: str


class Loose(TypedDict, total=False):
    values: Required[Floats]
    note: str


@dataclass
class Pair(Generic[T]):
    left: T
    right: list[T]


class Held(TypedDict, Generic[T]):
    item: T


class OldHeld(typing.TypedDict, Generic[T]):
    item: NotRequired[T]


class Old(typing.TypedDict):
    text: str


class Unknown(TypedDict):
    values: Missing  # type: ignore[name-defined]  # noqa: F821 (not to be found)


class Report(BaseModel):
    values: Annotated[Floats, codec_for(Floats)]


PLACES: list[tuple[Any, Any]] = [
    (list[Floats], [[1.0]]),
    (dict[str, Floats], {"a": [1.0]}),
    (Floats | None, [1.0]),
    (typing.Optional[Floats], [1.0]),  # noqa: UP045 (the old spelling)
    (list[tuple[int, Floats]], [[1, [1.0]]]),
    (tuple[Floats, ...], [[1.0]]),
    (Sequence[Floats], [[1.0]]),
    (Iterable[Floats], [[1.0]]),
    (Mapping[str, list[Floats]], {"a": [[1.0]]}),
    (Annotated[Floats, "name"], [1.0]),
    (Named, [1.0]),
    (list[Couple[Floats]], [[[1.0], [[2.0]]]]),
    (list[Couple], [[1, [2]]]),  # type: ignore[type-arg]  # without parameters, for once
    (Sample, {"values": [1.0], "label": "a", "notes": []}),
    (Row, {"values": [1.0]}),
    (Loose, {"values": [1.0], "note": "a"}),
    (list[Row | Sample], [{"values": [1.0], "label": "a", "notes": []}]),
    (Report, {"values": [1.0]}),
    (Old, {"text": "a"}),
]


@pytest.mark.parametrize(("annotation", "wire"), PLACES, ids=str)
def test_parts_of_a_type_are_read_and_written(annotation: Any, wire: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(coded(annotation))
    value = adapter.validate_json(json.dumps(wire))
    assert json.loads(adapter.dump_json(value, warnings="error")) == wire
    assert adapter.json_schema(mode="validation") and adapter.json_schema(mode="serialization")


SAME = [
    int,
    list[int],
    dict[str, Any],
    Literal["a"],
    Report,
    list[Literal["a"] | None],
    tuple[()],
    None,
    Any,
    Plain,
    Couple[int],
    Couple,
]


@pytest.mark.parametrize("annotation", SAME, ids=str)
def test_a_type_without_codecs_stays_the_very_same(annotation: Any) -> None:
    assert coded(annotation) is annotation


def test_a_record_keeps_its_configuration() -> None:
    assert TypeAdapter(coded(Lower)).validate_python({"values": [1], "note": "A"})["note"] == "a"


def test_a_codec_that_is_given_stays() -> None:
    own = Codec(str, np.array, str)
    annotation = Annotated[Floats, own]
    assert coded(annotation) is annotation
    assert coded(Unknown) is Unknown


def test_a_dataclass_is_made_as_its_author_makes_it() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(coded(Sample))
    sample = adapter.validate_python({"values": [1, 2]})
    assert (type(sample), sample.count, sample.label) == (Sample, 2, "none")
    assert adapter.validate_python(sample) is sample
    with pytest.raises(ValidationError, match="Input cannot be read as Sample: no such label"):
        adapter.validate_python({"values": [1], "label": "wrong"})
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python({"values": ["a"]})
    assert caught.value.errors()[0]["loc"] == ("values",)
    assert adapter.json_schema()["description"] == "One measurement."
    assert "description" not in TypeAdapter(coded(Bare)).json_schema()


@pytest.mark.parametrize("annotation", [Tree, Linked], ids=str)
def test_a_type_that_contains_itself_has_no_codecs_inside(annotation: Any) -> None:
    with pytest.raises(CompileError, match="or give the type a codec"):
        compile_function(taking(annotation))


def taking(annotation: Any) -> Any:
    def take(value: Any) -> int:
        return 1

    take.__annotations__ = {"value": annotation, "return": int}
    return take


# ----------------------------------------------------------------------------------------- pipelines


@step(thread=False)
def scaled(values: Floats, factor: float = 2.0) -> Floats:
    return values * factor


@step(thread=False)
def framed(values: Floats, weights: Floats) -> pd.DataFrame:
    return pd.DataFrame({"value": values, "weight": weights})


@pipeline
def weighted(values: Floats, first: Floats | None = None):  # type: ignore[no-untyped-def]  # outputs are the steps'
    """Scales and weighs."""
    return {"frame": framed(scaled(values), [0.5, 1]), "first": first}


@pytest.fixture
async def app() -> AsyncIterator[PipelineApp]:
    app = PipelineApp(weighted)
    async with app.lifespan(None):
        yield app


async def test_arrays_and_frames_over_http(app: PipelineApp) -> None:
    answer = await post(app, "/invoke", {"parameters": {"values": [1, 2]}})
    frame = {"value": [2.0, 4.0], "weight": [0.5, 1.0]}
    assert (answer.status, answer.json()["outputs"]) == (200, {"frame": frame, "first": None})


async def test_wrong_arrays_over_http_are_the_callers_fault(app: PipelineApp) -> None:
    answer = await post(app, "/invoke", {"parameters": {"values": [[1], [2, 3]]}})
    assert answer.status == 422
    assert answer.json()["errors"] == [
        {
            "loc": ["parameters", "values"],
            "msg": "Input cannot be read as ndarray: its rows are of unequal length or depth",
            "type": "not_decodable",
        }
    ]


async def test_the_document_shows_the_schema(app: PipelineApp) -> None:
    document = json.dumps((await get(app, "/openapi.json")).json())
    assert '"items": {"anyOf": [{"type": "number"}, {"type": "null"}, {"type": "array"}]}' in document


def test_a_constant_is_read_when_the_pipeline_is_compiled() -> None:
    node = next(node for node in weighted.compile().nodes if node.id == "framed")
    assert node.bindings[1].source.value.dtype == np.float64  # type: ignore[union-attr]  # a constant


def with_weights(weights: list[float]) -> str:
    @pipeline
    def weighing(values: Floats) -> Any:
        return framed(values, weights)

    return weighing.compile().fingerprint


def test_a_constant_counts_in_the_fingerprint() -> None:
    assert with_weights([0.5, 1]) == with_weights([0.5, 1])
    assert with_weights([0.5, 1]) != with_weights([0.5, 2])


def test_a_wrong_constant_is_refused_when_the_pipeline_is_compiled() -> None:
    with pytest.raises(CompileError, match="its items are of several types") as caught:
        with_weights([0.5, "a"])  # type: ignore[list-item]  # that is the fault
    assert caught.value.detail_code == "bad-constant"


def test_values_on_a_certain_edge_are_handed_on_untouched() -> None:
    edges = {(edge.source, edge.target): edge.verdict for edge in weighted.compile().edges}
    assert edges["scaled", "framed"] == "ok"
    assert weighted.compile().nodes[1].bindings[0].coerce is None


def test_a_default_is_an_array_of_its_own_in_each_run() -> None:
    def doubled(values: Floats = np.array([1.0])) -> Floats:  # noqa: B008 (what is tested)
        values *= 2
        return values

    snapshot = compile_function(doubled)
    first, second = (snapshot.input.validate({}) for _ in range(2))
    assert first.values is not second.values
    assert snapshot.input.json_schema()["properties"]["values"]["default"] == [1.0]


# ------------------------------------------------------------------------------------------- imports

opened: list[str] | None = None


def listen(event: str, arguments: tuple[Any, ...]) -> None:
    if opened is not None and event in ("open", "socket.__new__"):
        opened.append(str(arguments[0]))


def test_compiling_opens_no_file() -> None:
    global opened

    def described(frame: pd.DataFrame, image: Floats, rows: list[Sample]) -> dict[str, pd.Series]:
        return {}

    compile_function(described)  # the source of the function is read once, into the cache of linecache
    sys.addaudithook(listen)
    try:
        opened = []
        compile_function(described)
        assert opened == []
    finally:
        opened = None


def test_nothing_is_imported_that_no_annotation_names() -> None:
    script = (
        "import sys, pipemount.pipelines.codecs, pipemount.app\n"
        "from pipemount.pipelines.authoring import compile_function\n"
        "def same(value: int) -> int: return value\n"
        "compile_function(same)\n"
        "print({'numpy', 'pandas', 'PIL'} & sys.modules.keys())"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_records_with_type_parameters_have_the_codecs_of_what_is_put_in() -> None:
    pairs: TypeAdapter[Any] = TypeAdapter(coded(Pair[Floats]))
    pair = pairs.validate_python({"left": [1], "right": [[2, 3]]})
    assert (type(pair), pair.left.dtype, pair.right[0].tolist()) == (Pair, float, [2.0, 3.0])
    assert pairs.dump_python(pair, mode="json") == {"left": [1.0], "right": [[2.0, 3.0]]}
    helds: TypeAdapter[Any] = TypeAdapter(coded(Held[Floats]))
    assert helds.validate_python({"item": [1]})["item"].dtype == float
    assert coded(Pair[int]) == Pair[int]
    assert coded(Held[int]) == Held[int]


def test_a_typed_dict_of_typing_with_type_parameters_is_checked() -> None:
    held: TypeAdapter[Any] = TypeAdapter(coded(OldHeld[int]))
    assert held.validate_python({"item": "1"}) == {"item": 1}
    assert held.validate_python({}) == {}
    with pytest.raises(ValidationError, match="valid integer"):
        held.validate_python({"item": "x"})


def test_records_with_different_type_arguments_are_described_apart() -> None:
    schema = TypeAdapter(coded(tuple[Pair[Floats], Pair[pd.Series]])).json_schema()
    floats, series = (schema["$defs"][item["$ref"].rpartition("/")[2]] for item in schema["prefixItems"])
    assert floats["properties"]["left"]["items"] != series["properties"]["left"]["items"]
