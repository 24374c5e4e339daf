"""Beacon under a real gunicorn and a real uvicorn: the pages, the button's call, a key, and start and stop."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import httpx
import pytest
from live import SERVERS, LiveServer

pytestmark = pytest.mark.server


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, live_environment: Callable[[], dict[str, str]]) -> Iterator[LiveServer]:
    """A server with the samples in its database."""
    with LiveServer(SERVERS[request.param], live_environment()) as running:
        yield running


def token(page: httpx.Response) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert found is not None, page.text
    return found[1]


def sign_in(client: httpx.Client, name: str) -> None:
    form = {"username": name, "password": "lighthouse", "csrfmiddlewaretoken": token(client.get("/login/"))}
    assert client.post("/login/", data=form).status_code == 302


def invoke(client: httpx.Client, number: int, **headers: str) -> Any:
    return client.post("/ai/invoke", json={"parameters": {"ticket": number}}, headers=headers)


def follow(client: httpx.Client, number: int, proof: str) -> None:
    """As the page of the ticket does, but the connection is lost after ten events."""
    body = {"parameters": {"ticket": number}}
    job = client.post("/ai/submit", json=body, headers={"X-CSRFToken": proof}).json()
    told = hear(client, job["stream_url"], 10)
    told += hear(client, job["stream_url"], None, **{"Last-Event-ID": str(told[-1]["sequence"])})
    assert [event["sequence"] for event in told] == list(range(1, len(told) + 1))
    assert told[-1]["kind"] == "run_completed"
    note = "".join(event["data"]["value"] for event in told if event["kind"] == "delta")
    assert note in html.unescape(client.get(f"/tickets/{number}/").text)


def hear(client: httpx.Client, url: str, count: int | None, **headers: str) -> list[dict[str, Any]]:
    with client.stream("GET", url, headers=headers) as stream:
        told = (json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line.startswith("data: "))
        return list(islice(told, count))


def test_staff_customers_and_programs(server: LiveServer, testing_key: str) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as jonas:
        sign_in(jonas, "jonas")
        numbers = [int(number) for number in re.findall(r'href="/tickets/(\d+)/"', jonas.get("/").text)]
        assert len(numbers) == 7
        surgery = max(numbers) - 6  # the first of the seven, see samples.toml
        page = jonas.get(f"/tickets/{surgery}/")
        assert invoke(jonas, surgery).json()["code"] == "csrf-failed"
        answer = invoke(jonas, surgery, **{"X-CSRFToken": token(page)})
        assert answer.status_code == 200, answer.text
        assert answer.json()["outputs"]["priority"] == "Urgent"
        assert answer.json()["outputs"]["queue"] == "connection"
        follow(jonas, surgery, token(page))
        form = {"csrfmiddlewaretoken": token(page)}
        assert "6 tickets sorted, 0 urgent." in jonas.post("/triage/", data=form, follow_redirects=True).text
    with httpx.Client(base_url=server.url, trust_env=False) as oscar:
        sign_in(oscar, "oscar")
        assert invoke(oscar, surgery, **{"X-CSRFToken": token(oscar.get("/tickets/new/"))}).status_code == 403
    with httpx.Client(base_url=server.url, trust_env=False) as program:
        assert invoke(program, surgery).status_code == 401
        assert invoke(program, surgery, Authorization=f"Bearer {testing_key}").status_code == 200
        assert invoke(program, 4711, Authorization=f"Bearer {testing_key}").status_code == 404
    server.stop()
    told = [line for line in server.log if line.startswith("on_")]
    assert told == [
        "on_init: triage has learnt from 34 solved tickets",
        "on_cleanup: what was learnt about 4 queues is released",
    ], server.log
    assert not [line for line in server.log if "Traceback" in line or "Warning" in line], server.log
