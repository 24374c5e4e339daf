"""Who calls, as the host knows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response, current_app, g, request
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from tests.flask.asking import invoke, output
from tests.flask.conftest import Make, caller

from pipemount import AuthKeys, PipelineApp, Principal

KEY = "correct horse battery staple"


class User(UserMixin):
    def __init__(self, name: str) -> None:
        self.id = self.username = name


@pytest.fixture
def shop(app: Flask) -> Flask:
    """A host with Flask-Login; anybody may log in, under any name."""
    manager = LoginManager(app)
    manager.user_loader(User)
    app.add_url_rule("/login/<name>", "login", view_func=lambda name: str(login_user(User(name))))
    app.add_url_rule("/logout", "logout", view_func=lambda: str(logout_user()))
    return app


def test_the_user_of_flask_login_is_the_principal(shop: Flask, pipelines: PipelineApp) -> None:
    pipelines.init_app(shop, before=[login_required])
    client = shop.test_client()
    assert invoke(client).status_code == 401
    client.get("/login/ada")
    assert output(invoke(client)) == "flask:ada"
    client.get("/logout")
    assert invoke(client).status_code == 401


def test_nobody_is_logged_in(shop: Flask, pipelines: PipelineApp) -> None:
    shop.before_request(lambda: setattr(g, "user", "not asked, as there is a login"))
    pipelines.init_app(shop)
    assert output(invoke(shop.test_client())) == "nobody"


def test_login_and_keys_side_by_side(shop: Flask, make: Make) -> None:
    make(caller, auth=AuthKeys({"robot": KEY})).init_app(shop)
    client = shop.test_client()
    assert invoke(client).status_code == 401
    assert output(invoke(client, X_API_Key=KEY)) == "key:robot"
    client.get("/login/ada")
    assert output(invoke(client)) == "flask:ada"
    assert output(invoke(client, X_API_Key=KEY)) == "key:robot"
    assert invoke(client, X_API_Key="wrong").status_code == 401


def test_a_manager_of_another_library_is_not_asked(app: Flask, pipelines: PipelineApp) -> None:
    app.login_manager = object()  # type: ignore[attr-defined]  # as Flask-Login does
    app.before_request(lambda: setattr(g, "user", "bob"))
    pipelines.init_app(app)
    assert output(invoke(app.test_client())) == "flask:bob"


@pytest.mark.parametrize(
    ("user", "name"),
    [({"name": "bob"}, "flask:bob"), (Principal("own", frozenset({"invoke"}), "ldap"), "ldap:own"), (None, "nobody")],
)
def test_the_user_in_g(app: Flask, pipelines: PipelineApp, user: Any, name: str) -> None:
    app.before_request(lambda: setattr(g, "user", user))
    pipelines.init_app(app)
    assert output(invoke(app.test_client())) == name


@pytest.mark.parametrize("ask", [lambda: current_user, lambda: current_user._get_current_object()])
def test_a_function_may_tell(shop: Flask, pipelines: PipelineApp, ask: Callable[[], Any]) -> None:
    pipelines.init_app(shop, principal=ask)
    client = shop.test_client()
    answer = invoke(client)
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")  # type: ignore[index]
    client.get("/login/ada")
    assert output(invoke(client)) == "flask:ada"


def test_its_word_counts_more_than_the_login(shop: Flask, pipelines: PipelineApp) -> None:
    readers = frozenset({"read"})
    pipelines.init_app(shop, principal=lambda: Principal(current_user.username, readers, "shop"))
    client = shop.test_client()
    client.get("/login/ada")
    assert client.get("/ai/info").status_code == 200
    assert invoke(client).status_code == 403


def test_a_key_does_for_whom_it_does_not_know(app: Flask, make: Make) -> None:
    make(caller, auth=AuthKeys({"robot": KEY})).init_app(app, principal=lambda: request.headers.get("X-User"))
    client = app.test_client()
    assert output(invoke(client, X_User="ada")) == "flask:ada"
    assert output(invoke(client, X_API_Key=KEY)) == "key:robot"
    assert invoke(client).headers["WWW-Authenticate"].startswith("Basic")


def test_what_it_raises_is_an_error_of_the_host(app: Flask, pipelines: PipelineApp) -> None:
    def refuse() -> Any:
        current_app.aborter(418)

    app.register_error_handler(418, lambda error: Response("the host's own page", 418))
    pipelines.init_app(app, principal=refuse)
    assert invoke(app.test_client()).text == "the host's own page"


def test_who_presents_a_key_is_not_looked_for(app: Flask, make: Make) -> None:
    asked: list[str] = []
    make(caller, auth=AuthKeys({"robot": KEY})).init_app(app, principal=lambda: asked.append(request.path))
    client = app.test_client()
    assert output(invoke(client, X_API_Key=KEY)) == "key:robot"
    assert invoke(client, X_API_Key="wrong").status_code == 401
    assert asked == []
    assert invoke(client).status_code == 401
    assert asked == ["/ai/invoke"]


def test_without_keys_of_its_own_the_app_leaves_headers_to_the_host(app: Flask, make: Make) -> None:
    make(caller).init_app(app, principal=lambda: request.headers["Authorization"])
    assert output(invoke(app.test_client(), Authorization="ada")) == "flask:ada"
