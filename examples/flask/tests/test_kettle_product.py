"""What the shop did before it had pipelines, and goes on doing: every test runs without and with them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from kettle import create_app
from kettle.extensions import db
from kettle.keys import user_of
from kettle.models import ApiKey, Order, Product, address_key
from kettle.money import in_euros
from sqlalchemy import select
from visitors import ADA, HOME, PASSWORD, SAM, Visitor, words

ON_SHELF = 8


def stock(app: Flask, slug: str) -> int:
    with app.app_context():
        return db.session.scalars(select(Product.stock).filter_by(slug=slug)).one()


def put_on_shelf(app: Flask, slug: str, stock: int) -> None:
    with app.app_context():
        db.session.scalars(select(Product).filter_by(slug=slug)).one().stock = stock
        db.session.commit()


def product_id(app: Flask, slug: str) -> int:
    with app.app_context():
        return db.session.scalars(select(Product.id).filter_by(slug=slug)).one()


def set_aside(app: Flask, path: str) -> None:
    """As if the order of the page ``path`` had been held."""
    with app.app_context():
        db.session.get_one(Order, int(path.rpartition("/")[2])).status = "held"
        db.session.commit()


# -------------------------------------------------------------------------------------------- the shop


def test_everybody_sees_the_shelf(visitor: Visitor) -> None:
    answer = visitor.get("/")
    assert answer.content_type == "text/html; charset=utf-8"
    assert answer.text.count("<h2>") == ON_SHELF
    assert "Copper kettle" in words(answer.text)
    assert "€ 129.00" in words(answer.text)


def test_everybody_sees_a_product(visitor: Visitor) -> None:
    assert "whistles in G" in visitor.page("/products/copper-kettle")


def test_what_is_not_there_has_a_page_that_says_so(visitor: Visitor) -> None:
    answer = visitor.get("/products/coffee")
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


def test_pages_load_nothing_from_elsewhere(ada: Visitor) -> None:
    for path in ("/", "/products/tea", "/basket", "/orders", "/account"):
        answer = ada.get(path)
        assert answer.headers["Content-Security-Policy"] == "default-src 'self'; frame-ancestors 'none'"
        assert re.findall(r'(?:src|href|action)="(?!/|#)[^"]*"', answer.text) == []


def test_files_of_the_pages_are_served(visitor: Visitor) -> None:
    found = re.findall(r'(?:src|href)="(/static/[^"]+)"', visitor.get("/").text)
    assert len(set(found)) == 5
    for path in found:
        with visitor.get(path) as answer:
            assert answer.status_code == 200


# --------------------------------------------------------------------------------------------- signing in


@pytest.mark.parametrize("path", ["/basket", "/checkout", "/orders", "/orders/1", "/account", "/desk"])
def test_what_is_private_sends_a_visitor_to_the_login(visitor: Visitor, path: str) -> None:
    answer = visitor.get(path)
    assert answer.status_code == 302
    assert answer.location == f"/login?next={path.replace('/', '%2F')}"


@pytest.mark.parametrize(("email", "password"), [(ADA, "wrong"), ("nobody@kettle.example", PASSWORD)])
def test_a_wrong_login_is_refused_without_saying_why(visitor: Visitor, email: str, password: str) -> None:
    answer = visitor.post("/login", email=email, password=password)
    assert answer.status_code == 401
    assert "That e-mail and password do not go together." in answer.text
    assert visitor.get("/account").status_code == 302


@pytest.mark.parametrize(
    ("wanted", "location"),
    [
        ("/account", "/account"),
        ("", "/"),
        ("//elsewhere.example", "/"),
        ("/\\elsewhere.example", "/"),
        ("https://elsewhere.example/", "/"),
    ],
)
def test_the_login_leads_on_to_pages_of_the_shop_only(visitor: Visitor, wanted: str, location: str) -> None:
    answer = visitor.client.post(
        "/login",
        query_string={"next": wanted},
        data={"csrf_token": visitor.token, "email": ADA, "password": PASSWORD},
    )
    assert (answer.status_code, answer.location) == (303, location)


def test_staff_are_led_to_the_desk(visitor: Visitor) -> None:
    assert visitor.post("/login", email=SAM, password=PASSWORD).location == "/desk"


def test_somebody_new_becomes_a_customer(visitor: Visitor) -> None:
    answer = visitor.post("/register", name="Lin Orr", email="Lin@Orr.example", password="peppermint")
    assert answer.status_code == 303
    assert "Lin Orr, lin@orr.example" in visitor.page("/account")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("email", ADA, "There is an account with this e-mail already"),
        ("email", "lin", "does not look like an e-mail"),
        ("password", "short", "at least 8 characters"),
        ("name", "", "required"),
    ],
)
def test_an_account_that_cannot_be_is_explained(visitor: Visitor, field: str, value: str, said: str) -> None:
    fields = {"name": "Lin Orr", "email": "lin@orr.example", "password": "peppermint", field: value}
    answer = visitor.post("/register", **fields)
    assert answer.status_code == 422
    assert said in words(answer.text)
    assert visitor.get("/account").status_code == 302


def test_signing_out_ends_the_session(ada: Visitor) -> None:
    assert ada.post("/logout").status_code == 303
    assert ada.get("/account").status_code == 302


def test_the_database_holds_no_password(database: Path, ada: Visitor) -> None:
    assert "Ada Fenn" in ada.page("/account")
    assert PASSWORD.encode() not in database.read_bytes()


@pytest.mark.parametrize("path", ["/login", "/register", "/basket/1", "/checkout", "/account/keys", "/desk/1/accept"])
def test_a_post_without_the_token_of_the_page_is_refused(app: Flask, path: str) -> None:
    staff = Visitor(app.test_client()).sign_in(SAM)
    assert staff.client.post(path, data={"quantity": 1}).status_code == 400


# --------------------------------------------------------------------------------------------------- buying


def test_a_product_goes_into_the_basket_and_out_again(app: Flask, ada: Visitor) -> None:
    path = f"/basket/{product_id(app, 'stoneware-cup')}"
    assert ada.post(path, quantity=2).location == "/basket"
    assert "Total € 36.00" in ada.page("/basket")
    ada.post(path, quantity=3)
    assert "Basket (3)" in ada.page("/")
    ada.post(path, quantity=0)
    assert "It is empty." in ada.page("/basket")


@pytest.mark.parametrize("quantity", ["-1", "100", "many"])
def test_a_quantity_that_cannot_be_is_refused(app: Flask, ada: Visitor, quantity: str) -> None:
    assert ada.post(f"/basket/{product_id(app, 'stoneware-cup')}", quantity=quantity).status_code == 400


def test_more_than_there_is_does_not_go_into_the_basket(app: Flask, ada: Visitor) -> None:
    answer = ada.post(f"/basket/{product_id(app, 'copper-kettle')}", quantity=9)
    assert "Of Copper kettle there are 8." in ada.page(answer.location)
    assert "It is empty." in ada.page("/basket")


def test_the_basket_is_each_customers_own(ada: Visitor, sam: Visitor, app: Flask) -> None:
    ada.post(f"/basket/{product_id(app, 'mint-garden')}", quantity=1)
    assert "It is empty." in sam.page("/basket")


def test_an_everyday_order_is_accepted(app: Flask, ada: Visitor) -> None:
    before = stock(app, "mint-garden")
    path = ada.order("mint-garden", 2)
    page = ada.page(path)
    assert "accepted Thank you!" in page
    assert "Total € 13.80" in page
    assert "Ada Fenn 3 Weir Walk BA12 Bath" in page
    assert stock(app, "mint-garden") == before - 2
    assert "It is empty." in ada.page("/basket")
    assert f"Order {path.rpartition('/')[2]}" in ada.page("/orders")


def test_an_address_that_lacks_something_is_explained(app: Flask, ada: Visitor) -> None:
    ada.post(f"/basket/{product_id(app, 'mint-garden')}", quantity=1)
    answer = ada.post("/checkout", **(HOME | {"street": ""}))
    assert answer.status_code == 422
    assert 'aria-describedby="street-error"' in answer.text
    assert "None yet." in ada.page("/orders")


def test_nobody_checks_out_with_an_empty_basket(ada: Visitor) -> None:
    assert ada.get("/checkout").location == "/basket"
    assert ada.post("/checkout", **HOME).location == "/basket"


def test_the_last_one_is_sold_once(app: Flask, ada: Visitor, sam: Visitor) -> None:
    put_on_shelf(app, "first-flush", 1)
    number = product_id(app, "first-flush")
    for customer in (ada, sam):
        assert customer.post(f"/basket/{number}", quantity=1).location == "/basket"
    assert sam.post("/checkout", **HOME).location.startswith("/orders/")
    answer = ada.post("/checkout", **HOME)
    assert answer.location == "/basket"
    assert "Darjeeling first flush has just been sold out." in ada.page("/basket")
    assert "None yet." in ada.page("/orders")
    assert "Darjeeling first flush" in ada.page("/basket")


def test_an_order_is_not_there_for_others(ada: Visitor, sam: Visitor) -> None:
    path = ada.order()
    assert sam.get(path).status_code == 404


# ------------------------------------------------------------------------------------------------- the desk


def test_the_desk_is_for_staff(ada: Visitor) -> None:
    assert ada.get("/desk").status_code == 403
    assert ada.post("/desk/1/accept").status_code == 403


@pytest.mark.parametrize(("decision", "status"), [("accept", "accepted"), ("reject", "not accepted")])
def test_staff_decide_what_was_held(app: Flask, ada: Visitor, sam: Visitor, decision: str, status: str) -> None:
    before = stock(app, "mint-garden")
    path = ada.order("mint-garden", 2)
    set_aside(app, path)
    assert "held for review" in ada.page(path)
    number = path.rpartition("/")[2]
    assert f"Order {number}, € 13.80" in sam.page("/desk")
    sam.post(f"/desk/{number}/{decision}")
    assert "Nothing is waiting." in sam.page("/desk")
    assert status in ada.page(path)
    assert stock(app, "mint-garden") == (before - 2 if decision == "accept" else before)


def test_what_is_decided_is_decided(app: Flask, ada: Visitor, sam: Visitor) -> None:
    number = ada.order().rpartition("/")[2]
    assert sam.post(f"/desk/{number}/reject").status_code == 404


# ------------------------------------------------------------------------------------------------- the keys


def new_key(visitor: Visitor, label: str = "my spreadsheet") -> str:
    answer = visitor.post("/account/keys", label=label)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    found = re.search(r'id="new-key">(kettle_[\w-]{43})<', answer.text)
    assert found is not None
    return found[1]


def test_a_key_is_shown_once_and_kept_as_a_digest(app: Flask, database: Path, ada: Visitor) -> None:
    key = new_key(ada)
    page = ada.page("/account")
    assert "my spreadsheet" in page
    assert f"…{key[-4:]}" in page
    assert key not in page
    assert key.encode() not in database.read_bytes()
    with app.app_context():
        user = user_of(key)
        assert user is not None
        assert user.email == ADA


def test_a_key_that_was_revoked_is_nobodys(app: Flask, ada: Visitor) -> None:
    key = new_key(ada)
    with app.app_context():
        number = db.session.scalars(select(ApiKey.id)).one()
    assert "was revoked" in words(
        ada.client.post(f"/account/keys/{number}/revoke", data={"csrf_token": ada.token}, follow_redirects=True).text
    )
    with app.app_context():
        assert user_of(key) is None


def test_nobody_revokes_the_key_of_another(app: Flask, ada: Visitor, sam: Visitor) -> None:
    key = new_key(ada)
    with app.app_context():
        number = db.session.scalars(select(ApiKey.id)).one()
    assert sam.post(f"/account/keys/{number}/revoke").status_code == 404
    with app.app_context():
        assert user_of(key) is not None


def test_a_key_needs_a_label(ada: Visitor) -> None:
    assert ada.post("/account/keys", label="").status_code == 422


# ------------------------------------------------------------------------------- commands and configuration


def test_commands_make_a_shop_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KETTLE_DATABASE", f"sqlite:///{tmp_path}/new.sqlite3")
    monkeypatch.setenv("KETTLE_PIPELINES", "off")
    monkeypatch.setenv("KETTLE_PASSWORD", PASSWORD)
    app = create_app()
    runner = app.test_cli_runner()
    assert runner.invoke(args=["init-db"]).output == "The tables are there.\n"
    assert re.match(r"8 products and \d+ past orders", runner.invoke(args=["seed"]).output)
    again = runner.invoke(args=["seed"])
    assert (again.exit_code, again.output) == (1, "Error: the shop has users already; seed fills an empty one\n")
    assert "Ada Fenn" in Visitor(app.test_client()).sign_in().page("/account")
    with app.app_context():
        placed = db.session.scalars(select(Order.placed_at)).all()
        db.engine.dispose()
    assert max(placed) < datetime.now(UTC).replace(tzinfo=None)


def test_production_asks_for_a_key_and_keeps_cookies_to_https(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KETTLE_ENV", "production")
    monkeypatch.setenv("KETTLE_PIPELINES", "off")
    with pytest.raises(RuntimeError, match="set KETTLE_SECRET_KEY"):
        create_app()
    monkeypatch.setenv("KETTLE_SECRET_KEY", "secret")
    config = create_app().config
    assert (config["SESSION_COOKIE_SECURE"], config["SECRET_KEY"], config["PIPELINES"]) == (True, "secret", False)


def test_an_environment_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KETTLE_ENV", "prod")
    with pytest.raises(RuntimeError, match="choose of development, production"):
        create_app()


def test_cents_are_told_as_euros() -> None:
    assert [in_euros(cents) for cents in (0, 5, 123456)] == ["€ 0.00", "€ 0.05", "€ 1,234.56"]


def test_one_address_is_written_in_many_ways() -> None:
    assert address_key("12, Mill-Lane", "BA 12") == address_key("12 mill lane", "ba12")
    assert address_key("12 Mill Lane", "BA12") != address_key("1 Mill Lane", "BA12")
