"""Rows C1 and C2 of the hardening matrix, in a real Chromium: a login that a browser sends by itself serves no other
origin, over HTTP or a WebSocket. What a link carries, a signed token, serves whoever has it, and needs no login.
"""

from __future__ import annotations

import base64
import itertools
import json
import socket
import subprocess
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page
from tests.contract.visited import KEY
from tests.support.chromium import a_page_elsewhere, chromium, needs_chromium
from tests.support.servers import Server, serve, wait_until

pytestmark = [pytest.mark.server, needs_chromium]

Login = Literal["key", "cookie"]
JOB = "01936f5e-7c00-7000-8000-000000000001"
ENCTYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
TARGETS = ("/invoke", "/submit", "/batch", "/tokens", "/jobs/{job}/cancel", "/jobs/{job}")
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
    command = ["uvicorn", "tests.contract.visited:app", "--port", "{port}"]
    with a_page_elsewhere() as friend:
        env = {"LOGIN": login, "FRIEND": f"http://127.0.0.1:{friend}"}
        with serve(command, folder=tmp_path_factory.mktemp(login), env=env) as server:
            server.friend = friend  # type: ignore[attr-defined]  # goes with it
            yield server


@pytest.fixture(scope="module")
def job(visited: Server, login: Login) -> str:
    """A job of Ada's that runs."""
    reply = curl(visited, login, "/submit", '{"parameters":{"text":"wait"}}')
    job_id = str(json.loads(reply)["job_id"])
    wait_until(lambda: "wait" in told(visited)["ran"])
    return job_id


def curl(server: Server, login: Login, path: str, body: str | None = None) -> str:
    """What a program of Ada's is answered."""
    credentials = base64.b64encode(f"ada:{KEY}".encode()).decode()
    header = {"key": f"authorization: Basic {credentials}", "cookie": "cookie: session=ada"}[login]
    data = [] if body is None else ["-d", body]
    command = ["curl", "-s", "-H", header, "-H", "content-type: application/json", *data, server.url + path]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


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


def test_c1_forms_of_another_origin_are_refused(
    page: Page, visited: Server, elsewhere: int, login: Login, job: str
) -> None:
    before, ran = len(posts(visited, login)), told(visited)["ran"]
    forms = [(TARGETS[0], enctype) for enctype in ENCTYPES]
    forms += [(target.format(job=job), "text/plain") for target in TARGETS[1:-1]]
    for target, enctype in forms:
        page.goto(f"http://127.0.0.1:{elsewhere}/")  # of the same site, so that a Lax cookie comes along
        with page.expect_navigation() as navigated:
            page.evaluate(SUBMIT, [visited.url + target, enctype])
        assert navigated.value.status == 403, (target, enctype)
    came = posts(visited, login)[before:]
    assert [post["status"] for post in came] == [403] * len(forms), "they came, with the login, and were refused"
    assert "same-origin" not in {post["headers"]["sec-fetch-site"] for post in came}
    check_untouched(visited, login, job, ran)


def check_untouched(server: Server, login: Login, job: str, ran: list[str]) -> None:
    assert told(server)["ran"] == ran, "no pipeline code ran"
    found = json.loads(curl(server, login, f"/jobs/{job}"))
    assert (found["status"], found["cancel_requested"]) == ("running", False)


def test_c1_scripts_of_another_origin_reach_nothing(
    page: Page, visited: Server, elsewhere: int, login: Login, job: str
) -> None:
    before, ran = len(changing(visited)), told(visited)["ran"]
    body = json.dumps({"parameters": {"text": "forged"}})
    for host, target in itertools.product(("127.0.0.1", "localhost"), TARGETS):  # of the same site, and of another
        if target == TARGETS[0]:
            page.goto(f"http://{host}:{elsewhere}/")
        for options in (
            {"method": "POST", "mode": "no-cors", "credentials": "include", "body": body},
            {"method": "POST", "mode": "no-cors", "credentials": "include"},
            {"method": "POST", "mode": "cors", "credentials": "include", "body": body},
            {"method": "POST", "credentials": "include", "headers": {"content-type": "application/json"}, "body": body},
            {"method": "DELETE", "credentials": "include"},
        ):
            page.evaluate(FETCH, [visited.url + target.format(job=job), options])
    came = changing(visited)[before:]
    assert came, "some of it came"
    assert {post["status"] for post in came} <= {401, 403, 405}, came  # 405: a preflight
    check_untouched(visited, login, job, ran)


def test_c1_pages_of_another_origin_read_no_events(
    page: Page, visited: Server, elsewhere: int, login: Login, job: str
) -> None:
    """An ``EventSource`` needs no preflight; that it may not be read is the browser's work, as it is told nothing."""
    page.goto(f"http://127.0.0.1:{elsewhere}/")
    for path in (f"/jobs/{job}/events", f"/stream/{job}"):
        assert page.evaluate(LISTEN, [visited.url + path, {"withCredentials": True}]) == "error"
    page.goto(f"{visited.url}/-/page")
    assert page.evaluate(LISTEN, [f"/jobs/{job}/events", {}]) == "run_started"


def test_c1_pages_of_the_apps_own_origin_and_programs_may(page: Page, visited: Server, login: Login) -> None:
    ran = len(told(visited)["ran"])
    page.goto(f"{visited.url}/-/page")
    options = {"method": "POST", "headers": {"content-type": "application/json"}, "body": '{"parameters":{}}'}
    assert page.evaluate(FETCH, ["/invoke", options]) == 200
    assert json.loads(curl(visited, login, "/invoke", '{"parameters":{}}'))["success"]
    mine = json.loads(curl(visited, login, "/submit", '{"parameters":{"text":"wait"}}'))["job_id"]
    assert page.evaluate(FETCH, [f"/jobs/{mine}/cancel", {"method": "POST"}]) == 200  # without a body
    wait_until(lambda: json.loads(curl(visited, login, f"/jobs/{mine}"))["status"] == "cancelled")
    assert page.evaluate(FETCH, [f"/jobs/{mine}", {"method": "DELETE"}]) == 204
    assert told(visited)["ran"][ran:] in (["ran", "ran"], ["ran", "ran", "wait"])


# ------------------------------------------------------------------------------------------------- C2

LISTEN = """([url, options]) => new Promise(resolve => {
    const source = new EventSource(url, options);
    const end = said => { source.close(); resolve(said) };
    source.addEventListener("run_started", () => end("run_started"));
    source.onerror = () => end("error");
})"""
CONNECT = """([url, message]) => new Promise(resolve => {
    const socket = new WebSocket(url);
    const heard = [];
    socket.onopen = () => socket.send(JSON.stringify(message));
    socket.onmessage = event => {
        heard.push(JSON.parse(event.data).type);
        if (heard.length === 2 || heard[0] !== "accepted") socket.close();
    };
    socket.onclose = event => resolve(heard.length ? heard : event.code);
})"""


IN_A_SANDBOX = """([script, argument]) => new Promise(resolve => {
    addEventListener("message", event => resolve(event.data), {once: true});
    const frame = document.createElement("iframe");
    frame.sandbox = "allow-scripts";
    const call = `(${script})(${JSON.stringify(argument)})`;
    frame.srcdoc = `<script>${call}.then(said => parent.postMessage(said, "*"))</` + "script>";
    document.body.append(frame);
})"""


def sockets(server: Server) -> list[dict[str, Any]]:
    return [came for came in told(server)["seen"] if came["method"] == "WEBSOCKET"]


def test_c2_sockets_of_another_origin_are_refused_before_they_are_open(
    page: Page, visited: Server, elsewhere: int, login: Login, job: str
) -> None:
    before, ran = len(sockets(visited)), told(visited)["ran"]
    url = visited.url.replace("http", "ws") + "/stream"
    invoke = {"type": "invoke", "parameters": {"text": "forged"}}
    for host in ("127.0.0.1", "localhost"):
        page.goto(f"http://{host}:{elsewhere}/")
        for message in (invoke, {"type": "cancel", "job_id": job}, {"type": "subscribe", "job_id": job}):
            assert page.evaluate(CONNECT, [url, message]) == 1006
    of_one = url.replace("/stream", "/noting/stream")
    assert page.evaluate(CONNECT, [of_one, invoke]) == 1006
    assert page.evaluate(IN_A_SANDBOX, [CONNECT, [url, invoke]]) == 1006  # its origin is null
    came = sockets(visited)[before:]
    assert [socket["status"] for socket in came] == [403] * 8
    assert {socket["headers"]["origin"] for socket in came} == {
        f"http://127.0.0.1:{elsewhere}",
        f"http://localhost:{elsewhere}",
        "null",
    }
    if login == "cookie":
        assert [socket for socket in came if "session=ada" in socket["headers"].get("cookie", "")], "with the login"
    check_untouched(visited, login, job, ran)


def test_c2_sockets_of_the_own_origin_and_of_trusted_ones_are_open(
    page: Page, visited: Server, login: Login, job: str
) -> None:
    url = visited.url.replace("http", "ws") + "/stream"
    subscribe = {"type": "subscribe", "job_id": job}
    page.goto(f"{visited.url}/-/page")
    assert page.evaluate(CONNECT, [url, subscribe]) == ["accepted", "event"]
    assert sockets(visited)[-1]["status"] == 101
    if login == "cookie":  # of the same site, so that it comes along
        page.goto(f"http://127.0.0.1:{visited.friend}/")  # type: ignore[attr-defined]  # goes with it
        assert page.evaluate(CONNECT, [url, subscribe]) == ["accepted", "event"]


def test_c2_without_an_origin_a_socket_takes_more_than_a_cookie(visited: Server, login: Login) -> None:
    """No browser leaves it out: it is a program, and says who it is."""
    assert handshake(visited, "cookie: session=ada") == (401 if login == "key" else 403)
    assert handshake(visited, f"authorization: Bearer {KEY}") == (101 if login == "key" else 403)
    assert handshake(visited, "x-nothing: 1") == (401 if login == "key" else 403)


def handshake(server: Server, header: str) -> int:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            f"GET /stream HTTP/1.1\r\nhost: x\r\n{header}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        return int(connection.recv(65536).split()[1])


# ---------------------------------------------------------------------------------------------- tokens


def test_a_browser_without_a_login_follows_and_cancels_a_job_by_tokens(
    browser: Browser, visited: Server, elsewhere: int, login: Login
) -> None:
    """``EventSource`` and ``WebSocket`` send no headers; what they are given is a URL. Nor does a link in an e-mail."""
    mine = json.loads(curl(visited, login, "/submit", '{"parameters":{"text":"wait"}}'))["job_id"]
    read, cancel = [
        json.loads(curl(visited, login, "/tokens", json.dumps({"job_id": mine, "permission": permission})))["urls"]
        for permission in ("read", "cancel")
    ]
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.goto(f"{visited.url}/-/page")
        without = read["events"].partition("?")[0]
        assert page.evaluate(LISTEN, [without, {}]) == "error"
        assert page.evaluate(LISTEN, [cancel["cancel"].replace("/cancel?", "/events?"), {}]) == "error"
        assert page.evaluate(LISTEN, [read["events"], {}]) == "run_started"
        subscribe = {"type": "subscribe", "job_id": mine}
        ws = visited.url.replace("http", "ws")
        assert page.evaluate(CONNECT, [f"{ws}/stream", subscribe]) == 1006
        assert page.evaluate(CONNECT, [ws + cancel["websocket"], subscribe]) == ["error"]
        assert page.evaluate(CONNECT, [ws + read["websocket"], subscribe]) == ["accepted", "event"]
        opened = page.goto(visited.url + read["job"])  # the link in an e-mail
        assert opened is not None
        assert (opened.status, opened.json()["status"]) == (200, "running")
        assert (opened.headers["referrer-policy"], opened.headers["cache-control"]) == ("no-referrer", "no-store")
        assert page.evaluate("document.referrer") == ""
        spoilt = page.goto(visited.url + cancel["cancel"])  # by GET, as whatever looks at links before people do
        assert spoilt is not None and spoilt.status == 405
        page.goto(f"http://127.0.0.1:{elsewhere}/")  # the team's own page that asks "really?"
        with page.expect_navigation() as navigated:
            page.evaluate(SUBMIT, [visited.url + cancel["cancel"], "text/plain"])
        assert (navigated.value.status, navigated.value.json()["status"]) in ((200, "cancelling"), (200, "cancelled"))
    wait_until(lambda: json.loads(curl(visited, login, f"/jobs/{mine}"))["status"] == "cancelled")
    if login == "key":  # else a host is in between, which copies the scope
        assert "?token=- HTTP/1.1" in visited.log
        tokens = {link.partition("?token=")[2] for link in (*read.values(), *cancel.values())}
        assert not [token for token in tokens if token in visited.log]
