"""The documents are valid OpenAPI 3.1, point at the mount, and say what is accepted: no more and no less."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import jsonschema_rs
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from tests.contract.catalogue import HOSTS, PIPELINES, make
from tests.support.asgi import get, post

HOSTED = [(host, mount) for host in ("starlette", "fastapi", "included") for mount in ("/p", "/a/b c")]


# ----------------------------------------------------------------------------------------- documents


@pytest.mark.parametrize(
    ("host", "mount", "locked"),
    [
        *(("alone", "", locked) for locked in (True, False)),
        *((*where, True) for where in HOSTED),
        *(pytest.param(*where, False, marks=pytest.mark.full) for where in HOSTED),
    ],
)
@pytest.mark.no_cover
async def test_the_document_is_valid_and_points_at_its_mount(host: str, mount: str, locked: bool) -> None:
    app = HOSTS[host](make(locked=locked), mount)
    headers = {"x-api-key": "open-sesame-open-sesame"}
    answer = await get(app, f"{mount}/openapi.json", headers=headers if locked else None)
    assert answer.status == 200
    document = answer.json()
    assert [str(fault) for fault in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert document["servers"] == [{"url": quote(mount) or "/"}]
    for path, item in document["paths"].items():
        if "get" in item:
            reply = await get(app, mount + path, headers=headers if locked else None)
            assert reply.status in ((404,) if "{job_id}" in path else (200, 307)), path
    assert ("security" in document) == locked


@pytest.mark.parametrize("locked", [pytest.param(True, marks=pytest.mark.full), False], ids=["locked", "open"])
@pytest.mark.parametrize("mount", ["/p", "/a/b c"])
async def test_a_host_s_document_with_an_included_router_is_valid(mount: str, locked: bool) -> None:
    host = HOSTS["included"](make(locked=locked), mount)
    assert isinstance(host, FastAPI)
    document = (await get(host, "/openapi.json")).json()
    assert [str(fault) for fault in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert {f"{mount}/pipelines/{name}/invoke" for name in PIPELINES} <= set(document["paths"])


# --------------------------------------------------------------------------------- schema and runtime

# Numerals of one digit only: of a number with bounds the schema lists a part of those that are taken. And no float
# beyond 2**63: it is refused for an integer, while the same number without a point is taken; no schema tells.
ODD: SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 2, 10, 99, 100, 255, 256, 1.0, 1.5, -0.5, 0.5, -10.5, 1e12),
        *(2**63, -(2**70), 86400, 86400000 * 400000, -12, 20, 1000, 1000.5),
        *("", "1", "2", "1.0", "-3", "true", "NO", "FI", "a", "ab", "abcde"),
        *("é", "\x00", "red"),
        *("2026-01-01", "2026-01-01T00:00:00Z", "12:00:00Z", "P1D", "aGk=", "card", "invoice", "kind", "steps"),
        *([], [1], [1, "a"], [True, False], {}, {"a": 1}, {"kind": "card"}, {"x": 1}, {"name": "a"}),
    ]
).map(copy.deepcopy)
WHOLE: dict[str, Any] = {
    "weather": {"city": "Oslo", "temperature": 3.0},
    "order": {
        "items": [{"name": "a", "price": 2.5, "quantity": 3, "colour": "red", "tags": ["t"], "parts": []}],
        "address": {"street": "a", "zip_code": "12345", "country": "SE"},
        "payment": {"kind": "invoice", "due": "2026-01-01"},
        "discount": 0.5,
        "priority": 10,
    },
    "mixed": {
        "at": "2026-01-01T00:00:00Z",
        "pair": [1, "a"],
        "day": "2026-01-01",
        "hour": "12:00:00Z",
        "span": "P1D",
        "scores": {"a": 1},
        "numbers": [1.0, 2.5],
        "either": "a",
        "flags": [True],
        "ratio": "0.5",
        "ident": "8b1e6c1e-6a3e-4f57-9d2c-0d6f4f6c6a11",
        "raw": "aGk=",
        "place": {"name": "a", "point": {"x": 1.0, "y": 2.0}},
        "anything": {"a": [1]},
    },
    "limits": {"byte": 3, "even": 2, "share": 0.5, "below": -11.5, "strict": 1, "name": "abc", "flag": True},
}
ENVELOPE = {"run_name": "a-{date}", "timeout": 5.0, "skip_artifact_materialization": False, "steps": None}


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a body with each of its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from places(item)


@st.composite
def mutated(draw: st.DrawFn, name: str) -> Any:
    """A whole valid body with one to three things changed: replaced, left out or added."""
    body = copy.deepcopy({"parameters": WHOLE[name], **ENVELOPE})
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(list(places(body))))
        action = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if action == "replace":
            container[key] = draw(ODD)
        elif action == "remove":
            del container[key]
        elif isinstance(container, dict):
            container[draw(st.sampled_from(["unknown", "a", "1", "kind", "name", "x"]))] = draw(ODD)
        else:
            container.append(draw(ODD))
        if not body:
            break
    parameters = body.get("parameters")
    if isinstance(parameters, dict) and isinstance(parameters.get("strict"), float):
        parameters["strict"] = 1  # a strict integer is not written with a point; to JSON Schema 1.0 is an integer
    return body


class Oracle:
    """An independent validator of a published schema; formats are annotations, so they bound from both sides.

    What the schema refuses without a look at formats the app must refuse; what it takes with them the app must take.
    """

    def __init__(self, document: dict[str, Any], name: str) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        self._loose = jsonschema_rs.Draft202012Validator(schema, validate_formats=False)
        self._strict = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)

    def must_refuse(self, body: Any) -> bool:
        return not self._loose.is_valid(body)

    def must_take(self, body: Any) -> bool:
        return self._strict.is_valid(body)


TAKEN = (200, 409, 504)
"""A body may ask for 50 ms, which is not always enough."""


class Subject:
    """The app and its document, for tests that are no coroutines."""

    def __init__(self) -> None:
        self.app = make(locked=False)
        self.runner = asyncio.Runner()
        self.document = self.runner.run(get(self.app, "/openapi.json")).json()
        self.oracles = {name: Oracle(self.document, f"{name}_Request") for name in PIPELINES}
        self.items = {name: Oracle(self.document, f"{name}_Inputs") for name in PIPELINES}
        self.operations = schemathesis.openapi.from_dict(self.document)
        self.outcomes = {"taken": 0, "refused": 0}

    def check(self, name: str, body: Any) -> None:
        answer = self.runner.run(post(self.app, f"/pipelines/{name}/invoke", body))
        assert answer.status in (*TAKEN, 400, 422), answer.body
        taken = answer.status in TAKEN
        self.outcomes["taken" if taken else "refused"] += 1
        oracle = self.oracles[name]
        assert not (taken and oracle.must_refuse(body)), "taken, though the schema refuses it"
        assert taken or not oracle.must_take(body), answer.json()["detail"]


@pytest.fixture(scope="module")
def subject() -> Iterator[Subject]:
    subject = Subject()
    yield subject
    subject.app.lifecycle.close()
    subject.runner.close()


QUIET = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
# S3: ten thousand of either kind, a quarter of them of each of the four pipelines.
MANY = [pytest.mark.full, pytest.mark.timeout(900)]
MUTATED = [pytest.param(100, id="some"), pytest.param(2500, id="many", marks=MANY)]
VALID = [pytest.param(40, id="some"), pytest.param(2500, id="many", marks=MANY)]


@pytest.mark.parametrize("name", PIPELINES)
def test_s3_a_value_of_another_type_is_taken_where_the_schema_says(subject: Subject, name: str) -> None:
    """At every place of a body, and a key that is unknown in every object."""
    others: list[Any] = [None, True, 1, 1.0, 1.5, "1", "1.0", "true", [], {}]
    whole = {"parameters": WHOLE[name], **ENVELOPE}
    for number, (container, _) in enumerate(places(whole)):
        for value in others:
            body = copy.deepcopy(whole)
            changed, key = list(places(body))[number]
            if key == "strict" and isinstance(value, float):
                continue  # a strict integer is not written with a point; to JSON Schema 1.0 is an integer
            changed[key] = value
            subject.check(name, body)
        if isinstance(container, dict):
            body = copy.deepcopy(whole)
            list(places(body))[number][0]["unknown"] = 1
            subject.check(name, body)


@pytest.mark.parametrize("count", MUTATED)
@pytest.mark.parametrize("name", PIPELINES)
def test_s3_mutated_bodies_are_taken_as_the_schema_says(subject: Subject, name: str, count: int) -> None:
    @seed(7)
    @settings(QUIET, max_examples=count)
    @given(mutated(name))
    def check(body: Any) -> None:
        subject.check(name, body)

    before = dict(subject.outcomes)
    check()
    assert all(subject.outcomes[kind] > before[kind] for kind in before), "both must happen"


@pytest.mark.parametrize("count", VALID)
@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.no_cover
def test_s3_valid_bodies_are_taken(subject: Subject, name: str, count: int) -> None:
    operation = subject.operations[f"/pipelines/{name}/invoke"]["POST"]

    @seed(7)
    @settings(QUIET, max_examples=count)
    @given(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def check(case: schemathesis.Case[Any]) -> None:
        subject.check(name, json.loads(json.dumps(case.body)))

    before = subject.outcomes["refused"]
    check()
    assert subject.outcomes["refused"] == before


@pytest.mark.parametrize("name", PIPELINES)
def test_s3_a_batch_judges_each_item_as_an_invocation_does(subject: Subject, name: str) -> None:
    """And as the schema of a pipeline's inputs says."""

    @seed(7)
    @settings(QUIET, max_examples=3)
    @given(st.lists(mutated(name).filter(lambda body: "parameters" in body), min_size=15, max_size=15))
    def check(bodies: list[Any]) -> None:
        items = [body["parameters"] for body in bodies]
        answer = subject.runner.run(post(subject.app, f"/pipelines/{name}/batch", json.dumps(items).encode()))
        taken = [result["success"] or result["status"] in TAKEN for result in answer.json()]
        for item, is_taken in zip(items, taken, strict=True):
            alone = subject.runner.run(post(subject.app, f"/pipelines/{name}/invoke", {"parameters": item}))
            assert is_taken == (alone.status in TAKEN), item
            oracle = subject.items[name]
            assert not (is_taken and oracle.must_refuse(item)), item
            assert is_taken or not oracle.must_take(item), item

    check()
