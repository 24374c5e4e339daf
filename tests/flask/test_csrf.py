"""Posts of other origins with the cookies of a login, and the tokens of the host's own pages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask, render_template_string, session
from flask.testing import FlaskClient
from flask_login import LoginManager, UserMixin, login_user
from flask_wtf.csrf import CSRFProtect
from tests.flask.asking import EMPTY, invoke, output
from tests.flask.conftest import Make

from pipemount import AuthKeys, PipelineApp, pipeline, step

KEY = "correct horse battery staple"
FOREIGN = "https://evil.example"
ran: list[str] = []


class User(UserMixin):
    id = username = "ada"


@step
def note(text: str) -> str:
    ran.append(text)
    return text


@pipeline
def noting(text: str = "ran") -> Any:
    return note(text)


@pytest.fixture
def shop(app: Flask, make: Make) -> Flask:
    """A host with a login, a page with a token, and pipelines for users and keys."""
    ran.clear()
    LoginManager(app).user_loader(lambda name: User())
    make(noting, auth=AuthKeys({"robot": KEY})).init_app(app)
    app.add_url_rule("/login", "login", view_func=lambda: str(login_user(User())))
    app.add_url_rule(
        "/page",
        "page",
        view_func=lambda: render_template_string('<meta name="token" content="{{ pipemount_csrf_token() }}">'),
    )
    return app


@pytest.fixture(params=["ours", "Flask-WTF, set up before", "Flask-WTF, set up later"])
def client(request: pytest.FixtureRequest, app: Flask) -> FlaskClient:
    """Somebody who is logged in."""
    if request.param.endswith("before"):
        CSRFProtect(app)
    shop: Flask = request.getfixturevalue("shop")
    if request.param.endswith("later"):
        CSRFProtect().init_app(shop)
    client = shop.test_client()
    client.get("/login")
    return client


def token_of(client: FlaskClient) -> str:
    found = re.search('content="(.+)"', client.get("/page").text)
    assert found
    return found[1]


def test_a_foreign_post_is_refused_before_anything_runs(client: FlaskClient) -> None:
    answer = invoke(client, Origin=FOREIGN)
    assert (answer.status_code, answer.json["code"]) == (403, "cross-origin")  # type: ignore[index]
    assert ran == []


def test_the_same_post_with_the_token_passes(client: FlaskClient) -> None:
    assert output(invoke(client, Origin=FOREIGN, X_CSRFToken=token_of(client))) == "ran"


def test_posts_of_the_own_origin_need_no_token(client: FlaskClient) -> None:
    assert output(invoke(client, Origin="http://localhost")) == "ran"
    assert output(invoke(client)) == "ran"


def test_a_key_needs_no_token(client: FlaskClient) -> None:
    assert output(invoke(client, Origin=FOREIGN, X_API_Key=KEY)) == "ran"
    assert output(invoke(client.application.test_client(), Origin=FOREIGN, X_API_Key=KEY)) == "ran"


@pytest.mark.parametrize("kind", ["json", "form", "multipart"])
def test_a_foreign_form_is_refused_as_well(client: FlaskClient, kind: str) -> None:
    bodies: dict[str, Any] = {
        "json": {"json": EMPTY},
        "form": {"data": {"parameters": "{}"}},
        "multipart": {"data": {"parameters": "{}"}, "content_type": "multipart/form-data"},
    }
    assert client.post("/ai/invoke", headers={"Origin": FOREIGN}, **bodies[kind]).status_code == 403
    assert ran == []


def test_tokens_of_others_are_worth_nothing(client: FlaskClient) -> None:
    other = client.application.test_client()
    for token in (token_of(other), "", "x", token_of(client)[:-1]):
        assert invoke(client, Origin=FOREIGN, X_CSRFToken=token).status_code == 403
    stranger = client.application.test_client()
    stranger.get("/login")
    assert invoke(stranger, Origin=FOREIGN, X_CSRFToken=token_of(client)).status_code == 403
    assert ran == []


def test_a_token_ends_with_its_session(client: FlaskClient) -> None:
    token = token_of(client)
    with client.session_transaction() as kept:
        kept.pop("csrf_token", None)
        kept.pop("pipemount-csrf", None)
    assert invoke(client, Origin=FOREIGN, X_CSRFToken=token).status_code == 403


def test_a_page_has_one_token_after_another(client: FlaskClient) -> None:
    for token in (token_of(client), token_of(client)):
        assert output(invoke(client, Origin=FOREIGN, X_CSRFToken=token)) == "ran"


def test_a_key_that_was_replaced_still_counts(shop: Flask) -> None:
    client = shop.test_client()
    client.get("/login")
    token = token_of(client)
    cookie = client.get_cookie("session")
    shop.config.update(SECRET_KEY="another", SECRET_KEY_FALLBACKS=["not much of a secret"])
    if "SECRET_KEY_FALLBACKS" in Flask.default_config:  # before Flask 3.1 the session itself ends with its key
        assert output(invoke(client, Origin=FOREIGN, X_CSRFToken=token)) == "ran"
    assert cookie is not None


def test_a_token_needs_a_secret_key(make: Make) -> None:
    bare = Flask("bare")
    make(noting).init_app(bare)
    bare.add_url_rule("/page", "page", view_func=lambda: render_template_string("{{ pipemount_csrf_token() }}"))
    bare.testing = True
    with pytest.raises(RuntimeError, match="secret key"):
        bare.test_client().get("/page")
    client = bare.test_client()
    client.set_cookie("theme", "dark")
    assert output(invoke(client, X_CSRFToken="x")) == "ran"


def test_the_hosts_own_forms_are_still_checked(app: Flask, pipelines: PipelineApp) -> None:
    CSRFProtect(app)
    app.add_url_rule("/buy", "buy", view_func=lambda: str(dict(session)), methods=["POST"])
    pipelines.init_app(app)
    assert app.test_client().post("/buy").status_code == 400
    assert output(invoke(app.test_client())) == "nobody"
