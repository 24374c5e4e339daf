"""What surrounds steps: an application context of their own, and with it a database session of their own."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, g, has_app_context
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event, func, select
from sqlalchemy.orm import Mapped, mapped_column
from tests.flask.asking import invoke, output
from tests.flask.conftest import Make, caller

from pipemount import PipelineApp, StepContext, acting_as, pipeline, step

db = SQLAlchemy()
together = threading.Barrier(4, timeout=20)


class Order(db.Model):  # type: ignore[name-defined]  # made by the extension
    id: Mapped[int] = mapped_column(primary_key=True)


def count() -> int:
    counted: int = db.session.scalar(select(func.count()).select_from(Order)) or 0
    return counted


@step
def session_of(number: int) -> int:
    own = id(db.session())
    count()
    together.wait()  # all four are at work now
    assert id(db.session()) == own
    return own


@pipeline
def four() -> Any:
    return {str(number): session_of(number) for number in range(4)}


@step
def orders() -> int:
    return count()


@step(affinity="request")
def orders_of_the_request() -> int:
    return count()


@pipeline
def look() -> Any:
    return orders()


@pipeline
def look_inside() -> Any:
    return orders_of_the_request()


@pytest.fixture
def shop(app: Flask, tmp_path: Path) -> Iterator[Flask]:
    """A host with orders in a database."""
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path / 'shop.db'}"
    db.init_app(app)
    with app.app_context():
        db.create_all()
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def checked_out(shop: Flask) -> list[int]:
    """How many connections are in use, each time that changes."""
    in_use = [0]
    with shop.app_context():
        event.listen(db.engine, "checkout", lambda *_: in_use.append(in_use[-1] + 1))
        event.listen(db.engine, "checkin", lambda *_: in_use.append(in_use[-1] - 1))
    return in_use


def test_four_steps_side_by_side_have_four_sessions_and_return_them(
    shop: Flask, make: Make, checked_out: list[int]
) -> None:
    make(four).init_app(shop)
    answer = invoke(shop.test_client())
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    assert len(set(answer.json["outputs"].values())) == 4
    assert (max(checked_out), checked_out[-1]) == (4, 0)


def test_many_runs_leave_no_connection(shop: Flask, make: Make, checked_out: list[int]) -> None:
    make(look).init_app(shop)
    client = shop.test_client()
    assert {output(invoke(client)) for _ in range(50)} == {0}
    assert len(checked_out) > 50
    assert checked_out[-1] == 0


def test_only_a_step_in_the_requests_thread_sees_its_open_transaction(shop: Flask, make: Make) -> None:
    pipelines = make({"look": look, "look_inside": look_inside})
    pipelines.init_app(shop)

    @shop.route("/checkout", methods=["POST"])
    def checkout() -> list[Any]:
        db.session.add(Order())
        db.session.flush()
        seen = [pipelines.run_sync(name).value for name in ("look", "look_inside")]
        db.session.rollback()
        return [*seen, count()]

    assert shop.test_client().post("/checkout").json == [0, 1, 0]


# ------------------------------------------------------------------------------------------------- g


@step
def seen() -> dict[str, Any]:
    g.mine = "a step's own"
    return {"app": current_app.name, **{name: g.get(name) for name in ("trace_id", "secret", "other")}}


@pipeline
def seeing() -> Any:
    return seen()


@pytest.mark.parametrize("names", [(), ("trace_id",), ["trace_id", "other"]])
def test_steps_see_what_is_listed_of_g(app: Flask, make: Make, names: Any) -> None:
    make(seeing).init_app(app, g=names)
    left: list[bool] = []

    @app.before_request
    def fill() -> None:
        g.trace_id, g.secret = "17", "hush"

    @app.teardown_request
    def look_back(error: BaseException | None) -> None:
        left.append("mine" in g)

    found = output(invoke(app.test_client()))
    trace = "17" if names else None
    assert found == {"app": "shop", "trace_id": trace, "secret": None, "other": None}
    assert left == [False]


def test_two_mounts_list_names_for_both(app: Flask, make: Make) -> None:
    pipelines = make(seeing)
    pipelines.init_app(app, g=["trace_id"])
    pipelines.init_app(app, "/other", name="other", g=["other"])

    @app.before_request
    def fill() -> None:
        g.trace_id, g.other = "17", "18"

    found = output(invoke(app.test_client()))
    assert (found["trace_id"], found["other"]) == ("17", "18")


def test_each_application_is_the_current_one_in_its_own_steps(make: Make) -> None:
    pipelines = make(seeing)
    hosts = [Flask(name) for name in ("first", "second")]
    for host in hosts:
        pipelines.init_app(host)
    assert [output(invoke(host.test_client()))["app"] for host in hosts] == ["first", "second"]


def test_what_a_step_raises_is_told_to_the_teardown(app: Flask, make: Make) -> None:
    told: list[BaseException | None] = []
    app.teardown_appcontext(told.append)

    @step
    def fail() -> int:
        raise LookupError("no such order")

    @pipeline
    def failing() -> Any:
        return fail()

    make(failing).init_app(app)
    assert invoke(app.test_client()).status_code == 500
    assert [type(error) for error in told] == [LookupError, type(None)]


# ------------------------------------------------------------------------------- without a request


def test_hooks_and_runs_without_a_request_have_the_application_set_up_last(make: Make) -> None:
    started: list[str] = []

    @pipeline(on_init=lambda: started.append(current_app.name))
    def ready() -> Any:
        return seen()

    pipelines = make(ready)
    hosts = [Flask(name) for name in ("first", "second")]
    for host in hosts:
        pipelines.init_app(host)
    assert pipelines.run_sync().value["app"] == "second"
    assert started == ["second"]


def test_an_application_that_is_gone_is_forgotten(make: Make) -> None:
    @step
    def has_context() -> bool:
        return has_app_context()

    @pipeline
    def asking() -> Any:
        return has_context()

    pipelines = make(asking)
    pipelines.init_app(Flask("gone"))
    gc.collect()
    assert pipelines.run_sync().value is False


# ---------------------------------------------------------------------------------------- the user


class User(UserMixin):
    def __init__(self, name: str) -> None:
        self.id = self.username = name


@pytest.fixture
def club(app: Flask) -> Flask:
    """A host with a login."""
    LoginManager(app).user_loader(User)
    app.add_url_rule("/login", "login", lambda: str(login_user(User("ada"))))
    return app


def test_the_user_works_in_steps(club: Flask, make: Make) -> None:
    @step
    def user(context: StepContext) -> str:
        assert context.principal is not None
        return f"{context.principal.user.get_id()} {current_user.username}"

    @pipeline
    def telling() -> Any:
        return user()

    make(telling).init_app(club, before=[login_required])
    client = club.test_client()
    client.get("/login")
    assert output(invoke(client)) == "ada ada"


@pytest.mark.parametrize(
    ("principal", "expected"), [(None, "flask:ada"), (lambda: "eve", "flask:eve"), (lambda: None, "nobody")]
)
def test_own_code_runs_on_behalf_of_the_user(club: Flask, make: Make, principal: Any, expected: str) -> None:
    pipelines = make(caller)
    for name in ("pipemount", "again"):
        pipelines.init_app(club, f"/{name}", name=name, principal=principal)
    club.add_url_rule("/own", "own", lambda: pipelines.run_sync().value)
    client = club.test_client()
    client.get("/login")
    assert client.get("/own").text == expected
    assert len(pipelines.users) == 1


def test_outside_a_request_nobody_asks_unless_the_code_says_so(club: Flask, make: Make) -> None:
    pipelines = make(caller)
    pipelines.init_app(club)
    with club.app_context():
        assert pipelines.run_sync().value == "nobody"
        with acting_as("ada", source="cron"):
            assert pipelines.run_sync().value == "cron:ada"


def test_in_another_application_its_own_conventions_hold(app: Flask, pipelines: PipelineApp) -> None:
    pipelines.init_app(Flask("elsewhere"), principal=lambda: "eve")
    app.before_request(lambda: setattr(g, "user", "bob"))
    app.add_url_rule("/own", "own", lambda: pipelines.run_sync().value)
    assert app.test_client().get("/own").text == "flask:bob"
