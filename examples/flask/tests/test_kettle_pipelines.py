"""The fraud check: as a function, at the checkout, and as an API for whoever is signed in or has a key."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from kettle import create_app
from kettle import pipelines as moved_in
from kettle.extensions import db
from kettle.models import Order, Product, User, now
from kettle.pipelines import Placed, fraud_check, pipelines
from kettle.risk import Signals, learn
from sqlalchemy import QueuePool, event, select
from sqlalchemy.orm import Session
from visitors import ADA, HOME, SAM, Visitor, new_key, settings

from pipemount import Principal, StepContext

INVOKE = "/ai/invoke"


@pytest.fixture
def app(database: Path) -> Iterator[Flask]:
    app = create_app(settings(database, pipelines=True))
    yield app
    with app.app_context():
        db.engine.dispose()


def place(app: Flask, email: str = ADA, total: int = 1200, **values: Any) -> int:
    """An order in the database, as the checkout makes it."""
    with app.app_context():
        customer = db.session.scalars(select(User).filter_by(email=email)).one()
        order = Order(customer_id=customer.id, total=total, **(HOME | values))
        db.session.add(order)
        db.session.commit()
        return order.id


def body(number: object) -> dict[str, Any]:
    return {"parameters": {"order_id": number}}


# -------------------------------------------------------------------------------------- the scorecard


def test_a_scorecard_that_knows_nothing_says_so() -> None:
    card = learn([])
    assert (card.orders, card.risk(Signals(99_999)), card.reasons(Signals(99_999))) == (0, 0.5, [])


def test_what_came_with_unpaid_orders_speaks_against_the_next() -> None:
    good = [(Signals(2000, paid=3), True)] * 90
    card = learn([*good, *[(Signals(30_000, vouchers=30_000, strangers=2), False)] * 10])
    suspicious = Signals(25_000, vouchers=25_000, strangers=3)
    assert card.risk(Signals(1500, paid=5)) < 0.01
    assert card.risk(suspicious) > 0.99
    assert set(card.reasons(suspicious)) == {
        "Most of it is vouchers.",
        "Several customers had something sent to this address this week.",
        "The customer has not paid an order before.",
        "The order is above € 200.",
    }
    assert card.reasons(Signals(1500, paid=5)) == []


def test_an_order_is_learnt_as_it_looked_when_it_was_placed(app: Flask) -> None:
    with app.app_context():
        began = now() - timedelta(days=60)
        early, soon, late = (
            Order(customer_id=1, total=100, paid=paid, placed_at=began + timedelta(days=days), **HOME)
            for paid, days in ((False, 0), (True, 0.5), (True, 30))
        )
        stranger = Order(customer_id=2, total=100, paid=True, placed_at=began + timedelta(days=2), **HOME)
        told = [signals for signals, _ in moved_in._as_they_looked([early, soon, stranger, late])]
    assert told == [
        Signals(100),
        Signals(100, today=1),
        Signals(100, strangers=1),
        Signals(100, paid=1, unpaid=1),
    ]


# ----------------------------------------------------------------------------------------- the pipeline


def test_three_ways_through_the_check() -> None:
    assert len(fraud_check.compile().paths) == 3


@pytest.mark.parametrize(
    ("order", "decision"),
    [({"total": 1200}, "accepted"), ({"total": 25_800}, "held")],
)
def test_the_shops_own_code_asks_without_anybody_signed_in(app: Flask, order: dict[str, Any], decision: str) -> None:
    number = place(app, **order)
    with app.app_context():
        outputs = pipelines.run_sync("fraud_check", order_id=number).outputs
    assert outputs["verdict"].decision == decision
    assert 0 < outputs["risk"] < 1


def test_the_four_steps_that_read_have_a_session_each(app: Flask) -> None:
    number, sessions = place(app), set()

    def note(session: Session, transaction: object, connection: object) -> None:
        sessions.add(session)

    with app.app_context():
        pipelines.run_sync("fraud_check", order_id=number)  # which may be the one that starts the pipelines
        event.listen(db.session, "after_begin", note)
        try:
            pipelines.run_sync("fraud_check", order_id=number)
        finally:
            event.remove(db.session, "after_begin", note)
        assert isinstance(db.engine.pool, QueuePool)
        assert db.engine.pool.checkedout() == 0
    assert len(sessions) == 4


# ---------------------------------------------------------------------------------------- at the checkout


def test_what_is_suspicious_is_held_with_its_reasons_for_the_desk(ada: Visitor, sam: Visitor) -> None:
    path = ada.order("copper-kettle", 2)
    assert "held for review" in ada.page(path)
    desk = sam.page("/desk")
    assert "The order is above € 200." in desk
    assert "The customer has not paid an order before." in desk
    assert re.search(r"Risk \d\d %", desk)


def test_the_checkout_asks_for_whoever_is_signed_in(ada: Visitor) -> None:
    asked: list[Principal | None] = []

    def note(order: Placed, context: StepContext) -> int:
        asked.append(context.principal)
        return 0

    with pipelines.override(count_strangers=note):
        ada.order()
    assert asked == [Principal("1", frozenset({"invoke", "read", "cancel"}), "kettle")]


def test_what_is_plain_fraud_is_rejected_and_goes_back_on_the_shelf(app: Flask, ada: Visitor) -> None:
    place(app, SAM)
    path = ada.order("voucher-50", 6)
    assert "not accepted We cannot send this by invoice." in ada.page(path)
    with app.app_context():
        assert db.session.scalars(select(Product.stock).filter_by(slug="voucher-50")).one() == 500


def test_a_customer_who_always_paid_is_trusted_with_more(app: Flask, ada: Visitor) -> None:
    for days in (30, 60, 90):
        place(app, paid=True, placed_at=now() - timedelta(days=days), status="accepted")
    assert "accepted Thank you!" in ada.page(ada.order("copper-kettle", 2))


def test_where_the_check_fails_a_person_decides(ada: Visitor, sam: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    def broken(order: object) -> int:
        raise ConnectionError("the database went away")

    with pipelines.override(count_strangers=broken), caplog.at_level(logging.ERROR, "kettle"):
        path = ada.order()
    assert "held for review" in ada.page(path)
    assert "The check could not be made." in sam.page("/desk")
    assert "is held: " in caplog.text


# -------------------------------------------------------------------------------------------- the API


def test_a_customer_asks_about_an_order_of_their_own(app: Flask, ada: Visitor) -> None:
    number = place(app)
    answer = ada.client.post(INVOKE, json=body(number), headers={"X-CSRFToken": ada.token})
    assert answer.status_code == 200, answer.text
    outputs = answer.get_json()["outputs"]
    assert outputs["verdict"] == {"decision": "accepted", "message": f"Nothing speaks against order {number}."}


def test_a_key_opens_what_its_user_may_see(app: Flask, ada: Visitor) -> None:
    key = {"Authorization": f"Bearer {new_key(ada)}"}
    program, mine, other = app.test_client(), place(app), place(app, SAM)
    assert program.post(INVOKE, json=body(mine), headers=key).status_code == 200
    answer = program.post(INVOKE, json=body(other), headers=key)
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert answer.get_json()["code"] == "no-such-order"
    assert program.post(INVOKE, json=body(999_999), headers=key).status_code == 404


def test_staff_ask_about_any_order(app: Flask, sam: Visitor) -> None:
    answer = sam.client.post(INVOKE, json=body(place(app)), headers={"X-CSRFToken": sam.token})
    assert answer.status_code == 200


def test_a_key_opens_no_page(app: Flask, ada: Visitor) -> None:
    key = {"Authorization": f"Bearer {new_key(ada)}"}
    assert app.test_client().get("/account", headers=key).status_code == 302


@pytest.mark.parametrize("authorization", [None, "Bearer kettle_wrong", "Basic YTpi", "Bearer"])
@pytest.mark.parametrize("path", ["/ai", INVOKE, "/ai/openapi.json", "/ai/nowhere"])
def test_nobody_else_gets_in(app: Flask, path: str, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = app.test_client().open(path, method="POST" if path == INVOKE else "GET", json=body(1), headers=headers)
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="kettle"'
    assert "your account page makes one" in answer.get_json()["detail"]


def test_a_key_that_was_revoked_opens_nothing(app: Flask, ada: Visitor) -> None:
    key, number = {"Authorization": f"Bearer {new_key(ada)}"}, place(app)
    assert app.test_client().post(INVOKE, json=body(number), headers=key).status_code == 200
    assert ada.post("/account/keys/1/revoke").status_code == 303
    assert app.test_client().post(INVOKE, json=body(number), headers=key).status_code == 401


def test_a_post_from_a_page_of_another_site_is_refused(app: Flask, ada: Visitor) -> None:
    number, elsewhere = place(app), {"Origin": "https://elsewhere.example"}
    refused = ada.client.post(INVOKE, json=body(number), headers=elsewhere)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "cross-origin")
    proved = ada.client.post(INVOKE, json=body(number), headers=elsewhere | {"X-CSRFToken": ada.token})
    assert proved.status_code == 200


@pytest.mark.parametrize("number", [0, "first", None])
def test_bad_input_is_a_problem(app: Flask, ada: Visitor, number: object) -> None:
    answer = ada.client.post(INVOKE, json=body(number), headers={"X-CSRFToken": ada.token})
    assert answer.status_code == 422
    assert [error["loc"] for error in answer.get_json()["errors"]] == [["parameters", "order_id"]]


def test_the_page_of_an_order_knows_where_to_ask(app: Flask, ada: Visitor) -> None:
    assert f'data-url="{INVOKE}"' in ada.get(f"/orders/{place(app)}").text


def test_the_steps_are_in_the_document(ada: Visitor) -> None:
    document = ada.get("/ai/openapi.json").get_json()
    assert INVOKE in document["paths"] or "/invoke" in document["paths"]
