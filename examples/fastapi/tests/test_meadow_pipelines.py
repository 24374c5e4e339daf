"""Meadow's pipelines: called as functions, over HTTP with a key, and by a page of the product."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pandas
import pytest
from live import LiveServer
from sklearn.datasets import load_iris

pytestmark = pytest.mark.server

VIRGINICA = {"sepal_length": 6.7, "sepal_width": 3.0, "petal_length": 5.2, "petal_width": 2.3}
SETOSA = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
SWAPPED = SETOSA | {"petal_length": 0.2, "petal_width": 1.4}


@pytest.fixture
def pipelines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, imported here: pipelines are functions and need no server."""
    monkeypatch.setenv("MEADOW_KEYS", "here:a key for the import")
    from meadow import pipelines

    yield pipelines


# ------------------------------------------------------------------------------------ as functions


def test_weather_is_a_function(pipelines: Any) -> None:
    assert pipelines.weather(city="Oslo", temperature=3.0) == "The weather in Oslo is 3.0 degrees Celsius."
    assert pipelines.weather() == "The weather in Paris is 20.0 degrees Celsius."


@pytest.mark.parametrize(("measurements", "species"), [(VIRGINICA, "virginica"), (SETOSA, "setosa")])
def test_iris_is_a_function(pipelines: Any, measurements: dict[str, float], species: str) -> None:
    outputs = pipelines.iris(measurements=measurements)
    assert list(outputs) == ["species", "probabilities", "explanation"]
    assert outputs["species"] == species
    assert sum(outputs["probabilities"].values()) == pytest.approx(1)
    assert max(outputs["probabilities"], key=outputs["probabilities"].get) == species


def test_the_measurements_are_in_the_order_of_the_data_set(pipelines: Any) -> None:
    names = [re.sub(r" \(cm\)$", "", name).replace(" ", "_") for name in load_iris().feature_names]
    assert list(pipelines.Measurements.model_fields) == names


def test_every_flower_of_the_data_set_is_within_the_limits(pipelines: Any) -> None:
    for row in load_iris().data.tolist():
        measurements = pipelines.Measurements(**dict(zip(VIRGINICA, row, strict=True)))
        assert pipelines.prepare(measurements) == row


def test_no_pipeline_starts_without_a_key(pipelines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipemount.errors import ConfigurationError

    monkeypatch.setenv("MEADOW_KEYS", "")
    with pytest.raises(ConfigurationError):
        pipelines.keys()


def test_a_key_for_trying_out_is_printed_once(
    pipelines: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MEADOW_KEYS")
    keys = pipelines.keys()
    printed = capsys.readouterr().err.strip().rpartition(" ")[2]
    assert keys.authenticate(f"Bearer {printed}".encode(), None).name == "trial"
    assert keys.generated is None


# --------------------------------------------------------------------------------------- over HTTP


def test_weather_over_http(program: httpx.Client) -> None:
    answer = program.post("/ai/weather/invoke", json={"parameters": {"city": "Oslo", "temperature": 3.0}})
    assert answer.status_code == 200
    body = answer.json()
    assert body["success"] is True
    assert body["outputs"] == {"weather_analysis": "The weather in Oslo is 3.0 degrees Celsius."}
    assert body["metadata"]["parameters_used"] == {"city": "Oslo", "temperature": 3.0}
    assert body["metadata"]["run_id"] == answer.headers["x-run-id"]


def test_iris_over_http(program: httpx.Client) -> None:
    answer = program.post("/ai/iris/invoke", json={"parameters": {"measurements": SETOSA}})
    assert answer.status_code == 200
    outputs = answer.json()["outputs"]
    assert outputs["species"] == "setosa"
    assert set(outputs["probabilities"]) == {"setosa", "versicolor", "virginica"}
    assert outputs["explanation"].startswith("Iris setosa with a likelihood of ")


LEAVING = {"years": 2, "visits": 1, "fee": 60, "membership": "single", "payment": "invoice"}
STAYING = {"years": 20, "visits": 12, "fee": 25, "membership": "family", "payment": "debit"}


@pytest.mark.parametrize(
    ("friend", "prediction"), [(LEAVING, "leaves"), (STAYING, "stays"), (LEAVING | {"visits": None}, "leaves")]
)
def test_churn_over_http(program: httpx.Client, pipelines: Any, friend: dict[str, Any], prediction: str) -> None:
    answer = program.post("/ai/churn/invoke", json={"parameters": friend})
    assert answer.status_code == 200, answer.text
    outputs = answer.json()["outputs"]
    assert outputs["prediction"] == prediction
    (likelihoods,) = pipelines.churn.predict_proba(pandas.DataFrame([friend]).astype({"visits": float})).tolist()
    assert list(outputs["probabilities"].values()) == pytest.approx(likelihoods)
    assert list(outputs["probabilities"]) == ["leaves", "stays"]


def test_the_document_tells_what_the_model_has_learnt(program: httpx.Client) -> None:
    schemas = program.get("/ai/openapi.json").json()["components"]["schemas"]
    taken, given = schemas["churn_Inputs"]["properties"], schemas["churn_Outputs"]["properties"]
    assert taken["membership"]["enum"] == ["family", "single", "student"]
    assert {"type": "null"} in taken["visits"]["anyOf"]
    assert given["prediction"]["enum"] == ["leaves", "stays"]


@pytest.mark.parametrize("path", ["/ai/weather/invoke", "/ai/iris/invoke", "/ai/pipelines/iris/invoke"])
def test_pipelines_need_a_key_and_not_the_login(rosa: httpx.Client, path: str) -> None:
    answer = rosa.post(path, json={"parameters": {}})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"Basic", "Bearer"} <= set(
        re.findall(r"\w+(?= realm=)", ", ".join(answer.headers.get_list("www-authenticate")))
    )


def test_a_key_is_no_login(program: httpx.Client) -> None:
    assert program.get("/api/specimens").status_code == 401


@pytest.mark.parametrize(
    ("path", "parameters", "where"),
    [
        ("weather", {"temperature": "warm"}, "temperature"),
        ("weather", {"town": "Oslo"}, "town"),
        ("iris", {}, "measurements"),
        ("iris", {"measurements": SETOSA | {"petal_length": 50}}, "petal_length"),
        ("churn", LEAVING | {"membership": "gold"}, "membership"),
        ("churn", LEAVING | {"fee": "dear"}, "fee"),
        ("churn", {**LEAVING, "town": "Oslo"}, "town"),
    ],
)
def test_bad_input_is_422_and_says_where(
    program: httpx.Client, path: str, parameters: dict[str, Any], where: str
) -> None:
    answer = program.post(f"/ai/{path}/invoke", json={"parameters": parameters})
    assert answer.status_code == 422
    assert [error["loc"][-1] for error in answer.json()["errors"]] == [where]


def test_a_step_refuses_swapped_measurements(program: httpx.Client) -> None:
    answer = program.post("/ai/iris/invoke", json={"parameters": {"measurements": SWAPPED}})
    assert answer.status_code == 422
    problem = answer.json()
    assert (problem["code"], problem["step"], problem["success"]) == ("petal-swapped", "prepare", False)


def test_the_schema_tells_limits_and_descriptions(program: httpx.Client) -> None:
    document = program.get("/ai/openapi.json").text
    assert "Across the widest part of a petal, in cm" in document
    assert '"maximum":12' in document.replace(" ", "").replace("12.0", "12")


def test_the_document_of_the_product_is_its_own(visitor: httpx.Client) -> None:
    assert list(visitor.get("/openapi.json").json()["paths"]) == ["/api/specimens", "/api/specimens/{specimen_id}"]


async def test_sixteen_callers_get_their_own_answers(meadow: LiveServer, program: httpx.Client) -> None:
    headers = {"Authorization": program.headers["Authorization"]}
    async with httpx.AsyncClient(base_url=meadow.url, headers=headers, trust_env=False) as client:
        answers = await asyncio.gather(
            *(client.post("/ai/weather/invoke", json={"parameters": {"city": f"city-{n}"}}) for n in range(16))
        )
    said = [answer.json()["outputs"]["weather_analysis"] for answer in answers]
    assert said == [f"The weather in city-{n} is 20.0 degrees Celsius." for n in range(16)]


# -------------------------------------------------------------------------------- the product's page


def form(measurements: dict[str, float], label: str) -> dict[str, str]:
    return {"label": label, "bed": "Pond"} | {name: str(value) for name, value in measurements.items()}


def test_the_page_needs_the_login(visitor: httpx.Client) -> None:
    assert visitor.get("/identify").status_code == 303
    assert visitor.post("/identify", data=form(SETOSA, "MW-0300")).status_code == 303


def test_the_form_tells_the_limits_of_the_pipeline(rosa: httpx.Client) -> None:
    page = rosa.get("/identify").text
    assert re.search(r'<input id="petal_width" [^>]*min="0.05" max="6(\.0)?"', page)
    assert "Across the widest part of a petal, in cm" in page


def test_what_the_pipeline_finds_is_in_the_table(rosa: httpx.Client) -> None:
    answer = rosa.post("/identify", data=form(VIRGINICA, "MW-0301"))
    assert answer.status_code == 303
    assert "Iris virginica" in rosa.get(answer.headers["location"]).text
    stored = rosa.get("/api/specimens").json()[0]
    assert (stored["label"], stored["species"]) == ("MW-0301", "Iris virginica")
    assert re.fullmatch(
        r"Iris virginica with a likelihood of \d+%; the (sepal|petal) \w+ of [\d.]+ cm .*", stored["note"]
    )


@pytest.mark.parametrize(
    ("measurements", "said"),
    [(SWAPPED, "are the two swapped?"), (SETOSA | {"petal_length": 50}, "petal_length")],
)
def test_what_the_pipeline_refuses_is_on_the_page_and_not_in_the_table(
    rosa: httpx.Client, measurements: dict[str, float], said: str
) -> None:
    before = rosa.get("/api/specimens").json()
    answer = rosa.post("/identify", data=form(measurements, "MW-0302"))
    assert answer.status_code == 422
    assert re.search(rf'role="alert">[^<]*{re.escape(said)}', answer.text)
    assert 'value="MW-0302"' in answer.text
    assert rosa.get("/api/specimens").json() == before


# ----------------------------------------------------------------------------------- start and stop


@pytest.mark.parametrize(
    "options", [(), pytest.param(("--lifespan", "off"), marks=pytest.mark.full)], ids=["lifespan", "no lifespan"]
)
def test_the_classifier_is_trained_and_released_once(
    meadow_environment: dict[str, str], options: tuple[str, ...]
) -> None:
    key = meadow_environment["MEADOW_KEYS"].partition(":")[2]
    with LiveServer(meadow_environment, *options) as server:
        body = {"parameters": {"measurements": SETOSA}}
        for _ in range(3):
            answer = httpx.post(f"{server.url}/ai/iris/invoke", headers={"X-API-Key": key}, json=body, trust_env=False)
            assert answer.status_code == 200, answer.text
    told = [line for line in server.log if "on_init:" in line or "on_cleanup:" in line]
    assert [line.partition("on_")[2].partition(":")[0] for line in told] == ["init", "cleanup"]
