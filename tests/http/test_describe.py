from __future__ import annotations

import asyncio
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel
from tests.support.asgi import get
from tests.support.fakes import FakePipeline, fake, schema_of

from pipemount import PipelineApp
from pipemount.drawing.layout import drawn
from pipemount.http import describe, endpoints
from pipemount.http.components import PREFIX
from pipemount.http.openapi import build_openapi
from pipemount.http.routes import DOCS_ASSETS, build_routes
from pipemount.settings import Settings


class Steps(BaseModel):
    look: dict[str, float] = {}


def weather(**attributes: Any) -> FakePipeline:
    return fake({"city": (str, "Oslo")}, {"weather_analysis": (str, ...), "chance": (float, ...)}, **attributes)


def conforms(value: Any, name: str) -> bool:
    """Whether ``value`` is what the OpenAPI document says of the model called ``name``."""
    document = build_openapi(
        {"weather": weather()}, build_routes(("weather",)), settings=Settings(), schemes=(), base=""
    )
    schema = {"$ref": f"{PREFIX}pipemount_{name}", "components": document["components"]}
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def test_link_is_encoded_and_starts_at_the_mount() -> None:
    assert describe.link("", "/info") == "/info"
    assert describe.link("/a/b c", "/info") == "/a/b%20c/info"
    assert describe.link("/ü{x}", "") == "/%C3%BC%7Bx%7D"


def test_index_lists_the_documented_routes_once() -> None:
    index = describe.index(build_routes(("weather", "churn")), "/ai")
    paths = [route["path"] for route in index["routes"]]
    assert index["pipelines"] == ["weather", "churn"]
    assert "/pipelines/weather/invoke" in paths
    assert len(paths) == len(set(paths)) == 26
    assert not any(name in path for path in paths for name in DOCS_ASSETS)
    assert {"path": "/health", "methods": ["GET", "HEAD"], "url": "/ai/health"} in index["routes"]
    assert conforms(index, "Index")


def test_pipelines_tells_where_each_is() -> None:
    listed = describe.pipelines(
        {"weather": weather(), "churn": weather(name="churn")}, build_routes(("weather", "churn")), "/a b"
    )
    assert [pipeline["name"] for pipeline in listed["pipelines"]] == ["weather", "churn"]
    assert listed["pipelines"][1]["urls"]["invoke"] == "/a%20b/pipelines/churn/invoke"
    assert conforms(listed, "PipelineList")


@pytest.mark.parametrize("schemes", [(), ("basic", "bearer")])
def test_info_tells_everything(schemes: tuple[str, ...]) -> None:
    info = describe.info(
        "weather",
        weather(),
        routes=build_routes(("weather",)),
        settings=Settings(version="7"),
        schemes=schemes,
        base="/ai",
        jobs={"durable": True, "runner": "local"},
    )
    assert (info["name"], info["version"], info["fingerprint"]) == ("weather", "7", "f" * 64)
    assert info["auth"] == {"enabled": bool(schemes), "schemes": list(schemes)}
    assert info["input_schema"]["properties"]["city"]["default"] == "Oslo"
    assert info["output_schema"]["properties"]["chance"]["anyOf"] == [{"type": "number"}, {"type": "null"}]
    assert info["graph"]["nodes"] == [{"id": "look", "label": "look", "kind": "step"}]
    assert info["urls"]["docs"] == "/ai/docs"
    assert info["jobs"] == {"durable": True, "runner": "local"}
    assert conforms(info, "Info")


def test_schema_tells_what_goes_in_and_comes_out() -> None:
    schema = describe.schema(weather())
    assert schema["input"]["properties"]["city"]["type"] == "string"
    assert set(schema["output"]["properties"]) == {"weather_analysis", "chance"}
    assert schema["steps"] == {"type": "object", "maxProperties": 0}
    assert describe.schema(weather(overrides=schema_of(Steps)))["steps"]["properties"].keys() == {"look"}
    assert conforms(schema, "Schemas")


async def test_the_loop_goes_on_while_a_description_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, made, answered = asyncio.get_running_loop(), 0, asyncio.Event()

    def slow(view: Any) -> dict[str, Any]:
        nonlocal made
        made += 1
        asyncio.run_coroutine_threadsafe(answered.wait(), loop).result(10)
        return dict(drawn(view))

    monkeypatch.setattr(describe, "drawn", slow)
    app = PipelineApp(weather())
    waiting = [asyncio.create_task(get(app, "/info")) for _ in range(3)]
    assert (await get(app, "/health/live")).status == 200
    answered.set()
    bodies = {(await answer).body for answer in waiting}
    assert len(bodies) == made == 1
    assert (await get(app, "/info")).body in bodies
    assert made == 1


async def test_descriptions_that_are_kept_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "KEPT", 2)
    app = PipelineApp(weather())
    for base in ("/a", "/b", "/c", "/a"):
        answer = await get(app, f"{base}/info", root_path=base)
        assert answer.json()["urls"]["info"] == f"{base}/pipelines/weather/info"
