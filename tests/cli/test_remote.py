"""What ``invoke`` makes of servers that are away, slow, or not ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipemount.cli.exits import CommandError
from pipemount.cli.remote import client_of
from pipemount.cli.serve import base_url

from .conftest import Pipemount

pytestmark = pytest.mark.usefixtures("project")

ANSWERS = {
    "/host/invoke": (404, {"Content-Type": "application/json"}, b'{"detail":"Not Found"}'),
    "/page/invoke": (200, {"Content-Type": "text/html"}, b"<h1>hello</h1>"),
    "/list/invoke": (200, {"Content-Type": "application/json"}, b"[1]"),
    "/bare/invoke": (200, {"Content-Type": "application/json"}, b"{}"),
    "/bare/info": (200, {"Content-Type": "application/json"}, b"{}"),
    "/moved/invoke": (308, {"Location": "https://example.org/ai/invoke"}, b""),
    "/busy/invoke": (503, {}, b""),
    "/terminal/invoke": (
        500,
        {"Content-Type": "application/problem+json"},
        b'{"title": "a\\u001b[2Jb", "code": "x", "detail": "a\\u001b[2Jb"}',
    ),
    "/odd/invoke": (404, {}, b'{"title": "Not found", "code": "not-found", "detail": "gone"}'),
    "/lost/invoke": (404, {}, b'{"title": "Not found", "code": "not-found", "detail": "gone"}'),
    "/many/invoke": (404, {}, b'{"title": "Not found", "code": "not-found", "detail": "gone"}'),
    "/many/pipelines": (200, {}, b'{"pipelines": [{"name": "a"}, {"name": "b"}]}'),
    "/odd/pipelines": (200, {"Content-Type": "application/json"}, b'{"pipelines": ["?"]}'),
}


class Other(BaseHTTPRequestHandler):
    """A server that is not ours."""

    released = threading.Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/slow/invoke":
            self.released.wait(30)
        status, fields, body = ANSWERS.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815 - the name that the standard library calls

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def other() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        Other.released.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("/page", 5, "error: {url}/page/invoke answered text/html with status 200; is the app mounted there?"),
        ("/list", 5, "answered application/json with status 200; is the app mounted there?"),
        ("/moved", 5, "{url}/moved/invoke has moved to https://example.org/ai/invoke; name that address"),
        ("/busy", 5, "{url}/busy/invoke answered something without a media type with status 503"),
        ("/nothing", 5, "with status 404"),
        ("/odd", 5, "error: Not found (404): gone"),
        ("/many", 2, "{url}/many serves several pipelines; name one: {url}/many/pipelines/a or {url}/many/pipelines/b"),
        ("/lost", 5, "error: Not found (404): gone"),
        ("/host", 5, "error: {url}/host/invoke answered application/json with status 404; is the app mounted there?"),
        ("/terminal", 1, "error: a\\u001b[2Jb (500)"),
    ],
)
def test_an_answer_that_is_not_ours(pipemount: Pipemount, other: str, path: str, code: int, message: str) -> None:
    done = pipemount("invoke", other + path)
    assert message.format(url=other) in done.stderr
    assert done.exit_code == code


def test_an_answer_without_outputs(pipemount: Pipemount, other: str) -> None:
    done = pipemount("invoke", f"{other}/bare")
    assert (done.exit_code, done.stderr) == (0, "run None completed in 0.000 s\n")


def test_a_description_that_is_none(pipemount: Pipemount, other: str) -> None:
    done = pipemount("describe", f"{other}/bare")
    assert done.exit_code == 5
    assert "answers, but not as a pipeline does" in done.stderr


def test_a_server_that_does_not_answer(pipemount: Pipemount, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipemount.client.verbs.GRACE", 0.0)
    done = pipemount("invoke", f"{other}/slow", "--timeout", "0.1")
    assert done.exit_code == 6
    assert "did not answer in time" in done.stderr


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://127.0.0.1:99999"])
def test_a_server_that_is_not_there(pipemount: Pipemount, url: str) -> None:
    done = pipemount("invoke", url)
    assert done.exit_code == 5
    assert "cannot be reached" in done.stderr


def test_what_json_has_no_word_for(pipemount: Pipemount, other: str) -> None:
    done = pipemount("invoke", f"{other}/bare", "--param", "x:=NaN")
    assert done.exit_code == 3
    assert "cannot be sent as JSON" in done.stderr


@pytest.mark.parametrize("url", ["shop:weather", "http://[::", "monkey.example"])
def test_what_is_no_address(pipemount: Pipemount, url: str) -> None:
    done = pipemount("invoke", url)
    assert done.exit_code == 2
    assert f"{url!r} is not an address; write http://host:port/mount" in done.stderr
    assert "--key" not in done.stderr


@pytest.mark.parametrize("key", ["", " ", "a\nb", "schlüssel"])
def test_a_key_that_no_header_can_carry(key: str) -> None:
    with pytest.raises(CommandError, match=r"no header can carry.*PIPEMOUNT_KEY"), client_of("http://a", key):
        pass


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://[::1]:80")],
)
def test_the_address_to_open(host: str, url: str) -> None:
    assert base_url(host, 80) == url
