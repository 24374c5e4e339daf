"""Where the values of steps come from, once a snapshot is planned."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from pipemount import pipeline, step
from pipemount.errors import InvalidOutputsError, StepFailedError
from pipemount.runtime.plan import build_plan


class Place(BaseModel):
    name: str
    tags: list[str] = []


class Report(TypedDict):
    place: Place
    pair: tuple[int, str]


@step
def same(value: Any) -> Any:
    return value


@step
def report(place: Place) -> Report:
    return {"place": place, "pair": (1, "one")}


@step
def two(x: int) -> tuple[int, Place]:
    return x, Place(name="Oslo", tags=["north"])


@step
def grow(values: list[int]) -> list[int]:
    values.append(0)
    return values


@pipeline
def constants(x: int) -> Any:
    return grow([1, 2]), same("text"), same((1, 2))


async def test_a_step_that_changes_a_constant_changes_it_for_its_own_run_only() -> None:
    for _ in range(2):
        assert (await constants.run(x=1)).value == ([1, 2, 0], "text", (1, 2))


@pipeline
def paths(place: Place) -> Any:
    told = report(place)
    number, second = two(3)
    return {
        "field of a parameter": same(place.tags),
        "field of an output": same(told["place"].name),
        "item of a tuple": same(told["pair"][1]),
        "one of several": same(number),
        "field of one of several": same(second.tags[0]),
        "list": same([place.name, number, "constant"]),
        "tuple": same((number, [number])),
        "dict": same({"a": number, "b": {"c": place.name}}),
    }


async def test_values_are_read_from_where_the_body_says() -> None:
    assert (await paths.run(place={"name": "Rome", "tags": ["south"]})).value == {
        "field of a parameter": ["south"],
        "field of an output": "Rome",
        "item of a tuple": "one",
        "one of several": 3,
        "field of one of several": "north",
        "list": ["Rome", 3, "constant"],
        "tuple": (3, [3]),
        "dict": {"a": 3, "b": {"c": "Rome"}},
    }


@step
def wants(city: str) -> str:
    return city


@pipeline
def renamed(city: str, town: str) -> Any:
    return {"constant": wants(city="Rome"), "renamed": wants(city=town), "same": wants(city=city)}


async def test_a_value_reaches_a_step_by_data_flow_never_by_name() -> None:
    assert (await renamed.run(city="Oslo", town="Bergen")).value == {
        "constant": "Rome",
        "renamed": "Bergen",
        "same": "Oslo",
    }


@step
def loose(x: Any) -> Any:
    return x


@pipeline
def checked(x: Any) -> Any:
    return wants(loose(x))


@pipeline
def missing(x: Any) -> Any:
    return loose(x)["key"]


async def test_a_value_that_does_not_fit_where_it_goes_names_the_step_that_wants_it() -> None:
    assert (await checked.run(x="a")).value == "a"
    with pytest.raises(InvalidOutputsError, match="'city' of step 'wants'") as caught:
        await checked.run(x=[1])
    assert caught.value.step == "wants"


async def test_a_result_that_is_not_there_fails_the_run() -> None:
    assert (await missing.run(x={"key": 1})).value == 1
    with pytest.raises(InvalidOutputsError, match="not where the pipeline looks for it"):
        await missing.run(x={})


@pipeline
def fields_of_nothing(x: Any) -> Any:
    return same(loose(x).field)


async def test_an_argument_that_is_not_there_fails_the_step_that_wants_it() -> None:
    with pytest.raises(StepFailedError, match="step 'same' raised AttributeError"):
        await fields_of_nothing.run(x=1)


def test_chains_are_cut_where_the_place_changes_and_needs_are_reduced() -> None:
    @step
    async def awaited(x: Any, y: Any = None) -> Any:
        return x

    @pipeline
    def mixed(x: int) -> Any:
        first = same(x)
        second = same(first)
        third = awaited(second, first)
        return awaited(third, second)

    plan = build_plan(mixed.compile())
    assert [[node.node.id for node in segment.nodes] for segment in plan.units] == [
        ["same", "same_2"],
        ["awaited", "awaited_2"],
    ]
    assert plan.ways is not None
    assert not plan.swift
