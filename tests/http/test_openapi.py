from __future__ import annotations

import json
import math
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter, ValidationError
from tests.support.fakes import FakePipeline, fake, schema_of

from pipemount.http.arranging import arranged
from pipemount.http.components import PREFIX, component_schemas, references
from pipemount.http.examples import example_of
from pipemount.http.models import request_model, response_model
from pipemount.http.openapi import build_openapi
from pipemount.http.operations import OPERATIONS, REASONS
from pipemount.http.routes import build_routes
from pipemount.http.wire import WireJsonSchema
from pipemount.settings import Settings
from pipemount.types import JsonObject


class Item(BaseModel):
    name: str
    parts: list[Item]


class Kept(BaseModel):
    name: str
    note: str | None = None
    secret: Annotated[str, Field(exclude=True)] = ""


class Measured(BaseModel):
    value: float
    next: Measured | None = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Overrides(BaseModel):
    model_config = ConfigDict(extra="forbid")

    look: dict[str, float] | None = None


def weather(**attributes: Any) -> FakePipeline:
    return fake(
        {"city": (str, "Oslo"), "temperature": (float, 3.0), "item": (Item | None, None)},
        {"weather_analysis": (str, ...), "chance": (float, ...), "item": (Item, ...)},
        **attributes,
    )


def document(*pipelines: FakePipeline, schemes: tuple[str, ...] = (), base: str = "", **settings: Any) -> JsonObject:
    served = {pipeline.name: pipeline for pipeline in pipelines or (weather(),)}
    routes = build_routes(tuple(served), settings.get("open_routes", ()))
    return build_openapi(served, routes, settings=Settings(**settings), schemes=schemes, base=base)


def validator(document: JsonObject, name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        {"$ref": PREFIX + name, "components": document["components"]},
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )


# ----------------------------------------------------------------------------------------- document


@pytest.mark.parametrize(
    "pipelines",
    [
        (weather(),),
        (weather(), weather(name="churn", overrides=schema_of(Overrides))),
        (fake({"pet": (Pet, ...)}, {"pets": (list[Pet], ...)}, name="pets", doc=""),),
    ],
)
@pytest.mark.parametrize("schemes", [(), ("basic", "bearer", "api-key"), ("bearer",)])
@pytest.mark.no_cover
def test_document_is_openapi_3_1(pipelines: tuple[FakePipeline, ...], schemes: tuple[str, ...]) -> None:
    built = document(*pipelines, schemes=schemes, base="/a/b c")
    OpenAPIV31SpecValidator(built).validate()
    assert built["openapi"] == "3.1.0"
    for schema in built["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    names = set(built["components"]["schemas"])
    assert {reference.removeprefix(PREFIX) for reference in references(built)} <= names
    assert json.loads(json.dumps(built)) == built


def test_models_are_named_after_their_pipeline() -> None:
    schemas = document()["components"]["schemas"]
    assert {"weather_Request", "weather_Response", "weather_Inputs", "weather_Outputs", "weather_Item"} <= set(schemas)
    assert "Item" not in schemas
    assert "weather_Item_Output" not in schemas
    assert schemas["weather_Item"]["properties"]["parts"]["items"] == {"$ref": PREFIX + "weather_Item"}
    assert all(name.startswith(("weather_", "pipemount_")) for name in schemas)


def test_a_model_that_looks_different_going_out_is_there_twice() -> None:
    schemas = document(fake({"m": (Measured, ...)}, {"m": (Measured, ...)}))["components"]["schemas"]
    assert len(schemas["weather_Measured"]["properties"]["value"]["anyOf"]) == 4
    assert schemas["weather_Measured_Output"]["properties"]["value"]["anyOf"] == [{"type": "number"}, {"type": "null"}]
    assert schemas["weather_Measured_Output"]["properties"]["next"]["anyOf"][0] == {
        "$ref": PREFIX + "weather_Measured_Output"
    }


def test_what_has_a_default_is_always_there_going_out() -> None:
    schemas = document(fake({"k": (Kept, ...)}, {"k": (Kept, ...)}))["components"]["schemas"]
    assert schemas["weather_Kept"]["required"] == ["name"]
    assert schemas["weather_Kept_Output"]["required"] == ["name", "note"]
    assert "secret" not in schemas["weather_Kept_Output"]["properties"]


def test_discriminators_follow_the_new_names() -> None:
    schemas = document(fake({"pet": (Pet, ...)}, {}, name="pets"))["components"]["schemas"]
    mapping = schemas["pets_Inputs"]["properties"]["pet"]["discriminator"]["mapping"]
    assert mapping == {"cat": PREFIX + "pets_Cat", "dog": PREFIX + "pets_Dog"}


def test_same_names_of_two_pipelines_are_told_apart() -> None:
    b_item = type("b_Item", (BaseModel,), {"__annotations__": {"x": int}})
    b_request = type("b_Request", (BaseModel,), {"__annotations__": {"x": int}})
    a_request = type("a_Request", (BaseModel,), {"__annotations__": {"x": int}})
    first = fake({"item": (b_item, ...), "r": (b_request, ...), "s": (a_request, ...)}, {}, name="a")
    second = fake({"item": (Item, ...)}, {}, name="a_b")
    schemas = component_schemas({"a": first, "a_b": second}, Settings())
    assert set(schemas["a_b_Item"]["properties"]) == {"x"}
    assert set(schemas["a_b_Item_2"]["properties"]) == {"name", "parts"}
    assert set(schemas["a_b_Request"]["properties"]) == set(schemas["a_Request"]["properties"])
    assert set(schemas["a_b_Request_2"]["properties"]) == {"x"}
    assert schemas["a_b_Inputs"]["properties"]["item"] == {"$ref": PREFIX + "a_b_Item_2"}


def test_operation_ids_are_unique() -> None:
    built = document(weather(), weather(name="churn"))
    ids = [operation["operationId"] for item in built["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids)) == 17 + 2 * 5


def test_aliases_are_not_listed() -> None:
    assert set(document()["paths"]) == {
        "/", "/health", "/health/live", "/health/ready", "/openapi.json", "/docs", "/pipelines", "/tokens",
        "/status", "/metrics", "/jobs", "/jobs/{job_id}", "/jobs/{job_id}/cancel", "/jobs/{job_id}/events",
        "/jobs/{job_id}/resume",
        "/jobs/{job_id}/retry",
        "/invoke", "/submit", "/batch", "/info", "/schema",
    }  # fmt: skip
    assert "/pipelines/churn/invoke" in document(weather(), weather(name="churn"))["paths"]


ANY = {"400", "401", "403", "405", "406", "421", "500", "503"}
SEND = {*ANY, "408", "411", "413", "415", "422"}


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("post", "/invoke", {*SEND, "200", "202", "409", "429", "502", "504", "default"}),
        ("post", "/submit", {*SEND, "202", "429"}),
        ("post", "/batch", {*SEND, "200", "409", "429", "504"}),
        ("post", "/tokens", {*SEND, "201", "404"}),
        ("get", "/jobs", {*ANY, "200", "422"}),
        ("get", "/jobs/{job_id}", {*ANY, "200", "404"}),
        ("delete", "/jobs/{job_id}", {*ANY, "204", "404", "409"}),
        ("post", "/jobs/{job_id}/cancel", {*ANY, "200", "404", "409"}),
        ("post", "/jobs/{job_id}/resume", {*ANY, "200", "404", "408", "409", "411", "413", "415", "422"}),
        ("post", "/jobs/{job_id}/retry", {*ANY, "202", "404", "409", "422", "429"}),
        ("get", "/jobs/{job_id}/events", {*ANY, "200", "204", "404", "410", "422", "429"}),
        ("get", "/", {*ANY, "200", "307"}),
        ("get", "/status", {*ANY, "200"}),
        ("get", "/metrics", {*ANY, "200"}),
    ],
)
def test_every_status_that_an_operation_can_answer_is_told(method: str, path: str, expected: set[str]) -> None:
    responses = document(schemes=("bearer",))["paths"][path][method]["responses"]
    assert set(responses) == expected
    for status, response in responses.items():
        assert "X-Request-ID" in response["headers"]
        if status == "default" or status >= "400":
            assert list(response["content"]) == ["application/problem+json"]
    assert "WWW-Authenticate" in responses["401"]["headers"]
    assert "Allow" in responses["405"]["headers"]
    assert all("Retry-After" in responses[status]["headers"] for status in ("429", "503") if status in responses)


def test_every_endpoint_is_in_the_table_and_no_other() -> None:
    routes = [route for route in build_routes(("weather",)) if route.documented]
    assert {route.endpoint for route in routes} == set(OPERATIONS)
    assert {status for known in OPERATIONS.values() for status in known.problems} == set(REASONS)


def test_what_a_request_may_carry_is_told() -> None:
    paths = document()["paths"]
    told = {
        (path, method): [parameter["name"] for parameter in operation["parameters"]]
        for path, item in paths.items()
        for method, operation in item.items()
        if "parameters" in operation
    }
    assert told == {
        ("/invoke", "post"): ["mode", "Idempotency-Key"],
        ("/submit", "post"): ["Idempotency-Key"],
        ("/batch", "post"): ["timeout", "Idempotency-Key"],
        ("/jobs", "get"): ["status", "pipeline", "limit", "cursor"],
        ("/jobs/{job_id}", "get"): ["job_id"],
        ("/jobs/{job_id}", "delete"): ["job_id"],
        ("/jobs/{job_id}/cancel", "post"): ["job_id"],
        ("/jobs/{job_id}/resume", "post"): ["job_id"],
        ("/jobs/{job_id}/retry", "post"): ["job_id", "Idempotency-Key"],
        ("/jobs/{job_id}/events", "get"): ["job_id", "after", "Last-Event-ID"],
    }
    assert "timeout" in document()["components"]["schemas"]["weather_Request"]["properties"]


def test_what_runs_answer() -> None:
    paths = document()["paths"]
    done = paths["/invoke"]["post"]["responses"]["200"]["content"]
    assert done == {
        "application/json": {"schema": {"$ref": PREFIX + "weather_Response"}},
        "text/event-stream": {"schema": {}},
    }
    batch = paths["/batch"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert batch == {"$ref": PREFIX + "weather_Results"}
    for accepted in (paths["/invoke"]["post"]["responses"]["202"], paths["/submit"]["post"]["responses"]["202"]):
        assert {"Location", "X-Run-ID"} <= accepted["headers"].keys()
        assert accepted["links"].keys() == {"job", "events", "cancel", "delete"}


def test_links_lead_only_to_what_is_there() -> None:
    pipelines = {"weather": weather()}
    routes = arranged(build_routes(("weather",)), {}, ("/jobs",))
    built = build_openapi(pipelines, routes, settings=Settings(), schemes=(), base="")
    assert "links" not in built["paths"]["/submit"]["post"]["responses"]["202"]


def test_a_token_stands_for_a_key_where_the_path_names_a_job() -> None:
    built = document(schemes=("bearer",), open_routes=("/jobs/{job_id}",))
    jobs = "/jobs/{job_id}"
    either: Any = [{"bearer": []}, {"token": []}]
    assert built["paths"][jobs + "/events"]["get"]["security"] == either
    assert built["paths"][jobs + "/cancel"]["post"]["security"] == either
    assert built["paths"][jobs]["get"]["security"] == []
    assert "security" not in document(schemes=("bearer",))["paths"][jobs]["delete"]
    assert built["components"]["securitySchemes"]["token"]["in"] == "query"
    assert "401" in document()["paths"][jobs]["get"]["responses"]  # a token is looked at without keys as well


def test_without_keys_nothing_is_said_of_them() -> None:
    built = document()
    assert "securitySchemes" not in built["components"]
    assert "security" not in built
    assert not any("security" in operation for item in built["paths"].values() for operation in item.values())
    assert "401" not in built["paths"]["/invoke"]["post"]["responses"]
    assert "403" in built["paths"]["/invoke"]["post"]["responses"]  # for a page of another origin


def test_keys_are_alternatives_and_open_routes_need_none() -> None:
    built = document(schemes=("basic", "bearer", "api-key"), open_routes=("/health/live",))
    assert built["security"] == [{"basic": []}, {"bearer": []}, {"apiKey": []}]
    assert built["components"]["securitySchemes"]["apiKey"]["name"] == "X-API-Key"
    assert built["paths"]["/health/live"]["get"]["security"] == []
    assert "401" not in built["paths"]["/health/live"]["get"]["responses"]
    assert "security" not in built["paths"]["/health"]["get"]


def test_server_is_the_encoded_base() -> None:
    assert document()["servers"] == [{"url": "/"}]
    assert document(base="/a/b c/{ü}")["servers"] == [{"url": "/a/b%20c/%7B%C3%BC%7D"}]


def test_title_and_description() -> None:
    assert document()["info"] == {"title": "weather", "version": "0.1.0", "description": "Tells the weather."}
    two = document(weather(doc=""), weather(name="churn"), title="Ours", version="7")
    assert two["info"] == {"title": "Ours", "version": "7"}
    assert two["tags"] == [{"name": "weather"}, {"name": "churn", "description": "Tells the weather."}]


# ------------------------------------------------------------------------------------------- bodies


def accepts(pipeline: FakePipeline, body: JsonObject) -> bool:
    request = request_model(pipeline.name, pipeline, max_timeout=60)
    try:
        request.adapter.validate_json(json.dumps(body))
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("extra", "fits"),
    [
        ({}, True),
        ({"run_name": "nightly {date} {time} {run_id}"}, True),
        ({"run_name": None, "timeout": None, "steps": None, "capture_override": None}, True),
        ({"run_name": ""}, False),
        ({"run_name": "x" * 201}, False),
        ({"run_name": "{user}"}, False),
        ({"run_name": "{"}, False),
        ({"timeout": 60}, True),
        ({"timeout": 60.5}, False),
        ({"timeout": 0.05}, True),
        ({"timeout": 0.04}, False),
        ({"timeout": 0}, False),
        ({"timeout": "5"}, False),
        ({"timeout": True}, False),
        ({"capture_override": {"mode": "metadata"}}, True),
        ({"capture_override": {"mode": "all"}}, False),
        ({"capture_override": {"mode": "full", "rate": 1}}, False),
        ({"skip_artifact_materialization": True}, True),
        ({"skip_artifact_materialization": "yes"}, False),
        ({"steps": {}}, True),
        ({"steps": {"look": {}}}, False),
        ({"further": 1}, False),
    ],
)
def test_request_is_accepted_just_as_documented(extra: JsonObject, fits: bool) -> None:
    body = {"parameters": {"city": "Rome"}, **extra}
    built = document(request_timeout=60)
    assert accepts(weather(), body) is fits
    assert validator(built, "weather_Request").is_valid(body) is fits


def test_a_request_holds_what_was_sent_and_no_more() -> None:
    pipeline = weather(overrides=schema_of(Overrides))
    schema = request_model("weather", pipeline)
    request = schema.adapter.validate_json(b'{"parameters": {"city": "Rome"}, "steps": {"look": {"x": 1}}}')
    assert schema.annotation.__name__ == "weather_Request"
    assert request.keys() == {"parameters", "steps"}
    assert request["parameters"].city == "Rome"
    assert request["steps"].look == {"x": 1.0}


def test_parameters_are_required() -> None:
    assert not accepts(weather(), {})
    assert not validator(document(), "weather_Request").is_valid({})


def test_response_is_documented_as_it_is_written() -> None:
    outputs = {"weather_analysis": "fine", "chance": None, "item": {"name": "a", "parts": []}}
    body = {
        "success": True,
        "outputs": outputs,
        "execution_time": 0.1,
        "metadata": {
            "deployment_id": "d", "deployment_name": "weather", "snapshot_id": "s", "snapshot_name": None,
            "pipeline_name": "weather", "run_id": "r", "run_index": 1, "run_name": "n", "parameters_used": {},
        },
        "error": None,
    }  # fmt: skip
    answered = validator(document(), "weather_Response")
    assert answered.is_valid(body)
    assert not answered.is_valid({**body, "success": False})
    assert not answered.is_valid({**body, "outputs": {**outputs, "weather_analysis": 1}})


def test_not_a_number_is_null_in_both_the_answer_and_its_schema() -> None:
    pipeline = fake({}, {"x": (float, ...), "p": (Annotated[float, Field(ge=0, le=1)], ...), "n": (int, ...)})
    written = json.loads(pipeline.output.dump_json({"x": math.nan, "p": 0.5, "n": 1}))
    schema = response_model("w", pipeline).adapter.json_schema(
        mode="serialization", schema_generator=WireJsonSchema
    )["$defs"]["Outputs"]  # fmt: skip
    jsonschema.validate(written, schema)
    assert written["x"] is None
    assert schema["properties"]["p"]["type"] == "number"
    assert schema["properties"]["n"]["type"] == "integer"


class Careful(RootModel[float]):
    model_config = ConfigDict(allow_inf_nan=False)


class Exact(RootModel[int]):
    model_config = ConfigDict(strict=True)


NUMBERS: list[Any] = [
    Careful, Exact,
    float, int, bool, Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0, le=100)],
    Annotated[int, Field(ge=1, le=5)], Annotated[int, Field(ge=10)], Annotated[float, Field(lt=0)],
    Annotated[int, Field(multiple_of=5)], Annotated[float, Field(allow_inf_nan=False)],
    Annotated[float, Field(strict=True)], Annotated[bool, Field(strict=True)], Annotated[float, Field(ge=1e200)],
    Annotated[float, Field(ge=0.5, lt=3)], Annotated[int, Field(gt=0)],
]  # fmt: skip
LOOSE: list[Any] = [
    *range(-2, 12), *map(str, range(-2, 12)), 0.5, "0.5", True, False, None, [], {}, "", "x", "true", "No", "NaN",
    "Infinity", "-inf", "INF", "1e100", "1.0", "+0.0", "13", "100", "101", "999999999999999999999999999999", ".4",
]  # fmt: skip


@pytest.mark.parametrize("annotation", NUMBERS, ids=str)
def test_lax_inputs_are_documented_as_they_are_taken(annotation: Any) -> None:
    adapter = TypeAdapter(annotation)
    documented = jsonschema.Draft202012Validator(adapter.json_schema(schema_generator=WireJsonSchema))
    exotic = (".4", "0.5", "100")

    def taken(value: Any) -> bool:
        try:
            adapter.validate_json(json.dumps(value))
        except ValidationError:
            return False
        return True

    promised = [value for value in LOOSE if documented.is_valid(value)]
    refused = [value for value in LOOSE if not documented.is_valid(value) and value not in exotic]
    assert all(map(taken, promised)), [value for value in promised if not taken(value)]
    assert not any(map(taken, refused)), [value for value in refused if taken(value)]


@pytest.mark.parametrize("annotation", [set[int], frozenset[int]])
def test_sets_take_an_item_twice_and_give_it_once(annotation: Any) -> None:
    adapter = TypeAdapter(annotation)
    assert "uniqueItems" not in adapter.json_schema(schema_generator=WireJsonSchema)
    assert adapter.json_schema(mode="serialization", schema_generator=WireJsonSchema)["uniqueItems"]


# ----------------------------------------------------------------------------------------- examples


class Color(Enum):
    RED = "red"


class Deep(BaseModel):
    name: Annotated[str, Field(min_length=6, max_length=6)]
    next: Deep


@pytest.mark.parametrize(
    "annotation",
    [
        str, int, float, bool, None, date, datetime, UUID, Color, Literal["a", "b"], list[int], dict[str, int],
        tuple[int, str], Item, Pet, int | None, Annotated[int, Field(gt=3, multiple_of=4)],
        Annotated[float, Field(gt=0, lt=1)], Annotated[float, Field(lt=0)], Annotated[int, Field(le=-3)],
        Annotated[str, Field(min_length=6)], Annotated[str, Field(max_length=2)],
        Annotated[list[int], Field(min_length=2)],
        Annotated[str, Field(pattern="^[a-z]+$")], Annotated[str, Field(examples=["Oslo"])],
        Annotated[int, Field(gt=0, lt=10)],
    ],
    ids=str,
)  # fmt: skip
def test_examples_fit(annotation: Any) -> None:
    adapter = TypeAdapter(annotation)
    schema = adapter.json_schema(schema_generator=WireJsonSchema)
    example = json.dumps(example_of(schema, schema.get("$defs", {})))
    assert adapter.dump_json(adapter.validate_json(example)), "the example is taken"


def test_request_example_shows_the_defaults_and_is_accepted() -> None:
    built = document()["components"]["schemas"]["weather_Request"]["examples"]
    assert built == [{"parameters": {"city": "Oslo", "temperature": 3.0, "item": None}}]
    assert accepts(weather(), built[0])


def test_no_example_rather_than_a_wrong_one() -> None:
    code = Annotated[str, Field(pattern="^[0-9]{4}$")]
    for hopeless in (fake({"code": (code, ...)}, {}), fake({"deep": (Deep, ...)}, {})):
        assert "examples" not in document(hopeless)["components"]["schemas"]["weather_Request"]
