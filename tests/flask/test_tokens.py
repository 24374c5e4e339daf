"""Signed tokens that the host's own views give out, and what they open."""

from __future__ import annotations

from typing import Any

from flask import Flask, g, jsonify, request
from flask.testing import FlaskClient
from tests.flask.conftest import Make, caller

SECRET = "a secret that nobody is going to guess"


def shop(app: Flask, make: Make, **options: Any) -> Flask:
    """A host that believes what a header says."""
    pipelines = make(caller, token_secret=SECRET)
    app.before_request(lambda: setattr(g, "user", request.headers.get("x-user")))
    pipelines.init_app(app, **options)

    @app.get("/link/<job_id>")
    def link(job_id: str) -> Any:
        return jsonify(dict(pipelines.sign(job_id, request.args.get("permission", "read"), 60).paths))

    @app.get("/async/link/<job_id>")
    async def alink(job_id: str) -> Any:
        return link(job_id)

    return app


def submitted(client: FlaskClient, user: str) -> str:
    answer = client.post("/ai/submit", json={"parameters": {}}, headers={"x-user": user})
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["job_id"])


def test_a_view_gives_its_user_links(app: Flask, make: Make) -> None:
    client = shop(app, make).test_client()
    job_id = submitted(client, "ada")
    for path in ("/link/", "/async/link/"):
        links = client.get(f"{path}{job_id}", headers={"x-user": "ada"}).get_json()
        assert client.get(f"/ai/jobs/{job_id}").status_code == 404
        opened = client.get("/ai" + links["job"])
        assert (opened.status_code, opened.get_json()["job_id"]) == (200, job_id)
        assert (opened.headers["cache-control"], opened.headers["referrer-policy"]) == ("no-store", "no-referrer")
        events = client.get("/ai" + links["events"])
        assert events.content_type == "text/event-stream; charset=utf-8"
        assert b"event: run_completed" in events.data
        of_bob = client.get(f"{path}{job_id}", headers={"x-user": "bob"}).get_json()
        assert client.get("/ai" + of_bob["job"]).status_code == 404
        of_the_app = client.get(f"{path}{job_id}").get_json()
        assert client.get("/ai" + of_the_app["job"]).status_code == 200


def test_a_token_is_no_way_around_the_host_s_decorators(app: Flask, make: Make) -> None:
    def members(view: Any) -> Any:
        return lambda **values: view(**values) if g.user else ("members only", 403)

    client = shop(app, make, before=[members]).test_client()
    job_id = submitted(client, "ada")
    token = client.get(f"/link/{job_id}", headers={"x-user": "ada"}).get_json()["job"].partition("?")[2]
    for path in ("/jobs", "/info", f"/jobs/{job_id}", "/metrics"):
        assert client.get(f"/ai{path}?{token}").status_code == 403
