"""Inputs, outputs and overrides as callers see them: names, types, defaults, schemas."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, Protocol

import pytest
from pydantic import BaseModel, Field, ValidationError
from pydantic.warnings import UnsupportedFieldAttributeWarning

from pipemount.errors import CompileError, InvalidInputsError, InvalidOutputsError
from pipemount.pipelines.authoring import PipelineDefinition, compile_function, step
from pipemount.pipelines.constants import adapter_for
from pipemount.pipelines.snapshot import Snapshot


class Weather(BaseModel):
    city: str
    temperature: float = Field(ge=-90)


class Color(Enum):
    RED = "red"


@step
def use(value: Any = None) -> Any:
    return value


@step
def tell(text: str, style: Literal["short", "long"] = "short", times: int = 1) -> str:
    return text


@step
def one(text: str) -> Annotated[str, "same"]:
    return text


@step
def two(text: str) -> Annotated[int, "same"]:
    return 2


def compiled(function: Any, **options: Any) -> Snapshot:
    return PipelineDefinition(function, **options).compile()


def inputs_of(snapshot: Snapshot, **values: Any) -> dict[str, Any]:
    return dict(vars(snapshot.input.validate(values)))


# -------------------------------------------------------------------------------------------- inputs


def test_inputs_are_a_model_that_forbids_the_rest() -> None:
    def weather(city: str, days: Annotated[int, Field(ge=1, description="How many.")] = 3, note: str | None = None):  # type: ignore[no-untyped-def]
        """The weather.

        Args:
            city: Where,
                in the world.
            days (int): Overruled by the field's own.
            note: What else: a remark.

        Returns:
            nothing: that is a parameter.
        """
        return use([city, days, note])

    schema = compiled(weather).input.json_schema()
    assert schema["title"] == "weather_Inputs"
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["city"]
    assert schema["properties"] == {
        "city": {"description": "Where, in the world.", "title": "City", "type": "string"},
        "days": {"default": 3, "description": "How many.", "minimum": 1, "title": "Days", "type": "integer"},
        "note": {
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "default": None,
            "description": "What else: a remark.",
            "title": "Note",
        },
    }
    assert inputs_of(compiled(weather), city="Oslo", days="2") == {"city": "Oslo", "days": 2, "note": None}
    with pytest.raises(InvalidInputsError) as caught:
        compiled(weather).input.validate({"city": "Oslo", "days": 0, "other": 1})
    assert [fault["loc"] for fault in caught.value.errors] == [["days"], ["other"]]


def test_defaults_shown_are_those_that_validation_uses() -> None:
    oslo: Any = {"city": "Oslo", "temperature": 1}
    red: Any = "red"

    def body(number: float = 3, color: Color = red, weather: Weather = oslo):  # type: ignore[no-untyped-def]
        return use([number, color, weather])

    snapshot = compiled(body)
    assert inputs_of(snapshot) == {"number": 3.0, "color": Color.RED, "weather": Weather(city="Oslo", temperature=1)}
    assert [parameter.default for parameter in snapshot.parameters] == list(inputs_of(snapshot).values())
    assert snapshot.input.json_schema()["properties"]["weather"]["default"] == {"city": "Oslo", "temperature": 1.0}


def test_fields_as_defaults_are_read_as_pydantic_reads_them() -> None:
    def body(count: int = Field(3, ge=1), name: str = Field(min_length=2)):  # type: ignore[no-untyped-def]
        return use([count, name])

    snapshot = compiled(body)
    assert [(p.name, p.required, p.default) for p in snapshot.parameters] == [("count", False, 3), ("name", True, None)]
    assert inputs_of(snapshot, name="ab") == {"count": 3, "name": "ab"}
    with pytest.raises(InvalidInputsError, match="count"):
        snapshot.input.validate({"count": 0, "name": "ab"})


@pytest.mark.parametrize(
    ("annotation", "default", "hint"), [(int, None, "| None"), (int, "x", "Correct"), (Literal["a"], "b", "Correct")]
)
def test_a_default_that_its_type_refuses(annotation: Any, default: Any, hint: str) -> None:
    def body(value=default):  # type: ignore[no-untyped-def]
        return use(value)

    body.__annotations__["value"] = annotation
    with pytest.raises(CompileError, match="the default") as caught:
        compiled(body)
    assert caught.value.detail_code == "bad-default"
    assert hint in caught.value.way_out
    assert caught.value.file == __file__


def test_numbers_that_are_not_finite_are_refused_as_inputs() -> None:
    def body(number: float, many: list[float] = []):  # type: ignore[no-untyped-def]  # noqa: B006 - copied per run
        return use([number, many])

    for values in ({"number": math.nan}, {"number": 1, "many": [math.inf]}):
        with pytest.raises(InvalidInputsError, match="finite"):
            compiled(body).input.validate(values)


def test_names_that_pydantic_reserves() -> None:
    def body(json: str, copy: int, model_config: str, model_x: int, _x: str, schema: str, input_x: str, id: int = 3):  # type: ignore[no-untyped-def]
        return use([json, copy, model_config, model_x, _x, schema, input_x, id])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        snapshot = compiled(body)
    sent = {"json": "a", "copy": 1, "model_config": "b", "model_x": 2, "_x": "c", "schema": "d", "input_x": "e"}
    found = inputs_of(snapshot, **sent)
    assert {p.name: found[p.attribute] for p in snapshot.parameters} == {**sent, "id": 3}
    assert list(snapshot.input.json_schema()["properties"]) == [*sent, "id"]
    assert snapshot.input.dump(snapshot.input.validate(sent)) == {**sent, "id": 3}
    with pytest.raises(InvalidInputsError) as caught:
        snapshot.input.validate({**sent, "json": 3, "input_json": "x"})
    assert [fault["loc"] for fault in caught.value.errors] == [["json"], ["input_json"]]


def test_an_alias_in_an_annotation_does_not_rename_the_input() -> None:
    def body(city: Annotated[str, Field(alias="Stadt")]):  # type: ignore[no-untyped-def]
        return use(city)

    with pytest.warns(UnsupportedFieldAttributeWarning, match="has no effect"):
        snapshot = compiled(body)
    assert inputs_of(snapshot, city="Oslo") == {"city": "Oslo"}


def test_parameters_without_annotation_take_anything() -> None:
    def body(value, other=None):  # type: ignore[no-untyped-def]
        return use([value, other])

    assert inputs_of(compiled(body), value={"a": 1}) == {"value": {"a": 1}, "other": None}


def test_models_defined_in_functions() -> None:
    class Local(BaseModel):
        size: int

    @step
    def grow(local: Local) -> Local:
        return local

    def body(local: Local, many: list[Local]) -> Local:
        grow(many[0])
        result: Local = grow(local)
        return result

    assert compiled(body).results[0].annotation is Local


def test_an_annotation_that_cannot_be_resolved() -> None:
    def body(value: Nowhere):  # type: ignore[name-defined,no-untyped-def]  # noqa: F821 - the very thing
        return use(value)

    with pytest.raises(CompileError, match="TYPE_CHECKING") as caught:
        compiled(body)
    assert caught.value.detail_code == "unresolved-annotation"


# ------------------------------------------------------------------------------------------- outputs


def test_outputs_keep_the_order_of_the_return_and_are_required() -> None:
    def weather(city: str):  # type: ignore[no-untyped-def]
        return {"zeta": one(city), "alpha": two(city), "json": tell(city)}

    snapshot = compiled(weather)
    schema = snapshot.output.json_schema()
    assert schema["title"] == "weather_Outputs"
    assert list(schema["properties"]) == schema["required"] == ["zeta", "alpha", "json"]
    assert snapshot.output.dump_json({"zeta": "a", "alpha": 2, "json": "b"}) == b'{"zeta":"a","alpha":2,"json":"b"}'
    assert snapshot.shape == "dict"
    with pytest.raises(InvalidOutputsError, match="alpha"):
        snapshot.output.dump_json({"zeta": "a", "alpha": "b", "json": "b"})


def names(function: Any) -> list[str]:
    return [result.name for result in compiled(function).results]


def test_output_names() -> None:
    def unnamed(text: str):  # type: ignore[no-untyped-def]
        return tell(text)

    def named(text: str) -> str:
        return one(text)  # type: ignore[no-any-return]

    def by_the_pipeline(text: str) -> Annotated[str, "chosen"]:
        return one(text)  # type: ignore[no-any-return]

    def both(text: str) -> tuple[Annotated[str, "chosen"], str]:
        return one(text), one(text)

    def alike(text: str):  # type: ignore[no-untyped-def]
        return one(text), two(text), tell(text)

    def alike_and_numbered(text: str):  # type: ignore[no-untyped-def]
        return one(text), one(text)

    def twice(text: str):  # type: ignore[no-untyped-def]
        result = one(text)
        return result, result

    def others(text: str):  # type: ignore[no-untyped-def]
        return text, 3, [one(text)]

    def keys(text: str):  # type: ignore[no-untyped-def]
        return {"same": one(text), "other": two(text)}

    assert [names(f) for f in (unnamed, named, by_the_pipeline, both)] == [
        ["output"],
        ["same"],
        ["chosen"],
        ["chosen", "same"],
    ]
    assert names(alike) == ["one.same", "two.same", "output"]
    assert names(alike_and_numbered) == ["one.same", "one_2.same"]
    assert names(twice) == ["one.same", "one.same_2"]
    assert names(others) == ["text", "output_1", "output_2"]
    assert names(keys) == ["same", "other"]


def test_an_output_name_given_twice_by_the_author() -> None:
    def body(text: str) -> tuple[Annotated[str, "a"], Annotated[int, "a"]]:
        return one(text), two(text)

    with pytest.raises(CompileError) as caught:
        compiled(body)
    assert caught.value.detail_code == "duplicate-output"


def test_a_step_that_names_two_outputs_alike() -> None:
    def twins() -> tuple[Annotated[str, "a"], Annotated[int, "a"]]:
        return "", 1

    with pytest.raises(CompileError) as caught:
        compile_function(twins)
    assert caught.value.detail_code == "duplicate-output"


def test_output_annotations_keep_their_constraints_without_the_name() -> None:
    def limited() -> Annotated[int, "small", Field(le=3)]:
        return 1

    def whole() -> Annotated[tuple[int, str], "pair"]:
        return 1, ""

    snapshot = compile_function(limited)
    assert snapshot.results[0].name == "small"
    with pytest.raises(InvalidOutputsError, match="less than or equal"):
        snapshot.output.dump({"small": 4})
    assert [(r.name, r.annotation) for r in compile_function(whole).results] == [("pair", tuple[int, str])]


def test_an_untyped_step_takes_the_pipelines_return_annotation() -> None:
    def body(text: str) -> Weather:
        return use(text)  # type: ignore[no-any-return]

    def several(text: str) -> tuple[Weather, int]:
        return use(text), two(text)

    assert compiled(body).results[0].annotation is Weather
    assert [r.annotation for r in compiled(several).results] == [Weather, int]


def test_constants_as_outputs_have_their_own_type() -> None:
    def body(text: str):  # type: ignore[no-untyped-def]
        use(text)
        return {"version": 3, "where": {"city": text}, "unit": "C"}

    properties = compiled(body).output.json_schema()["properties"]
    assert properties == {
        "version": {"title": "Version", "type": "integer"},
        "where": {"additionalProperties": {"type": "string"}, "title": "Where", "type": "object"},
        "unit": {"title": "Unit", "type": "string"},
    }


# ----------------------------------------------------------------------------------------- overrides


def test_overrides_are_what_the_body_left_to_defaults() -> None:
    def inner(text: str):  # type: ignore[no-untyped-def]
        return tell(text, times=2)

    sub = PipelineDefinition(inner, name="sub")

    def outer(text: str):  # type: ignore[no-untyped-def]
        return sub(text), tell(text), one(text)

    overrides = compiled(outer).overrides
    sent = {"sub/tell": {"parameters": {"style": "long"}}, "tell": {"parameters": {}}}
    assert overrides.validate(sent) == sent
    assert overrides.validate({"tell": {"parameters": {"times": "3"}}}) == {"tell": {"parameters": {"times": 3}}}
    assert overrides.validate({}) == {}
    for wrong, place in [
        ({"one": {"parameters": {}}}, ["one"]),
        ({"sub/tell": {"parameters": {"times": 3}}}, ["sub/tell", "parameters", "times"]),
        ({"tell": {"parameters": {"style": "x"}}}, ["tell", "parameters", "style"]),
        ({"tell": {}}, ["tell", "parameters"]),
        ({"tell": {"parameters": {}, "other": 1}}, ["tell", "other"]),
    ]:
        with pytest.raises(InvalidInputsError) as caught:
            overrides.validate(wrong)
        assert [fault["loc"] for fault in caught.value.errors] == [place]
    assert '"default":"short"' in str(overrides.json_schema()).replace("'", '"').replace(" ", "")


def test_parameters_without_a_schema_cannot_be_overridden() -> None:
    class Client: ...

    @step
    def ask(text: str, client: Client | None = None, tries: int = 1) -> str:
        return text

    def body(text: str):  # type: ignore[no-untyped-def]
        return ask(text)

    assert compiled(body).overrides.validate({"ask": {"parameters": {"tries": 2}}})
    with pytest.raises(InvalidInputsError):
        compiled(body).overrides.validate({"ask": {"parameters": {"client": None}}})


# ------------------------------------------------------------------------------------------- values


def test_values_that_cannot_be_serialised() -> None:
    def default(value: Any = object()):  # type: ignore[no-untyped-def]  # noqa: B008 - the very thing
        return use(value)

    @step
    def hidden(value: Any = object()) -> str:  # noqa: B008 - the very thing
        return ""

    def body():  # type: ignore[no-untyped-def]
        return hidden(), use(1)

    with pytest.raises(CompileError) as caught:
        compiled(default)
    assert caught.value.detail_code == "bad-default"
    snapshot = compiled(body)
    assert "default" not in str(snapshot.overrides.json_schema())
    for dump in (snapshot.output.dump, snapshot.output.dump_json):
        with pytest.raises(InvalidOutputsError, match="cannot be serialised"):
            dump({"hidden.output": "", "use.output": object()})


def test_types_without_a_schema_are_checked_with_isinstance() -> None:
    class Client: ...

    @dataclass
    class Holder:
        client: Client

    class Unaskable(Protocol):
        size: int

    holder = Holder(Client())
    assert adapter_for(Holder).validate_python(holder) is holder
    assert adapter_for(list[Client]).validate_python([holder.client]) == [holder.client]
    assert adapter_for(Unaskable).validate_python(3) == 3
    for annotation in (Holder, Client):
        with pytest.raises(ValidationError):
            adapter_for(annotation).validate_python(3)
