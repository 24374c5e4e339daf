"""What is told of a delta."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from pipemount.pipelines.deltas import narrowing


class Public(BaseModel):
    name: str


class Private(Public):
    password: str = "secret"


class Opaque:
    pass


@pytest.mark.parametrize("annotation", [Any, str, int, float, bool, bytes, type(None), Opaque, Annotated[Opaque, []]])
def test_where_there_is_nothing_to_leave_out(annotation: Any) -> None:
    assert narrowing(annotation) is None


def test_a_value_of_the_declared_class_stays_what_it_is() -> None:
    narrow, value = narrowing(Public), Public(name="ada")
    assert narrow is not None
    assert narrow(value) is value


@pytest.mark.parametrize("annotation", [Public, Public | None, Annotated[Public, Field(description="who")]])
def test_a_value_of_a_subclass_is_one_of_the_declared_class(annotation: Any) -> None:
    narrow = narrowing(annotation)
    assert narrow is not None
    found = narrow(Private(name="ada"))
    assert (type(found), found) == (Public, Public(name="ada"))


def test_what_does_not_fit_is_told_by_its_type() -> None:
    narrow = narrowing(list[Public])
    assert narrow is not None
    assert narrow([Private(name="ada")]) == [Public(name="ada")]
    assert narrow({"password": "secret"}) == "dict"
    assert narrow([{"password": "secret"}]) == "list"
