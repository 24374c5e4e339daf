"""S4 of the hardening matrix: what a step gives in error is 500 ``output-invalid`` and leaks nothing, by every way."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from tests.support.asgi import get, post
from tests.support.sockets import Socket
from typing_extensions import TypedDict

from pipemount import PipelineApp, pipeline, step

SECRET = "correct-horse-battery-staple"


class User(BaseModel):
    name: str


class Row(User):
    """What a database gives: more than was promised."""

    password: str = SECRET


class Named(TypedDict):
    name: str


@dataclass
class Person:
    name: str


@dataclass
class Employee(Person):
    password: str = SECRET


class Loud:
    """Says what it knows whenever it is looked at."""

    def __repr__(self) -> str:
        return SECRET

    __str__ = __repr__


def giving(value: Any, annotation: Any) -> Any:
    """A pipeline of one step that declares ``annotation`` and gives ``value``."""

    async def give() -> Any:
        return value

    give.__annotations__["return"] = annotation
    made = step(give)

    @pipeline
    def given() -> Any:
        return made()

    return given


def cycle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


INVALID: dict[str, tuple[Any, Any]] = {
    "nan-where-the-type-has-none": (math.nan, Annotated[float, Field(allow_inf_nan=False)]),
    "infinity-out-of-bounds": (math.inf, Annotated[float, Field(le=1)]),
    "bytes-for-a-text": (b"\xff" + SECRET.encode(), str),
    "bytes-for-a-number": (SECRET.encode(), int),
    "a-cycle": (cycle(), Any),
    "a-cycle-in-a-list": (cycle(), list[Any]),
    "text-for-a-number": (SECRET, int),
    "none-for-a-model": (None, User),
    "a-model-that-lacks-a-field": ({"password": SECRET}, User),
    "another-model": (Employee("ada"), User),
    "an-object": (Loud(), Any),
    "an-object-inside": ({"a": [Loud()]}, dict[str, Any]),
    "an-exception": (ValueError(SECRET), Any),
    "more-than-a-typed-dict-has": ({"name": "ada", "password": SECRET}, Named),
    "a-lone-surrogate": ("\ud800" + SECRET, str),
}
EXTRA: dict[str, tuple[Any, Any]] = {
    "a-subclass": (Row(name="ada"), User),
    "in-a-list": ([Row(name="ada"), {"name": "bob", "password": SECRET}], list[User]),
    "in-a-dict": ({"a": Row(name="ada")}, dict[str, User]),
    "or-nothing": (Row(name="ada"), User | None),
    "a-dict-for-a-model": ({"name": "ada", "password": SECRET}, User),
    "a-dataclass": (Employee("ada"), Person),
}


@step
async def tell_async() -> AsyncIterator[User]:
    yield Row(name="ada")


@step
def tell_sync() -> Iterator[User]:
    yield Row(name="ada")


@step
def tell_and_return() -> Generator[list[User], None, Annotated[User, "user"]]:
    yield [Row(name="ada")]
    return Row(name="ada")


@step
async def tell_wrong() -> AsyncIterator[User]:
    yield {"password": SECRET}  # type: ignore[misc]  # on purpose


def telling(one: Any) -> Any:
    @pipeline
    def told() -> Any:
        return one()

    return told


TOLD = {"async": tell_async, "sync": tell_sync, "with-a-result": tell_and_return}
APP = {
    **{f"bad-{name}": giving(*one) for name, one in INVALID.items()},
    **{f"more-{name}": giving(*one) for name, one in EXTRA.items()},
    **{f"told-{name}": telling(one) for name, one in TOLD.items()},
    "told-wrong": telling(tell_wrong),
}


@pytest.fixture(scope="module")
def app() -> Iterator[PipelineApp]:
    app = PipelineApp(APP)
    yield app
    app.lifecycle.close()


async def said(app: PipelineApp, name: str) -> dict[str, bytes]:
    """All that is answered about a run, by the way in which it was asked for."""
    answers = {
        "invoke": await post(app, f"/{name}/invoke", {"parameters": {}}),
        "stream": await post(app, f"/{name}/invoke?mode=stream", {"parameters": {}}),
        "keyed": await post(app, f"/{name}/invoke", {"parameters": {}}, headers={"idempotency-key": f'"{name}"'}),
        "batch": await post(app, f"/{name}/batch", b"[{}]"),
        "submit": await post(app, f"/{name}/submit", {"parameters": {}}),
    }
    job = answers["submit"].json()["job_id"]
    answers["events"] = await get(app, f"/jobs/{job}/events")
    answers["job"] = await get(app, f"/jobs/{job}")
    assert answers["job"].json()["finished_at"]
    found = {way: answer.body for way, answer in answers.items()}
    async with Socket(app, f"/{name}/stream") as socket:
        told = [await socket.ask(type="invoke", parameters={}), *await socket.hear_until("ended")]
    return found | {"socket": json.dumps(told).encode()}


@pytest.mark.parametrize("name", INVALID)
async def test_s4_bad_output_is_500_by_every_way_and_leaks_nothing(app: PipelineApp, name: str) -> None:
    answers = await said(app, f"bad-{name}")
    invoked, keyed, job = (json.loads(answers[way]) for way in ("invoke", "keyed", "job"))
    (item,) = json.loads(answers["batch"])
    for problem in (invoked, keyed, item):
        assert (problem["status"], problem["code"], problem["outputs"]) == (500, "output-invalid", None)
    assert (job["status"], job["outputs"], job["error"]["code"]) == ("failed", None, "output-invalid")
    for way in ("stream", "events", "socket"):
        assert b"run_completed" not in answers[way] and b"output-invalid" in answers[way], way
    assert {way for way, body in answers.items() if SECRET.encode() in body} == set()


@pytest.mark.parametrize("name", [f"more-{name}" for name in EXTRA] + [f"told-{name}" for name in TOLD])
async def test_s4_what_was_not_declared_is_serialised_by_no_way(app: PipelineApp, name: str) -> None:
    answers = await said(app, name)
    assert json.loads(answers["invoke"])["success"] is True
    assert {way for way, body in answers.items() if b"ada" not in body} <= {"submit"}
    assert {way for way, body in answers.items() if SECRET.encode() in body or b"password" in body} == set()


async def test_s4_a_delta_that_does_not_fit_is_told_by_its_type_alone(app: PipelineApp) -> None:
    answers = await said(app, "told-wrong")
    assert b'"data":{"value":"dict"}' in answers["stream"]
    assert json.loads(answers["invoke"])["code"] == "output-invalid"
    assert {way for way, body in answers.items() if SECRET.encode() in body} == set()


async def test_nan_is_null_where_the_schema_says_that_it_may_be() -> None:
    app = PipelineApp(giving(math.nan, float))
    answer, document = await post(app, "/invoke", {"parameters": {}}), (await get(app, "/openapi.json")).json()
    outputs = document["components"]["schemas"]["given_Outputs"]["properties"]["output"]
    assert answer.json()["outputs"] == {"output": None}
    assert {"type": "null"} in outputs["anyOf"]
    await app.lifecycle.aclose()


async def test_deltas_are_objects_to_who_listens_in_process() -> None:
    async with asyncio.timeout(10):
        async with (app := PipelineApp(telling(tell_async))).lifespan(None):
            deltas = [event.data["value"] async for event in app.stream() if event.kind == "delta"]
    assert [type(delta) for delta in deltas] == [User]
