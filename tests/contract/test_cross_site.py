"""Row C1 of the hardening matrix, in a real Chromium: a login that a browser sends by itself serves no other origin."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page
from tests.contract.visited import KEY
from tests.support.chromium import a_page_elsewhere, chromium, needs_chromium
from tests.support.servers import Server, serve

pytestmark = [pytest.mark.server, needs_chromium]

Login = Literal["key", "cookie"]
JOB = "01936f5e-7c00-7000-8000-000000000001"
ENCTYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
TARGETS = ("/invoke", "/tokens")
SUBMIT = """([url, enctype]) => {
    const form = document.createElement("form");
    Object.assign(form, {action: url, method: "post", enctype});
    const field = document.createElement("input");
    Object.assign(field, {name: '{"parameters":{"text":"', value: 'forged"}}'});
    if (enctype !== "multipart/form-data") form.append(field);
    document.body.append(form);
    form.submit();
}"""
FETCH = """async ([url, options]) => {
    try { return (await fetch(url, options)).status } catch (error) { return String(error) }
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    with a_page_elsewhere() as port:
        yield port


@pytest.fixture(scope="module", params=["key", "cookie"])
def login(request: pytest.FixtureRequest) -> Login:
    chosen: Login = request.param
    return chosen


@pytest.fixture(scope="module")
def visited(login: Login, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    command = ["uvicorn", "tests.contract.visited:app", "--port", "{port}", "--log-level", "warning"]
    with serve(command, folder=tmp_path_factory.mktemp(login), env={"LOGIN": login}) as server:
        yield server


@pytest.fixture
def page(browser: Browser, visited: Server, login: Login) -> Iterator[Page]:
    """Of somebody who has logged in: with the name and the key in the browser's own dialog, or for a cookie."""
    known: Any = {"username": "ada", "password": KEY, "origin": visited.url} if login == "key" else None
    with browser.new_context(http_credentials=known) as context:
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.goto(f"{visited.url}/{'docs' if login == 'key' else '-/login'}")
        yield page


def changing(server: Server) -> list[dict[str, Any]]:
    """What came that may change something, and the questions whether it may."""
    return [came for came in told(server)["seen"] if came["method"] not in ("GET", "HEAD")]


def posts(server: Server, login: Login) -> list[dict[str, Any]]:
    """What came of that with the login."""
    header = {"key": "authorization", "cookie": "cookie"}[login]
    return [came for came in changing(server) if header in came["headers"]]


def told(server: Server) -> Any:
    return server.get("/-/seen").json()


def test_c1_forms_of_another_origin_are_refused(page: Page, visited: Server, elsewhere: int, login: Login) -> None:
    before = len(posts(visited, login))
    forms = [(target, enctype) for target in TARGETS for enctype in ENCTYPES]
    for target, enctype in forms:
        page.goto(f"http://127.0.0.1:{elsewhere}/")  # of the same site, so that a Lax cookie comes along
        with page.expect_navigation() as navigated:
            page.evaluate(SUBMIT, [visited.url + target, enctype])
        assert navigated.value.status == 403, (target, enctype)
    came = posts(visited, login)[before:]
    assert [post["status"] for post in came] == [403] * len(forms), "they came, with the login, and were refused"
    assert "same-origin" not in {post["headers"]["sec-fetch-site"] for post in came}
    assert told(visited)["ran"] == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_c1_scripts_of_another_origin_reach_nothing(
    page: Page, visited: Server, elsewhere: int, login: Login, host: str
) -> None:
    before = len(changing(visited))
    page.goto(f"http://{host}:{elsewhere}/")
    body = json.dumps({"parameters": {"text": "forged"}})
    for target in TARGETS:
        for options in (
            {"method": "POST", "mode": "no-cors", "credentials": "include", "body": body},
            {"method": "POST", "mode": "no-cors", "credentials": "include"},
            {"method": "POST", "mode": "cors", "credentials": "include", "body": body},
            {"method": "POST", "credentials": "include", "headers": {"content-type": "application/json"}, "body": body},
            {"method": "DELETE", "credentials": "include"},
        ):
            page.evaluate(FETCH, [visited.url + target, options])
    came = changing(visited)[before:]
    assert came, "some of it came"
    assert {post["status"] for post in came} <= {401, 403, 405}, came  # 405: a preflight
    assert told(visited)["ran"] == []


def test_c1_pages_of_the_apps_own_origin_and_programs_may(page: Page, visited: Server, login: Login) -> None:
    page.goto(f"{visited.url}/-/page")
    options = {"method": "POST", "headers": {"content-type": "application/json"}, "body": '{"parameters":{}}'}
    assert page.evaluate(FETCH, ["/invoke", options]) == 200
    credentials = base64.b64encode(f"ada:{KEY}".encode()).decode()
    header = {"key": f"authorization: Basic {credentials}", "cookie": "cookie: session=ada"}[login]
    command = ["curl", "-s", "-o", "-", "-w", "%{http_code}", "-H", header, "-H", "content-type: application/json"]
    done = subprocess.run(
        [*command, "-d", '{"parameters":{}}', f"{visited.url}/invoke"], capture_output=True, check=True
    )
    assert done.stdout.endswith(b"200")
    ran = told(visited)["ran"]
    assert ran == ["ran", "ran"]
