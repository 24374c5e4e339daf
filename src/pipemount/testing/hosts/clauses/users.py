"""The host's own users: who is signed in by a cookie may ask pipelines, and no other site may do so in their name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ..clause import clause, expect, same
from ..client import Reply
from ..pairs import Pair, Running
from .requests import is_problem

__all__: list[str] = []

EVIL = "https://evil.example"
BODY = json.dumps({"parameters": {"name": "Ada"}}).encode()


def no_users(pair: Pair) -> str:
    """Why nobody is signed in before a request comes to the pipelines."""
    return "" if pair.form.users else "the product signs nobody in here: keys are what callers have"


@dataclass
class Browser:
    """Somebody who is signed in: a cookie, and the token that the host's pages send along."""

    running: Running
    cookie: str
    token: str | None

    @classmethod
    def signed_in(cls, running: Running) -> Browser:
        """After ``POST /sign-in``."""
        client = running.server
        with client.connection() as connection:
            connection.request("POST", f"{running.asked}/sign-in")
            response = connection.getresponse()
            answer = json.loads(response.read())
            cookies = response.headers.get_all("set-cookie") or []
        return cls(running, "; ".join(cookie.partition(";")[0] for cookie in cookies), answer["token"])

    def post(self, headers: Mapping[str, str], path: str = "/greet/invoke", body: bytes = BODY) -> Reply:
        """Without a key."""
        sent = {"cookie": self.cookie, "content-type": "application/json", **headers}
        with self.running.server.connection() as connection:
            connection.request("POST", self.running.ai + path, body, sent)
            return Reply.of(connection.getresponse())

    @property
    def proof(self) -> dict[str, str]:
        """What the host's own pages send along."""
        return {"origin": self.running.server.url} | ({"x-csrftoken": self.token} if self.token else {})


@clause("who is signed in by the host needs no key", group="the host's login", unless=no_users)
def signed_in(running: Running) -> None:
    ada = Browser.signed_in(running)
    reply = ada.post(ada.proof)
    same("answer", (reply.status, reply.json().get("outputs")), (200, {"greeting": "Hello, Ada!"}), running)


@clause(
    "another site cannot ask in a user's name: refused before anything runs; a key needs no token",
    group="the host's login",
    unless=no_users,
)
def cross_origin(running: Running) -> None:
    ada = Browser.signed_in(running)
    before = running.noted("told").total()
    for foreign in ({"origin": EVIL}, {"sec-fetch-site": "cross-site"}):
        reply = ada.post(foreign, "/process/invoke")
        same("status", reply.status, 403, running)
        same("content type", reply.headers.get("content-type"), "application/problem+json", running)
    same("runs", running.noted("told").total(), before, running)
    if ada.token:
        same("without the token", ada.post({"origin": running.server.url}).status, 403, running)
    key = running.server.headers["X-API-Key"]
    same("with a key", ada.post({"origin": EVIL, "x-api-key": key}).status, 200, running)


@clause(
    "CSRF protection leaves bodies alone: JSON, form and multipart come whole, with a key and with the header token",
    group="the host's login",
    unless=lambda pair: (
        no_users(pair) or ("" if "Django" in pair.host.name else "Django's CSRF middleware reads bodies")
    ),
)
def csrf_bodies(running: Running) -> None:
    ada = Browser.signed_in(running)
    multipart = b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    bodies = {"application/json": BODY, "application/x-www-form-urlencoded": b"a=1&b=2"}
    for content_type, body in (bodies | {"multipart/form-data; boundary=x": multipart}).items():
        typed = {"content-type": content_type}
        refused = ada.post(typed, body=body)
        is_problem(running, refused, 403, "csrf-failed")
        expected = 200 if content_type == "application/json" else 415
        reply = ada.post(typed | ada.proof, body=body)
        same(f"status of {content_type} with the token", reply.status, expected, running)
        whole = ada.post(typed | ada.proof, "/-/digest", body)
        same(f"length of {content_type}", (whole.status, whole.json().get("length")), (200, len(body)), running)
        keyed = running.server.request("POST", f"{running.ai}/-/digest", body, typed)
        same(f"length of {content_type}, with a key", keyed.json()["length"], len(body), running)
        expect(keyed.status == 200, str(keyed.status), running)
