"""Questions that a reference would answer for itself, and the graph would be wrong without a word."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from pipemount import CompileError, pipeline, step


class Point(BaseModel):
    x: int = 0


@step
def same(value: Any) -> Any:
    return value


def asks_isinstance(value: str | list[str]):  # type: ignore[no-untyped-def]
    return same([value] if isinstance(value, str) else value)


def asks_isinstance_of_model(value: Point | int):  # type: ignore[no-untyped-def]
    return same(1 if isinstance(value, Point) else value)


def asks_isinstance_of_abc(value: str | int):  # type: ignore[no-untyped-def]
    return same(1 if isinstance(value, Sequence) else value)


class _Marked(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return hasattr(instance, "_marked")


class Marked(metaclass=_Marked):
    pass


def own_check(value: str | int):  # type: ignore[no-untyped-def]
    return same(1 if isinstance(value, Marked) else value)


def asks_type(value: str | int):  # type: ignore[no-untyped-def]
    return same(1 if type(value) is str else value)


def asks_type_in_a_comprehension(value: str | int):  # type: ignore[no-untyped-def]
    return same([1 for _ in range(2) if type(value) is str])


def asks_class(value: str | int):  # type: ignore[no-untyped-def]
    return same(1 if value.__class__ is str else value)


def matches_a_class(value: Point | int):  # type: ignore[no-untyped-def]
    match value:
        case Point():
            return same(1)
    return same(value)


def matches_a_sequence(value: str | tuple[str, str]):  # type: ignore[no-untyped-def]
    match value:
        case [first, _]:
            return same(first)
    return same(value)


def matches_a_mapping(value: str | dict[str, str]):  # type: ignore[no-untyped-def]
    match value:
        case {"a": first}:
            return same(first)
    return same(value)


ASKING = [v for k, v in sorted(globals().items()) if k.startswith(("asks_", "matches_"))]


@pytest.mark.parametrize("body", ASKING)
def test_a_body_that_asks_for_a_type_is_refused_at_the_very_line(body: Callable[..., Any]) -> None:
    with pytest.raises(CompileError) as caught:
        pipeline(body).compile()
    error = caught.value
    first = body.__code__.co_firstlineno
    assert error.detail_code == "type-of-reference"
    assert error.file == __file__
    assert error.line in (first + 1, first + 2)
    assert "decide inside a step" in str(error)


def test_a_class_with_a_check_of_its_own_cannot_be_asked_either() -> None:
    with pytest.raises(CompileError, match="asks for the type of `value`"):
        pipeline(own_check).compile()


def test_a_body_without_code_of_its_own_is_refused_like_any_other() -> None:
    with pytest.raises(CompileError):
        pipeline(len).compile()


def test_types_of_plain_values_may_be_asked() -> None:
    option: Any = [1]

    @pipeline
    def plain(x: int):  # type: ignore[no-untyped-def]
        match "a":
            case "a":
                words = [str(o) for o in option if isinstance(o, int)]
        return {"a": same(words), "b": same(x)}

    assert plain(x=1) == {"a": ["1"], "b": 1}


def test_a_step_that_is_written_in_the_body_may_ask_and_so_may_a_name_of_the_teams_own() -> None:
    namespace: dict[str, Any] = {"same": same, "type": lambda value: "own"}
    exec("def own(x: int):\n    return same(type(x))", namespace)

    @pipeline
    def inner(x: int):  # type: ignore[no-untyped-def]
        @step
        def kind(value: Any) -> str:
            return type(value).__name__

        return kind(x)

    assert inner(x=1) == "int"
    assert pipeline(namespace["own"])(x=1) == "own"


@pytest.mark.parametrize("returned", [lambda r: r > 3, lambda r: {1: r}])
def test_a_fault_in_what_is_returned_is_at_the_pipeline_not_at_its_caller(returned: Callable[..., Any]) -> None:
    def body(x: int):  # type: ignore[no-untyped-def]
        return returned(same(x))

    with pytest.raises(CompileError) as caught:
        pipeline(body).compile()
    assert (caught.value.file, caught.value.line) == (__file__, body.__code__.co_firstlineno)


# ------------------------------------------------------------------------------------- decorated steps


def to_async(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def through(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


async def awaited(x: int) -> int:
    return x


def plain(x: int) -> int:
    return x


class Callable2:
    async def __call__(self, x: int) -> int:
        return x


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (to_async(plain), "async"),
        (through(awaited), "async"),
        (through(to_async(plain)), "async"),
        (functools.partial(awaited), "async"),
        (Callable2(), "async"),
        (through(plain), "thread"),
        (functools.partial(plain), "thread"),
    ],
)
def test_decorators_may_make_a_step_async_and_do_not_hide_that_it_is(function: Any, kind: str) -> None:
    made = step(name="made")(function)

    @pipeline
    def one(x: int):  # type: ignore[no-untyped-def]
        return made(x)

    assert made.spec.kind == kind
    assert one(x=3) == 3


def test_a_body_may_name_what_is_defined_below_it_in_a_function() -> None:
    @pipeline
    def early(x: int) -> Any:
        return later(x)

    with pytest.raises(CompileError, match="'later'"):
        early.compile()

    @step
    def later(x: int) -> int:
        return x + 1

    assert early(x=1) == 2
