"""Our part of a host's OpenAPI document that another library writes."""

from __future__ import annotations

import copy
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from pipemount import AuthKeys, PipelineApp, pipeline, step
from pipemount.types import JsonObject

HOST: JsonObject = {
    "openapi": "3.1.0",
    "info": {"title": "Desk", "version": "1"},
    "tags": [{"name": "tickets"}],
    "paths": {
        "/tickets": {
            "parameters": [{"name": "page", "in": "query", "schema": {"type": "integer"}}],
            "get": {"operationId": "weather_invoke", "responses": {"200": {"description": "All."}}},
        }
    },
    "components": {
        "schemas": {"Ticket": {"type": "object"}, "weather_Request": {"type": "string"}},
        "securitySchemes": {
            "cookieAuth": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        },
    },
    "security": [{"bearer": []}],
}
COOKIE: list[JsonObject] = [{"cookieAuth": []}]


@step
def look(city: str) -> str:
    return city


@pipeline
def weather(city: str) -> Any:
    """Tells the weather."""
    return look(city)


OPEN = PipelineApp(weather)
KEYED = PipelineApp(weather, auth=AuthKeys(["correct-horse-battery-staple"]))


def errors(document: JsonObject) -> list[str]:
    return [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]


def test_what_the_host_has_stays() -> None:
    before = copy.deepcopy(HOST)
    document = KEYED.merge_openapi(HOST, "/ai/", security=COOKIE)
    assert before == HOST
    assert errors(document) == []
    assert document["paths"]["/tickets"] == HOST["paths"]["/tickets"]
    assert (document["info"], document["security"]) == (HOST["info"], HOST["security"])
    for kind in ("schemas", "securitySchemes"):
        assert document["components"][kind].items() >= HOST["components"][kind].items()


def test_our_paths_are_below_the_prefix() -> None:
    document = OPEN.merge_openapi(HOST, "/ai")
    assert {"/ai/", "/ai/invoke", "/ai/docs", "/tickets"} <= document["paths"].keys()
    assert [tag["name"] for tag in document["tags"]] == ["tickets", "weather"]


def test_names_that_are_taken() -> None:
    document = KEYED.merge_openapi(HOST, "/ai")
    invoke = document["paths"]["/ai/invoke"]["post"]
    assert invoke["operationId"] == "pipemount_weather_invoke"
    schema = invoke["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/pipemount_weather_Request"}
    assert "properties" in document["components"]["schemas"]["pipemount_weather_Request"]
    assert {"pipemount_bearer": []} in invoke["security"]
    assert document["components"]["securitySchemes"]["pipemount_bearer"]["scheme"] == "bearer"


def test_merging_twice() -> None:
    document = OPEN.merge_openapi(OPEN.merge_openapi(HOST, "/ai"), "/more")
    assert errors(document) == []
    assert {"/ai/invoke", "/more/invoke"} <= document["paths"].keys()
    assert document["paths"]["/more/invoke"]["post"]["operationId"] == "pipemount_pipemount_weather_invoke"
    names = document["components"]["schemas"].keys()
    assert "pipemount_Problem" in names
    assert "pipemount_pipemount_Problem" not in names  # the same: told once
    assert [tag["name"] for tag in document["tags"]] == ["tickets", "weather"]


def test_who_is_asked_for_what() -> None:
    def security(app: PipelineApp, path: str, method: str, **options: Any) -> Any:
        return app.merge_openapi(HOST, "/ai", **options)["paths"][path][method]["security"]

    assert security(OPEN, "/ai/invoke", "post") == []
    assert security(OPEN, "/ai/invoke", "post", security=COOKIE) == COOKIE
    assert security(KEYED, "/ai/invoke", "post", security=COOKIE)[-1:] == COOKIE
    assert {"apiKey": []} in security(KEYED, "/ai/invoke", "post", security=COOKIE)
    assert security(KEYED, "/ai/health/live", "get", security=COOKIE) == []


def test_a_document_with_nothing_in_it() -> None:
    document = OPEN.merge_openapi({"openapi": "3.1.0", "info": {"title": "x", "version": "1"}}, "")
    assert errors(document) == []
    assert "/invoke" in document["paths"]
    sparse = {"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {}, "components": {"schemas": None}}
    assert "weather_Request" in OPEN.merge_openapi(sparse, "/ai")["components"]["schemas"]


def test_as_a_hook_of_drf_spectacular() -> None:
    """``POSTPROCESSING_HOOKS``: called with the document, the generator and the request."""

    def add_pipelines(result: JsonObject, generator: object, request: object, public: bool) -> JsonObject:
        return KEYED.merge_openapi(result, "/ai", security=COOKIE)

    assert "/ai/invoke" in add_pipelines(HOST, None, None, True)["paths"]


def test_as_a_schema_of_django_ninja() -> None:
    """``NinjaAPI.get_openapi_schema`` gives a dict of a class of its own."""

    class OpenAPISchema(dict[str, Any]):
        pass

    schema = OpenAPISchema(HOST)
    schema.update(KEYED.merge_openapi(schema, "/ai"))
    assert "/ai/invoke" in schema["paths"]
    assert errors(dict(schema)) == []
