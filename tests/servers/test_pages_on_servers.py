"""Pages in a real browser that follow runs: with a token, across connections, and from another origin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page
from tests.servers.talking import KEY
from tests.support.chromium import chromium, needs_chromium
from tests.support.servers import Server, serve

pytestmark = [pytest.mark.server, needs_chromium]

AS_ADA = {"x-api-key": KEY}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    command = ["uvicorn", "tests.servers.talking:app", "--port", "{port}", "--log-level", "info", "--ws", "wsproto"]
    with serve(command, folder=tmp_path_factory.mktemp("server")) as server:
        yield server
        assert "Traceback" not in server.log
        assert "token=ey" not in server.log


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    page = browser.new_page()
    page.goto(f"{server.url}/page")
    yield page
    page.close()


def test_an_event_source_with_a_token_follows_a_run_over_many_connections(page: Page, server: Server) -> None:
    """Each stream ends for its age; the browser comes back by itself, and stops when it has heard the last event."""
    job = server.request("POST", "/locked/submit", b'{"parameters":{}}', AS_ADA | {"content-type": "application/json"})
    job_id = job.json()["job_id"]
    body = b'{"job_id":"%b"}' % job_id.encode()
    signed = server.request("POST", "/locked/tokens", body, AS_ADA | {"content-type": "application/json"}).json()

    found = page.evaluate("([url, opens]) => listen(url, opens)", [signed["urls"]["events"], 4])

    told = found["told"]
    assert found["opened"] >= 4
    assert [number for number, _, _ in told] == list(range(1, len(told) + 1))
    assert [told[0][1], told[1][1], told[-2][1], told[-1][1]] == [
        *("run_started", "step_started"),
        *("step_completed", "run_completed"),
    ]
    numbers = [event["data"]["value"] for _, kind, event in told if kind == "delta"]
    assert numbers == list(range(len(numbers))) == told[-1][2]["data"]["outputs"]["output"]

    page.goto(f"http://localhost:{server.port}/page")  # another origin: a token is no cookie
    url = f"ws://127.0.0.1:{server.port}{signed['urls']['websocket']}"
    followed = page.evaluate("([url, job_id]) => follow(url, job_id)", [url, job_id])
    assert followed == [[number, kind] for number, kind, _ in told]
    assert page.evaluate("url => say(url)", url.partition("?")[0]) == []  # without the token nobody comes in


def test_c2_a_page_of_another_origin_in_a_real_browser(page: Page, server: Server) -> None:
    url = f"ws://127.0.0.1:{server.port}/ai/stream"
    told = page.evaluate("url => say(url)", url)
    page.goto(f"http://localhost:{server.port}/page")  # another origin, as browsers see it
    refused = page.evaluate("url => say(url)", url)
    assert (told[0], told[-1]) == ("accepted", "ended")
    assert refused == []
