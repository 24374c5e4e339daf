"""Sets and mappings that nobody can flood with values of one hash; everything else validates as without the guard."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Optional
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from tests.support.spending import undisturbed
from typing_extensions import TypedDict

from pipemount.pipelines.flooding import MOST, guarded

MODULUS = 2**61 - 1
"""Python's integers hash to their remainder by it."""


class Tree(BaseModel):
    seen: set[int] = set()
    below: Optional[Tree] = None  # noqa: UP045 - evaluated by pydantic


class Inside(TypedDict):
    ids: Annotated[frozenset[int], Field(min_length=2, max_length=5)]


def guard(annotation: Any) -> Any:
    adapter = TypeAdapter(annotation)
    return guarded(adapter.validator, adapter.core_schema)


KINDS: dict[str, tuple[Any, Any]] = {
    "set": (set[int], lambda n: f"{n * MODULUS}"),
    "frozenset": (frozenset[int], lambda n: f"{n * MODULUS}"),
    "texts": (set[int], lambda n: f'"{n * MODULUS}"'),
    "any": (set[Any], lambda n: f"{n * MODULUS}"),
    "decimals": (set[Decimal], lambda n: f'"{n * MODULUS}"'),
    "uuids": (set[UUID], lambda n: f'"{UUID(int=n * MODULUS)}"'),
    "tuples": (set[tuple[int, int]], lambda n: f"[{n * MODULUS},{-n * MODULUS}]"),
    "union": (set[int | str], lambda n: f"{n * MODULUS}"),
}
MAPPINGS: dict[str, Any] = {
    "dict": dict[int, int],
    "decimals": dict[Decimal, int],
    "counter": Counter[int],
    "ordered": OrderedDict[int, int],
    "defaults": defaultdict[int, int],
    "mapping": Mapping[int, int],
}
BODY = 1024 * 1024


def flood(pieces: Any, size: int) -> bytes:
    found, length, number = [], 0, 1
    while length < size:
        found.append(pieces(number))
        length, number = length + len(found[-1]) + 1, number + 1
    return ",".join(found[:-1]).encode()


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    with undisturbed():
        yield


def refused(validator: Any, body: bytes) -> tuple[str, float]:
    """The kind of the fault, and the CPU seconds that it took to find."""
    began = time.thread_time()
    with pytest.raises(ValidationError) as caught:
        validator.validate_json(body)
    spent = time.thread_time() - began
    (fault,) = caught.value.errors(include_input=False, include_url=False)
    return fault["type"], spent


@pytest.mark.parametrize("kind", KINDS)
def test_d3_a_flooded_set_is_refused_in_time(kind: str) -> None:
    annotation, piece = KINDS[kind]
    body = b"[" + flood(piece, BODY) + b"]"
    fault, spent = refused(guard(annotation), body)
    assert fault == "too_many_alike"
    parsed = time.thread_time()
    TypeAdapter(list[Any]).validate_json(body)
    parsed = time.thread_time() - parsed
    assert spent <= 0.2 + 5 * parsed  # unguarded: minutes; the reading itself takes its time, and more with neighbours


@pytest.mark.parametrize("kind", MAPPINGS)
def test_d3_a_flooded_mapping_is_refused_in_time(kind: str) -> None:
    body = b"{" + flood(lambda n: f'"{n * MODULUS}":1', BODY) + b"}"
    fault, spent = refused(guard(MAPPINGS[kind]), body)
    assert fault == "too_many_alike"
    parsed = time.thread_time()
    TypeAdapter(dict[str, Any]).validate_json(body)
    parsed = time.thread_time() - parsed
    assert spent <= 0.2 + 5 * parsed


def test_d3_a_wrong_key_among_many_hides_no_flood() -> None:
    keys = [f'"{n * MODULUS}":1' for n in range(1, 100_000)]
    for at in (0, 50_000):
        body = "{" + ",".join([*keys[:at], '"x{}":1', *keys[at:]]) + "}"
        fault, spent = refused(guard(dict[int, int]), body.encode())
        assert fault == ("int_parsing" if at == 0 else "too_many_alike")
        assert spent <= 2  # unguarded: a minute


def test_d3_a_flood_inside_of_models_that_hold_themselves() -> None:
    body = b'{"below":{"below":{"seen":[' + flood(lambda n: f"{n * MODULUS}", 500_000) + b"]}}}"
    adapter = TypeAdapter(Tree)
    with pytest.raises(ValidationError) as caught:
        guarded(adapter.validator, adapter.core_schema).validate_json(body)
    (fault,) = caught.value.errors(include_input=False)
    assert (fault["type"], fault["loc"]) == ("too_many_alike", ("below", "below", "seen"))


@pytest.mark.parametrize(
    "annotation", [int, list[int], dict[str, int], set[str], frozenset[bytes], dict[str, set[str]], dict, Any]
)
def test_what_cannot_be_flooded_keeps_its_validator(annotation: Any) -> None:
    adapter = TypeAdapter(annotation)
    assert guarded(adapter.validator, adapter.core_schema) is adapter.validator


@pytest.mark.parametrize(
    ("annotation", "body"),
    [
        (set[int], "[1,2,2,3]"),
        (set[int], '[1,"2",2.0]'),
        (set[int], '[1,"x"]'),
        (set[int], "{}"),
        (set[int], "7"),
        (frozenset[int], "[3,3]"),
        (set, '[1,"1",1.5]'),
        (dict[int, str], '{"1":"a","02":"b"}'),
        (dict[int, str], '{"x":"a","1":2}'),
        (dict[int, str], "[]"),
        (dict[int, set[int]], '{"1":[1,1]}'),
        (Inside, '{"ids":[1,2,2]}'),
        (Inside, '{"ids":[1,1]}'),
        (Inside, '{"ids":[1,2,3,4,5,6]}'),
        (Tree, '{"seen":[1],"below":{"seen":[2,2]}}'),
        (Tree, '{"seen":[1],"below":{"seen":["x"]}}'),
        (Counter[int], '{"1":2}'),
        (set[int] | None, "null"),
        (set[UUID], "[]"),
    ],
)
def test_all_else_validates_as_without_the_guard(annotation: Any, body: str) -> None:
    outcomes = []
    for validator in (TypeAdapter(annotation).validator, guard(annotation)):
        try:
            outcomes.append(validator.validate_json(body))
        except ValidationError as error:
            faults = error.errors(include_url=False, include_context=False, include_input=False)
            outcomes.append([(fault["loc"], fault["type"].replace("set_type", "list_type")) for fault in faults])
    plain, guarded_ = outcomes
    assert str(plain).replace("frozen_list_type", "list_type") == str(guarded_)
    assert type(plain) is type(guarded_)


def test_many_values_are_put_together_in_pieces() -> None:
    many = 3 * MOST + 7
    body = str([*range(many), *range(many)])
    assert guard(set[int]).validate_json(body) == set(range(many))
    mapping = "{" + ",".join(f'"{n}":{n}' for n in range(many)) + "}"
    assert guard(dict[int, int]).validate_json(mapping) == {n: n for n in range(many)}


def test_wrong_keys_of_a_large_mapping_are_named() -> None:
    body = "{" + ",".join(f'"{n}":0' for n in range(MOST)) + ',"a{b}":0,"c":0}'
    with pytest.raises(ValidationError) as caught:
        guard(dict[int, int]).validate_json(body)
    faults = caught.value.errors(include_input=False, include_url=False)
    assert [(fault["loc"], fault["type"]) for fault in faults] == [
        (("a{b}", "[key]"), "int_parsing"),
        (("c", "[key]"), "int_parsing"),
    ]


@pytest.mark.parametrize("annotation", [set, set[Any], frozenset[list[int] | int]])
def test_what_cannot_be_in_a_set_is_told_where(annotation: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        guard(annotation).validate_json("[1,[1],2,[]]")
    faults = caught.value.errors(include_input=False, include_url=False)
    assert [(fault["loc"], fault["type"]) for fault in faults] == [
        ((1,), "set_item_not_hashable"),
        ((3,), "set_item_not_hashable"),
    ]
