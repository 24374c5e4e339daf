"""The pipeline with which the documentation introduces branches: each path, its schema, its drawing."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel
from tests.support.client import TestClient

import pipemount
from pipemount import PipelineApp, Retry, StepContext, pipeline, step
from pipemount.drawing.mermaid import to_mermaid
from pipemount.inprocess import run_compiled
from pipemount.pipelines.viewing import view_of
from pipemount.runtime.events import Event

TEMPERATURES = {"Oslo": 3.0, "Doha": 41.0}


class Weather(BaseModel):
    city: str
    temperature: float
    unit: Literal["C", "F"] = "C"


class Report(BaseModel):
    text: str


class Model:
    closed = False

    def llm(self, weather: Weather, wind: float) -> Iterator[str]:
        yield from (weather.city, f"{weather.temperature:g}", weather.unit, f"wind {wind:g}")


def load_model() -> Model:
    return Model()


def close_model(model: Model) -> None:
    model.closed = True


@step
def fetch(city: str) -> Weather:
    return Weather(city=city, temperature=TEMPERATURES[city])


@step(retry=Retry(attempts=3, delay=0.2, on=(OSError,)), timeout=5)
async def wind(city: str) -> Annotated[float, "wind"]:
    return float(len(city))


@step
def write(weather: Weather, wind: float, context: StepContext) -> Generator[str, None, Report]:
    tokens = []
    for token in context.pipeline_state.llm(weather, wind):
        yield token
        tokens.append(token)
    return Report(text=" ".join(tokens))


@step
def to_fahrenheit(report: Weather) -> Weather:
    return Weather(city=report.city, temperature=report.temperature * 1.8 + 32, unit="F")


@step
def alert(report: Weather) -> str:
    return f"{report.city}: {report.temperature:g} {report.unit}"


@pipeline(on_init=load_model, on_cleanup=close_model)
def weather(city: str, units: Literal["C", "F"] = "C", note: str | None = None):  # type: ignore[no-untyped-def]  # as printed
    report, speed = fetch(city), wind(city)  # independent: run side by side
    if units == "F":  # a branch on a parameter, recorded
        report = to_fahrenheit(report)
    outputs = {"report": write(report, speed), "temperature": report.temperature}  # typed field projection
    if report.temperature > 35:  # a branch on a step's output, recorded
        outputs["alert"] = alert(report)
    return outputs


PATHS: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "as it is": (
        {"city": "Oslo"},
        {"report": {"text": "Oslo 3 C wind 4"}, "temperature": 3.0},
        ["fetch", "wind", "write"],
    ),
    "hot": (
        {"city": "Doha", "units": "C"},
        {"report": {"text": "Doha 41 C wind 4"}, "temperature": 41.0, "alert": "Doha: 41 C"},
        ["alert", "fetch", "wind", "write"],
    ),
    "in Fahrenheit": (
        {"city": "Oslo", "units": "F", "note": "x"},
        {"report": {"text": "Oslo 37.4 F wind 4"}, "temperature": pytest.approx(37.4), "alert": "Oslo: 37.4 F"},
        ["alert", "fetch", "to_fahrenheit", "wind", "write"],
    ),
    "cold in Fahrenheit": (
        {"city": "Tromsø", "units": "F"},
        {"report": {"text": "Tromsø 14 F wind 6"}, "temperature": 14.0},
        ["fetch", "to_fahrenheit", "wind", "write"],
    ),
}


@pytest.fixture(autouse=True)
def frost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TEMPERATURES, "Tromsø", -10.0)


@pytest.mark.parametrize("path", PATHS)
def test_each_path_over_http(path: str) -> None:
    inputs, outputs, _ = PATHS[path]
    with TestClient(PipelineApp(weather)) as client:
        answer = client.post("/invoke", json={"parameters": inputs})
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"] == outputs


@pytest.mark.parametrize("path", PATHS)
async def test_a_step_that_is_not_on_the_path_never_runs(path: str) -> None:
    inputs, _, steps = PATHS[path]
    seen: list[Event] = []
    await run_compiled(pipemount.compile(weather), inputs, listener=seen.append)
    assert sorted(str(event.step) for event in seen if event.kind == "step_started") == steps
    assert len([event for event in seen if event.kind == "branch"]) == 2


def test_the_schema_marks_the_alert_as_optional() -> None:
    schema = weather.compile().output.json_schema()
    assert list(schema["properties"]) == ["report", "temperature", "alert"]
    assert schema["required"] == ["report", "temperature"]


def test_it_is_compiled_once_for_all_paths() -> None:
    snapshot = weather.compile()
    assert [branch.text for branch in snapshot.branches] == [
        "units == 'F'",
        "(to_fahrenheit or fetch).temperature > 35",
    ]
    assert len(snapshot.paths) == 4
    assert sorted(node.id for node in snapshot.nodes) == ["alert", "fetch", "to_fahrenheit", "wind", "write"]


def test_it_is_drawn_with_both_branches() -> None:
    drawn = to_mermaid(view_of(weather.compile()))
    assert "units == " in drawn
    assert "temperature #62; 35" in drawn
    assert drawn.count('|"yes') >= 2
