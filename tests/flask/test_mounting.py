"""The blueprint in its host: paths, names, methods, hooks and errors."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, abort, g, request, session, url_for
from tests.flask.asking import EMPTY, base_of, invoke, output
from tests.flask.conftest import Make, caller

from pipemount import AuthKeys, PipelineApp, pipeline, step
from pipemount.bridge import WSGIBridge
from pipemount.errors import ConfigurationError
from pipemount.flask.answering import answer

KEYS = AuthKeys(["correct horse battery staple"])


@step
def double(number: int) -> int:
    return 2 * number


@pipeline
def doubling(number: int = 2) -> Any:
    return double(number)


# --------------------------------------------------------------------------------- paths and names


def test_every_route_has_a_name(app: Flask, pipelines: PipelineApp) -> None:
    pipelines.init_app(app)
    with app.test_request_context():
        assert url_for("pipemount.invoke") == "/ai/invoke"
        assert url_for("pipemount.index") == "/ai/"
        assert url_for("pipemount.health") == "/ai/health"
        assert url_for("pipemount.caller_invoke") == "/ai/pipelines/caller/invoke"
        assert url_for("pipemount.events", job_id="1") == "/ai/jobs/1/events"
        none: dict[str, Any] = {}
        values = [{"job_id": "1"} if "{job_id}" in route.path else none for route in pipelines.route_table]
        routes = zip(pipelines.route_table, values, strict=True)
        urls = [url_for(f"pipemount.{route.name}", **given) for route, given in routes]
    client = app.test_client()
    assert [url for url in urls if client.options(url).status_code != 200] == []


def test_names_of_several_pipelines_and_mounts(app: Flask, make: Make) -> None:
    make({"caller": caller, "a.b": doubling}).init_app(app, "/ai")
    make(doubling).init_app(app, "/more/ai", name="more")
    client = app.test_client()
    with app.test_request_context():
        assert url_for("pipemount.a_b_invoke") == "/ai/pipelines/a.b/invoke"
        assert url_for("more.invoke") == "/more/ai/invoke"
    assert output(invoke(client, "/ai/pipelines/a.b/invoke")) == output(invoke(client, "/more/ai/invoke")) == 4


def test_a_second_mount_needs_a_name(app: Flask, pipelines: PipelineApp) -> None:
    pipelines.init_app(app)
    with pytest.raises(ValueError, match="name"):
        pipelines.init_app(app, "/other")
    pipelines.init_app(app, "/other", name="other")
    assert output(invoke(app.test_client(), "/other/invoke")) == "nobody"


@pytest.mark.parametrize("path", ["/ai", "/ai/", "/ai/health", "/ai/health/", "/ai/caller/info", "/ai/info/"])
def test_a_slash_at_the_end_changes_nothing_and_nothing_redirects(
    app: Flask, pipelines: PipelineApp, path: str
) -> None:
    pipelines.init_app(app)
    assert app.test_client().get(path).status_code == 200


@pytest.mark.parametrize("path", ["/ai/nothing", "/ai/invoke/more", "/ai//invoke", "/ai/in%2Fvoke", "/ai/%ff"])
def test_unknown_paths_below_the_prefix_are_a_problem_of_ours(app: Flask, pipelines: PipelineApp, path: str) -> None:
    app.register_error_handler(404, lambda error: ("the host's own page", 404))
    pipelines.init_app(app)
    client = app.test_client()
    reply = client.get(path)
    assert (reply.status_code, reply.mimetype) == (404, "application/problem+json")
    assert client.get("/elsewhere").text == client.get("/ais").text == "the host's own page"


def test_the_hosts_own_routes_below_the_prefix_stay(app: Flask, pipelines: PipelineApp) -> None:
    pipelines.init_app(app)
    app.add_url_rule("/ai/own/<name>", view_func=lambda name: f"own {name}")
    assert app.test_client().get("/ai/own/page").text == "own page"


@pytest.mark.parametrize("prefix", ["", "/"])
def test_at_the_root_what_is_unknown_is_left_to_the_host(app: Flask, pipelines: PipelineApp, prefix: str) -> None:
    app.register_error_handler(404, lambda error: ("the host's own page", 404))
    pipelines.init_app(app, prefix)
    client = app.test_client()
    assert output(invoke(client, "/invoke")) == "nobody"
    assert base_of(client.get("/info")) == ""
    assert client.get("/elsewhere").text == "the host's own page"
    assert client.options("/invoke").allow == {"POST", "OPTIONS"}
    assert client.get("/invoke").status_code == 405


@pytest.mark.parametrize("prefix", ["/ai", "ai/", "/a b/ü", "/deep/er/ai"])
def test_links_begin_where_the_host_is_mounted(app: Flask, pipelines: PipelineApp, prefix: str) -> None:
    pipelines.init_app(app, prefix)
    with app.test_request_context("/", environ_overrides={"SCRIPT_NAME": "/shop"}):
        url = url_for("pipemount.info")
    reply = app.test_client().get(url.removeprefix("/shop"), environ_overrides={"SCRIPT_NAME": "/shop"})
    assert base_of(reply) == url.removesuffix("/info")


def test_a_prefix_may_have_variables(app: Flask, pipelines: PipelineApp) -> None:
    pipelines.init_app(app, "/<language>/ai")

    @app.url_value_preprocessor
    def take_language(endpoint: str | None, values: dict[str, Any] | None) -> None:
        g.language = (values or {}).pop("language", None)

    client = app.test_client()
    assert base_of(client.get("/en/ai/info")) == "/en/ai"
    assert client.get("/nb/ai/nothing").json["instance"] == "/nb/ai/nothing"  # type: ignore[index]
    with app.test_request_context():
        assert url_for("pipemount.invoke", language="de") == "/de/ai/invoke"


# ------------------------------------------------------------------------------------------ methods


def test_a_method_that_a_route_does_not_have(app: Flask, pipelines: PipelineApp) -> None:
    pipelines.init_app(app)
    client = app.test_client()
    reply = client.get("/ai/invoke")
    assert (reply.status_code, reply.mimetype) == (405, "application/problem+json")
    assert reply.headers["Allow"] == "POST"
    assert client.delete("/ai").status_code == 405


def test_options_tell_the_methods_without_a_login(app: Flask, pipelines: PipelineApp) -> None:
    pipelines.init_app(app, before=[lambda view: lambda **values: abort(401)])
    client = app.test_client()
    assert client.options("/ai/invoke").allow == {"POST", "OPTIONS"}
    assert client.options("/ai/info/").allow == {"GET", "HEAD", "OPTIONS"}
    assert client.options("/ai/nothing").status_code == 401


def test_head(app: Flask, pipelines: PipelineApp) -> None:
    pipelines.init_app(app)
    client = app.test_client()
    reply, whole = client.head("/ai/info"), client.get("/ai/info")
    assert (reply.status_code, reply.data) == (200, b"")
    assert reply.headers["Content-Length"] == str(len(whole.data))


def test_a_websocket_handshake_is_told_what_there_is_instead(app: Flask, pipelines: PipelineApp) -> None:
    pipelines.init_app(app)
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    reply = app.test_client().get("/ai/stream", headers=headers)
    assert (reply.status_code, reply.mimetype) == (501, "application/problem+json")
    assert "uvicorn" in reply.text


# ----------------------------------------------------------------------------------- hooks and errors


def noted(notes: list[str], name: str) -> Callable[[Any], Any]:
    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def decorated(*args: Any, **values: Any) -> Any:
            notes.append(name)
            return view(*args, **values)

        return decorated

    return decorate


def test_decorators_are_applied_outermost_first(app: Flask, pipelines: PipelineApp) -> None:
    notes: list[str] = []
    pipelines.init_app(app, before=[noted(notes, "outer"), noted(notes, "inner")])
    invoke(app.test_client())
    assert notes == ["outer", "inner"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/ai/invoke"),
        ("POST", "/ai/caller/invoke"),
        ("GET", "/ai"),
        ("GET", "/ai/health/live"),
        ("GET", "/ai/x"),
    ],
)
def test_a_decorator_guards_every_route_and_its_error_is_the_hosts(
    app: Flask, pipelines: PipelineApp, method: str, path: str
) -> None:
    def login_required(view: Any) -> Any:
        return lambda **values: view(**values) if request.headers.get("X-User") else abort(401)

    app.register_error_handler(401, lambda error: ("the host's login page", 401))
    pipelines.init_app(app, before=[login_required])
    client = app.test_client()
    assert client.open(path, method=method).text == "the host's login page"
    assert client.open(path, method=method, headers={"X-User": "ada"}).status_code != 401


def test_problems_are_no_errors_of_the_host(app: Flask, pipelines: PipelineApp) -> None:
    app.register_error_handler(Exception, lambda error: ("the host's own page", 500))
    pipelines.init_app(app)
    reply = app.test_client().post("/ai/invoke", data="{", content_type="application/json")
    assert (reply.status_code, reply.mimetype) == (400, "application/problem+json")


def test_hooks_and_sessions_of_the_host(app: Flask, pipelines: PipelineApp) -> None:
    @app.before_request
    def count() -> None:
        session["seen"] = session.get("seen", 0) + 1

    @app.after_request
    def sign(response: Response) -> Response:
        response.headers["X-Size"] = str(len(response.get_data()))
        response.set_cookie("mode", "dark")
        return response

    pipelines.init_app(app)
    client = app.test_client()
    invoke(client)
    reply = invoke(client)
    assert reply.headers["X-Size"] == reply.headers["Content-Length"] == str(len(reply.data))
    assert [cookie.partition("=")[0] for cookie in reply.headers.getlist("Set-Cookie")] == ["mode", "session"]
    with client.session_transaction() as kept:
        assert kept["seen"] == 2


def test_responses_are_of_the_hosts_class(app: Flask, pipelines: PipelineApp) -> None:
    class Own(Response):
        default_mimetype = "text/csv"

    app.response_class = Own
    seen: list[Response] = []

    @app.after_request
    def see(response: Response) -> Response:
        seen.append(response)
        return response

    pipelines.init_app(app)
    reply = app.test_client().get("/ai/", headers={"Accept": "text/html"})
    assert (reply.status_code, reply.headers["Location"]) == (307, "/ai/docs")
    assert "Content-Type" not in reply.headers
    assert isinstance(seen[0], Own)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_the_host_has_read_is_there_all_the_same(app: Flask, pipelines: PipelineApp, chunked: bool) -> None:
    app.before_request(lambda: g.setdefault("logged", request.get_json()) and None)
    pipelines.init_app(app)
    body = b'{"parameters": {}}'
    length: dict[str, Any] = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True} if chunked else {}
    with app.test_client() as client:
        reply = client.post(
            "/ai/invoke",
            content_type="application/json",
            input_stream=io.BytesIO(body),
            environ_base=length,
            content_length=None if chunked else len(body),
        )
        assert output(reply) == "nobody"
        assert g.logged == EMPTY


def test_nothing_is_written_past_the_response(app: Flask) -> None:
    class Writing(WSGIBridge):
        def answer(self, scope: Any, environ: Any, start_response: Any) -> Any:
            start_response("200 OK", [])(b"past the hooks of the host")

    with app.test_request_context() as context, pytest.raises(NotImplementedError):
        answer(context.request, Writing(PipelineApp(caller)), {}, Response)


# --------------------------------------------------------------------------------------- set up


def test_a_factory_may_make_any_number_of_applications(pipelines: PipelineApp) -> None:
    def create() -> Flask:
        made = Flask("shop")
        pipelines.init_app(made, principal=lambda: "ada")
        return made

    first, second = create(), create()
    assert output(invoke(first.test_client())) == output(invoke(second.test_client())) == "flask:ada"
    assert pipelines.lifecycle.state == "ready"
    assert len(pipelines.environments) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"app": Blueprint("x", __name__)}, r"init_app\(Blueprint\): give a flask.Flask"),
        ({"before": noted([], "x")}, r"before=\[login_required\]"),
        ({"g": "trace_id"}, r"g=\['trace_id'\]"),
    ],
)
def test_what_cannot_be_meant(app: Flask, pipelines: PipelineApp, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        pipelines.init_app(**{"app": app, **options})
    assert "pipemount" not in app.blueprints


@pytest.mark.parametrize(
    ("auth", "options", "warnings"),
    [(None, {}, 1), (KEYS, {}, 0), (None, {"before": [noted([], "x")]}, 0), (None, {"principal": lambda: None}, 0)],
)
def test_an_app_that_anybody_may_use_says_so(
    app: Flask, make: Make, auth: Any, options: Any, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pipemount"):
        make(caller, auth=auth).init_app(app, **options)
    assert ["anybody may run caller at /ai" in record.message for record in caplog.records] == [True] * warnings


@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize("told", [True, False])
def test_a_stream_ends_whose_response_a_hook_of_the_host_loses(app: Flask, make: Make, fails: bool, told: bool) -> None:
    ended = threading.Event()

    @step
    async def talk() -> AsyncIterator[str]:
        try:
            while True:
                yield "on and on"
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    @pipeline
    def talking() -> Any:
        return talk()

    @app.after_request
    def change(response: Response) -> Response:
        if fails and response.is_streamed:
            raise ValueError("a hook that takes every response for a page")
        return app.response_class("another") if response.is_streamed else response

    app.config["PROPAGATE_EXCEPTIONS"] = not told
    make(talking).init_app(app)
    with contextlib.suppress(ValueError):
        reply = app.test_client().post("/ai/invoke?mode=stream", json=EMPTY)
        assert reply.status_code == (500 if fails else 200)
        reply.close()
    assert ended.wait(20)
