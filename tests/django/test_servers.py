"""The site on real servers, over sockets: gunicorn with threads and uvicorn."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.django.site.pipelines import KEY
from tests.support.servers import ROOT, Reply, Server, serve

pytestmark = pytest.mark.server

SETTINGS = "tests.django.site.settings"
SERVERS = {
    "gunicorn": ("gunicorn", "tests.django.site.wsgi", "-k", "gthread", "--threads", "4", "-b", "127.0.0.1:{port}"),
    "uvicorn": ("uvicorn", "tests.django.site.asgi:application", "--port", "{port}", "--log-level", "warning"),
}
NOTHING: dict[str, Any] = {"parameters": {}}
LOG_IN = """
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_user("ann"))
print(client.cookies["sessionid"].value)
"""


def manage(folder: Path, *words: str, text: str = "") -> str:
    path = os.pathsep.join([str(ROOT), *sys.path])
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": SETTINGS, "SITE_FOLDER": str(folder), "PYTHONPATH": path}
    command = [sys.executable, "-m", "django", *words]
    done = subprocess.run(command, env=environment, cwd=ROOT, input=text, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a database, and the cookie of who is logged in there."""
    folder = tmp_path_factory.mktemp("site")
    manage(folder, "migrate", "--run-syncdb", "-v", "0")
    return folder, manage(folder, "shell", "-v", "0", "-c", LOG_IN).split()[-1]


@pytest.fixture(scope="module", params=list(SERVERS))
def server(request: pytest.FixtureRequest, session: tuple[Path, str]) -> Iterator[Server]:
    folder = session[0]
    with serve(SERVERS[request.param], folder=folder, env={"SITE_FOLDER": str(folder)}) as running:
        yield running


def only(reply: Reply) -> Any:
    assert reply.status == 200, reply.body
    [value] = reply.json()["outputs"].values()
    return value


def test_a_user_a_key_and_the_token(server: Server, session: tuple[Path, str]) -> None:
    path = "/keyed/open/whoami/invoke"
    assert server.post(path, NOTHING).status == 401
    assert only(server.post(path, NOTHING, {"authorization": f"Bearer {KEY}"})).startswith("robot of key")
    given = server.get("/token/")
    cookie = re.match("csrftoken=[^;]+", given.headers["set-cookie"])
    assert cookie is not None
    cookies = f"sessionid={session[1]}; {cookie[0]}"
    refused = server.post(path, NOTHING, {"cookie": cookies})
    assert (refused.status, refused.json()["code"]) == (403, "csrf-failed")
    token = {"cookie": cookies, "x-csrftoken": given.body.decode()}
    assert only(server.post(path, NOTHING, token)).startswith("ann of django")
    foreign = server.post(path, NOTHING, {**token, "origin": "https://evil.example"})
    assert (foreign.status, foreign.json()["code"]) == (403, "csrf-failed")


def test_a_body_in_chunks(server: Server) -> None:
    body = json.dumps({"parameters": {"city": "O" * 200_000}}).encode()
    parts = [body[:1000], body[1000:100_000], body[100_000:]]
    reply = server.request("POST", "/ai/invoke", parts, {"content-type": "application/json"})
    assert len(only(reply)) > 200_000


def test_the_database_from_many_requests_at_once(server: Server) -> None:
    replies = server.at_once(12, lambda: server.post("/several/counting_async/invoke", NOTHING))
    assert {reply.status for reply in replies} == {200}, server.log


def test_an_odd_path(server: Server) -> None:
    reply = server.get("/ai/not%20h%C3%A9re%2Finfo")
    assert (reply.status, reply.json()["code"]) == (404, "not-found")
    assert server.get("/ai/pipelines%2Fweather/info").status == 404


def test_under_a_root_path(session: tuple[Path, str]) -> None:
    folder = session[0]
    command = (*SERVERS["uvicorn"], "--root-path", "/app")
    with serve(command, folder=folder, env={"SITE_FOLDER": str(folder)}) as running:
        urls = {route["path"]: route["url"] for route in running.get("/ai/").json()["routes"]}
        assert urls["/invoke"] == "/app/ai/invoke"
