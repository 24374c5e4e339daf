"""What looks alike on two paths and is not: steps of one name and source, constants of one JSON form."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest
from pydantic import BaseModel

from pipemount import CompileError, pipeline, step
from pipemount.pipelines.authoring import Step


@step(thread=False)
def show(value: Any) -> str:
    return repr(value)


def scaled(by: Any) -> Step:
    @step(thread=False)
    def scale(x: int) -> int:
        factor: int = by() if callable(by) else by
        return x * factor

    return scale


def with_default(by: int) -> Step:
    @step(thread=False)
    def scale(x: int, by: int = by) -> int:
        return x * by

    return scale


def keyword(by: int) -> Step:
    @step(thread=False)
    def scale(x: int, *, by: int = by) -> int:
        return x * by

    return scale


class Scale:
    def __init__(self, by: int) -> None:
        self.by = by

    def scale(self, x: int) -> int:
        return x * self.by


def later(by: int) -> Callable[[], int]:
    def give() -> int:
        return by if by else give()

    return give


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (scaled(1), scaled(2)),
        (scaled(later(1)), scaled(later(2))),
        (with_default(1), with_default(2)),
        (keyword(1), keyword(2)),
        (step(Scale(1).scale), step(Scale(2).scale)),
        (scaled((1,).__len__), scaled((1, 2).__len__)),
    ],
)
def test_steps_of_one_source_are_two_steps(one: Step, two: Step) -> None:
    @pipeline
    def either(x: int, doubled: bool):  # type: ignore[no-untyped-def]
        return (two if doubled else one)(x)

    @pipeline
    def each(x: list[int], doubled: bool):  # type: ignore[no-untyped-def]
        return (two if doubled else one).map(x)

    assert (either(x=4, doubled=True), either(x=4, doubled=False)) == (8, 4)
    assert (each(x=[4], doubled=True), each(x=[4], doubled=False)) == ([8], [4])


def test_mapped_pipelines_of_one_source_are_two_pipelines() -> None:
    def made(by: int) -> Any:
        inner = scaled(by)

        @pipeline
        def body(x: int):  # type: ignore[no-untyped-def]
            return inner(x)

        return body

    one, two = made(1), made(2)

    @pipeline
    def each(x: list[int], doubled: bool):  # type: ignore[no-untyped-def]
        return (two if doubled else one).map(x)

    assert (each(x=[4], doubled=True), each(x=[4], doubled=False)) == ([8], [4])


def test_options_make_another_step() -> None:
    told: list[str] = []
    one = show.with_options(on_success=lambda: told.append("one"), on_success_kwargs={})
    two = show.with_options(on_success=lambda: told.append("two"))

    @pipeline
    def either(second: bool):  # type: ignore[no-untyped-def]
        return (two if second else one)(1)

    either(second=True)
    either(second=False)
    assert told == ["two", "one"]


def test_a_step_made_in_the_body_is_one_step_on_all_paths() -> None:
    @pipeline
    def body(a: bool):  # type: ignore[no-untyped-def]
        def down(x: int) -> int:
            return down(x - 1) if x else x

        @step(thread=False)
        def again(x: int) -> int:
            return x if x < 1 else down(x - 1)

        return again(2 if a else 1)

    assert [node.id for node in body.compile().nodes] == ["again"]
    assert body(a=True) == 0


class Colour(enum.Enum):
    RED = "red"
    SCARLET = b"red"


class Form(BaseModel):
    value: Any


@dataclass
class Box:
    value: Any


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ([Path("a")], ["a"]),
        ([Decimal("1.5")], ["1.5"]),
        ([(1, 2)], [[1, 2]]),
        ({"a": Decimal(1)}, {"a": "1"}),
        ([Colour.RED], ["red"]),
        (Colour.RED, Colour.SCARLET),
        (Form(value=Decimal(1)), Form(value="1")),
        ([Box(Decimal(1))], [Box("1")]),
        ({Decimal(1)}, {"1"}),
    ],
)
def test_constants_of_one_json_form_are_two(one: Any, two: Any) -> None:
    @pipeline
    def either(second: bool):  # type: ignore[no-untyped-def]
        return show(two if second else one)

    assert (either(second=True), either(second=False)) == (repr(two), repr(one))


# ------------------------------------------------------------------------- what a body cannot be told


def through(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def passing(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return passing


def code_of(body: Any) -> str:
    with pytest.raises(CompileError) as caught:
        body.compile()
    return caught.value.detail_code


def test_a_body_behind_a_decorator_may_not_ask_is() -> None:
    @pipeline
    @through
    def hidden(note: str | None = None):  # type: ignore[no-untyped-def]
        return show("nothing") if note is None else show(note)

    assert code_of(hidden) == "identity-in-helper"


@dataclass
class Pair:
    one: Any
    other: Any

    @property
    def is_whole(self) -> bool:
        return self.one is not None and self.other is not None


def items(value: Any) -> int:
    match value:
        case [_, _]:
            return 2
    return 0


TABLE = {"none": lambda value: value is None}


def test_helpers_are_found_in_classes_tables_and_comprehensions() -> None:
    @pipeline
    def by_property(a: str | None, b: str | None):  # type: ignore[no-untyped-def]
        return show(1 if Pair(a, b).is_whole else 2)

    @pipeline
    def by_table(a: str | None):  # type: ignore[no-untyped-def]
        return show([1 for key in ("none",) if TABLE[key](a)])

    @pipeline
    def by_pattern(a: list[int]):  # type: ignore[no-untyped-def]
        return show(items(a))

    @pipeline
    def by_list(a: str | None):  # type: ignore[no-untyped-def]
        return show([items({"value": a}), items([a])])

    assert [code_of(by_property), code_of(by_table)] == ["identity-in-helper"] * 2
    assert [code_of(by_pattern), code_of(by_list)] == ["type-of-reference"] * 2


def test_functions_of_the_body_may_not_ask_for_types_either() -> None:
    @pipeline
    def by_lambda(a: int | str):  # type: ignore[no-untyped-def]
        is_text: Callable[[Any], bool] = lambda value: type(value) is str  # noqa: E731
        return show(1 if is_text(a) else 2)

    @pipeline
    def by_pattern(a: list[int]):  # type: ignore[no-untyped-def]
        def count(value: Any) -> int:
            match value:
                case [_, _]:
                    return 2
            return 0

        return show(count(a))

    @pipeline
    def harmless(a: int):  # type: ignore[no-untyped-def]
        @step(thread=False)
        def typed(value: Any) -> str:
            return type(value).__name__

        chosen: Callable[[Any], int] = lambda value: 3 if type(value) is int else 4  # noqa: E731
        return typed(a), show(chosen(1))

    assert [code_of(by_lambda), code_of(by_pattern)] == ["type-of-reference"] * 2
    assert harmless(a=1) == ("int", "3")


def test_no_except_is_around_a_step() -> None:
    @pipeline
    def typed(a: int):  # type: ignore[no-untyped-def]
        try:
            with nullcontext():
                return show(a)
        except (ValueError, KeyError):
            return show(0)

    @pipeline
    def bare(a: int):  # type: ignore[no-untyped-def]
        try:
            return show(a)
        except:  # noqa: E722
            return show(0)

    @pipeline
    def group(a: int):  # type: ignore[no-untyped-def]
        try:
            first = show(a)
        except* ValueError:
            first = show(0)
        return first

    assert [code_of(body) for body in (typed, bare, group)] == ["except-in-body"] * 3


def test_finally_and_what_no_step_is_in_may_stay() -> None:
    @pipeline
    def body(a: int):  # type: ignore[no-untyped-def]
        try:
            number = int("no number")
        except ValueError:
            number = 3
        try:
            with nullcontext():
                return show([a, number])
        finally:
            show(a)

    assert body(a=1) == "[1, 3]"
    assert len(body.compile().nodes) == 2


# ----------------------------------------------------------------------------------- what is known of types


@step(thread=False)
def key(given: bool) -> Hashable:
    return "key" if given else None


class Named(Protocol):
    def __repr__(self) -> str: ...


@step(thread=False)
def named(given: bool) -> Named:
    return key.function(given)  # type: ignore[no-any-return]  # everything has a repr


def test_none_may_be_of_a_type_that_asks_for_little() -> None:
    @pipeline
    def hashable(given: bool):  # type: ignore[no-untyped-def]
        found = key(given)
        return show("nothing") if found is None else show(found)

    @pipeline
    def protocol(given: bool):  # type: ignore[no-untyped-def]
        found = named(given)
        return show("nothing") if found is None else show(found)

    for body in (hashable, protocol):
        assert [body(given=True), body(given=False)] == ["'key'", "'nothing'"]


def test_a_set_is_written_in_one_order() -> None:
    @pipeline
    def body(a: str):  # type: ignore[no-untyped-def]
        if a in {"q", "b", "a", "z"} or a in frozenset({"q", "b"}) or a in set():  # noqa: RUF060 (asked like any other)
            return show(1)
        return show(2)

    texts = [branch.text for branch in body.compile().branches]
    assert texts == ["a in {'a', 'b', 'q', 'z'}", "a in frozenset({'b', 'q'})", "a in set()"]


def test_an_output_has_a_name() -> None:
    @pipeline
    def body(a: str):  # type: ignore[no-untyped-def]
        return {"": show(a)}

    assert code_of(body) == "output-name"
