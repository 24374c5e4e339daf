"""What Meadow did before it had pipelines, and goes on doing."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from live import LiveServer

pytestmark = pytest.mark.server


@pytest.mark.parametrize("path", ["/", "/specimens/1"])
def test_pages_send_a_visitor_to_the_login(meadow: LiveServer, visitor: httpx.Client, path: str) -> None:
    answer = visitor.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{meadow.url}/login"


@pytest.mark.parametrize("path", ["/api/specimens", "/api/specimens/1"])
def test_the_api_answers_a_visitor_with_401(visitor: httpx.Client, path: str) -> None:
    answer = visitor.get(path)
    assert answer.status_code == 401
    assert answer.json() == {"detail": "sign in at /login first"}


@pytest.mark.parametrize(("name", "password"), [("rosa", "wrong"), ("nobody", "cowslip")])
def test_a_wrong_login_is_refused_without_saying_why(visitor: httpx.Client, name: str, password: str) -> None:
    answer = visitor.post("/login", data={"name": name, "password": password})
    assert answer.status_code == 401
    assert "That name and password do not go together." in answer.text
    assert "set-cookie" not in answer.headers


def test_a_forged_session_is_no_session(visitor: httpx.Client) -> None:
    visitor.cookies.set("meadow", "eyJzdGFmZiI6ICJyb3NhIn0=.aaaaaa.AAAAAAAAAAAAAAAAAAAAAAAAAAA")
    assert visitor.get("/api/specimens").status_code == 401


def test_signing_out_ends_the_session(rosa: httpx.Client) -> None:
    assert rosa.get("/").status_code == 200
    assert rosa.post("/logout").status_code == 303
    assert rosa.get("/").status_code == 303


def test_the_table_shows_the_first_specimens(rosa: httpx.Client) -> None:
    page = rosa.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "Salvia pratensis" in page.text
    assert "MW-0003" in page.text


def test_a_specimen_from_the_form_has_a_page(rosa: httpx.Client) -> None:
    form = {"label": "MW-<b>", "bed": "Pond", "species": "Iris sibirica", "note": "By the bridge."}
    answer = rosa.post("/", data=form)
    assert answer.status_code == 303
    page = rosa.get(answer.headers["location"]).text
    assert "Specimen MW-&lt;b&gt;" in page
    assert "By the bridge." in page
    assert "by rosa" in page


def test_a_specimen_through_the_api_is_stored(rosa: httpx.Client) -> None:
    sent = {"label": "MW-0100", "bed": "Orchard", "species": "Primula veris", "note": ""}
    answer = rosa.post("/api/specimens", json=sent)
    assert answer.status_code == 201
    stored = answer.json()
    assert sent | {"recorded_by": "rosa"} == {key: stored[key] for key in (*sent, "recorded_by")}
    assert rosa.get(f"/api/specimens/{stored['id']}").json() == stored
    assert rosa.get("/api/specimens").json()[0] == stored


def test_an_empty_label_is_refused(rosa: httpx.Client) -> None:
    answer = rosa.post("/api/specimens", json={"label": "", "bed": "Pond", "species": "Iris"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "label"]


@pytest.mark.parametrize("path", ["/specimens/9999", "/api/specimens/9999"])
def test_an_unknown_specimen_is_404(rosa: httpx.Client, path: str) -> None:
    assert rosa.get(path).status_code == 404


def test_a_restart_keeps_what_was_written(meadow_environment: dict[str, str], rosa: httpx.Client) -> None:
    rosa.post("/api/specimens", json={"label": "MW-0200", "bed": "Pond", "species": "Typha minima"})
    table = rosa.get("/api/specimens").json()
    with LiveServer(meadow_environment) as second, httpx.Client(base_url=second.url, trust_env=False) as client:
        client.post("/login", data={"name": "rosa", "password": "cowslip"})
        assert client.get("/api/specimens").json() == table


def test_the_database_holds_no_password(meadow_environment: dict[str, str], meadow: LiveServer) -> None:
    assert b"cowslip" not in Path(meadow_environment["MEADOW_DATABASE"]).read_bytes()
