"""Visitors of the shop, who fill in its forms as a browser does, and what they need to know."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

__all__ = ["ADA", "EXAMPLE", "HOME", "PASSWORD", "SAM", "Visitor", "new_key", "settings", "words"]

EXAMPLE = Path(__file__).parents[1]
PASSWORD = "bergamot"
ADA, SAM = "ada@kettle.example", "sam@kettle.example"
HOME = {"recipient": "Ada Fenn", "street": "3 Weir Walk", "postcode": "BA12", "city": "Bath"}


class Visitor:
    """A browser without a screen: keeps cookies, and sends the token of the page that a form is on."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def page(self, path: str) -> str:
        """The text of a page that must be there, without its tags."""
        answer = self.get(path)
        assert answer.status_code == 200, (answer.status, answer.text)
        return words(answer.text)

    @property
    def token(self) -> str:
        found = re.search(r'name="csrf-token" content="([^"]+)"', self.get("/").text)
        assert found is not None
        return found[1]

    def post(self, path: str, **fields: Any) -> TestResponse:
        return self.client.post(path, data={"csrf_token": self.token, **fields})

    def sign_in(self, email: str = ADA, password: str = PASSWORD) -> Visitor:
        assert self.post("/login", email=email, password=password).status_code == 303
        return self

    def order(self, slug: str = "mint-garden", quantity: int = 1, **address: str) -> str:
        """Buys something; the path of the order."""
        bought = re.search(r'action="(/basket/\d+)"', self.get(f"/products/{slug}").text)
        assert bought is not None
        assert self.post(bought[1], quantity=quantity).status_code == 303
        answer = self.post("/checkout", **(HOME | address))
        assert answer.status_code == 303, words(answer.text)
        return answer.location


def new_key(visitor: Visitor) -> str:
    """A key that a customer makes on their account's page."""
    found = re.search(r'id="new-key">([^<]+)<', visitor.post("/account/keys", label="tests").text)
    assert found is not None
    return found[1]


def words(page: str) -> str:
    """What a page says."""
    without = re.sub(r"(?s)<head>.*?</head>|<[^>]+>", " ", page)
    return " ".join(unescape(without).split())


def settings(file: Path, *, pipelines: bool) -> dict[str, Any]:
    return {
        "TESTING": True,
        "SECRET_KEY": "a key that only the tests know",
        "SQLALCHEMY_DATABASE_URI": f"sqlite:///{file}",
        "PASSWORD_METHOD": "pbkdf2:sha256:1",
        "PIPELINES": pipelines,
    }
