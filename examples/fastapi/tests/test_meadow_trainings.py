"""Trainings: begun from a page, found by its address, stopped and begun anew, with and without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import httpx
import joblib
import pytest

pytestmark = pytest.mark.server


def begin(client: httpx.Client, rounds: int) -> str:
    """The address of the page of a new training."""
    answer = client.post("/trainings", data={"rounds": str(rounds)})
    assert answer.status_code == 303, answer.text
    return httpx.URL(answer.headers["location"]).path


def ended(client: httpx.Client, page: str) -> str:
    """The page, once its events have come to their end."""
    record = client.get(f"/api{page}").json()
    with httpx.Client(trust_env=False, timeout=60) as anybody:
        told = anybody.get(record["events"]).text
    assert re.findall(r"event: (run_completed|run_cancelled|run_failed)\n", told)
    return client.get(page).text


def test_a_training_is_begun_on_a_page_and_its_result_identifies_irises(
    rosa: httpx.Client, meadow_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = begin(rosa, 1)
    told = ended(rosa, page)
    assert "It is complete." in told
    assert re.search(r"The [\w ]+ was chosen\.", told)
    assert len(re.findall(r"[\d.]+ % ± [\d.]+", told)) == 5
    assert "Train again" not in told
    assert rosa.get(f"/api{page}").json()["ended"]
    assert f'{page}">' in rosa.get("/trainings").text

    for name, value in meadow_environment.items():
        monkeypatch.setenv(name, value)
    from meadow.database import newest_model
    from meadow.pipelines import Measurements, train
    from meadow.settings import Settings

    flower = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
    classifier = train()
    judged = classifier.model.predict([list(Measurements(**flower).model_dump().values())])
    assert classifier.species[judged[0]] == "setosa"
    stored = newest_model(Settings.from_env().database)
    assert stored is not None
    assert type(joblib.load(BytesIO(stored))) is type(classifier.model)


def test_one_is_stopped_and_begun_anew(rosa: httpx.Client) -> None:
    page = begin(rosa, 100)
    assert ">Stop</button>" in rosa.get(page).text
    assert rosa.post(f"{page}/retry").status_code == 409
    assert rosa.post(f"{page}/cancel").headers["location"].endswith(page)
    told = ended(rosa, page)
    assert "It was stopped." in told
    assert "Train again" in told
    anew = httpx.URL(rosa.post(f"{page}/retry").headers["location"]).path
    assert anew != page
    assert "tried 100 times" in rosa.get(anew).text
    rosa.post(f"{anew}/cancel")
    assert "It was stopped." in ended(rosa, anew)


def test_what_cannot_be_trained_is_on_the_page(rosa: httpx.Client) -> None:
    answer = rosa.post("/trainings", data={"rounds": "1000"})
    assert answer.status_code == 422
    assert re.search(r'role="alert">[^<]*rounds', answer.text)
    assert 'value="1000"' in answer.text


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, page: client.get(page),
        lambda client, page: client.get(f"/api{page}"),
        lambda client, page: client.post(f"{page}/cancel"),
        lambda client, page: client.post(f"{page}/retry"),
    ],
    ids=["page", "record", "cancel", "retry"],
)
def test_what_is_not_there_is_404(rosa: httpx.Client, ask: Callable[[httpx.Client, str], Any]) -> None:
    assert ask(rosa, "/trainings/00000000-0000-0000-0000-000000000000").status_code == 404


def test_trainings_take_a_login(visitor: httpx.Client) -> None:
    assert visitor.get("/trainings").status_code == visitor.post("/trainings", data={"rounds": "1"}).status_code == 303
    assert visitor.get("/trainings/1").status_code == 303
    assert visitor.get("/api/trainings/1").status_code == 401


def test_an_answer_is_no_training(rosa: httpx.Client) -> None:
    asked = rosa.post("/api/specimens/1/answers", json={"question": "How much?"}, headers={"Idempotency-Key": '"no"'})
    assert rosa.get(f"/trainings/{asked.json()['job']}").status_code == 404
