"""The verdicts of the type check, and that pydantic agrees with them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path, PurePath
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, Protocol, TypeVar
from uuid import UUID

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from typing_extensions import TypeAliasType, TypedDict

from pipemount.pipelines.constants import adapter_for
from pipemount.pipelines.edges import Fit, fit

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class A(BaseModel):
    x: int = 1


class Sub(A): ...


class B(BaseModel):
    x: int = 1


class Open(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    x: int = 1


class Before(BaseModel):
    x: int = 1

    @model_validator(mode="before")
    @classmethod
    def _(cls, value: Any) -> Any:
        return {"x": 1}


class Custom:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return handler.generate_schema(int)


@dataclass
class CustomData:
    x: int = 1

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return handler.generate_schema(Any)


class Root(RootModel[list[int]]): ...


class Box(BaseModel, Generic[T]):
    item: T


@dataclass
class D:
    x: int = 1


@dataclass
class E:
    x: int = 1


class TD(TypedDict):
    key: str
    size: int


class TD2(TypedDict):
    key: str


class Pair(NamedTuple):
    left: int
    right: str


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Unaskable(Protocol):
    x: int


class Holder(Generic[T]):
    """A class that pydantic knows nothing of."""


class Mirror(dict[V, K], Generic[K, V]):
    """A dict whose parameters are the other way round."""


class Tree(TypedDict):
    label: str
    children: list[Tree]


class Chain(NamedTuple):
    head: int
    tail: Chain | None


Unknown: Any = TypedDict("Unknown", {"x": "Missing"})  # type: ignore[name-defined]  # noqa: F821 (not to be found)
Couple = TypeAliasType("Couple", tuple[T, list[T]], type_params=(T,))
Nested = TypeAliasType("Nested", "int | list[Nested]")
Json = TypeAliasType("Json", "int | list[Json] | dict[str, Json]")
Lost = TypeAliasType("Lost", "int | Missing")  # type: ignore[name-defined]  # noqa: F821 (not to be found)
Deep = TypeAliasType("Deep", "int | str | Sequence[Deep]")


def nested(kind: Any, depth: int) -> Any:
    return kind[nested(kind, depth - 1)] if depth else int


Id = NewType("Id", int)
Positive = Annotated[int, Field(gt=0)]

CASES: list[tuple[Any, Any, Fit]] = [
    (int, int, "ok"),
    (int, Any, "ok"),
    (int, object, "ok"),
    (Any, int, "coerce"),
    (object, int, "coerce"),
    (Any, Any, "ok"),
    (bool, int, "ok"),
    (bool, float, "ok"),
    (int, float, "ok"),
    (float, int, "coerce"),
    (int, Decimal, "coerce"),
    (int, str, "never"),
    (str, int, "coerce"),
    (str, bytes, "coerce"),
    (int, bytes, "never"),
    (list, int, "never"),
    (dict[str, int], int, "never"),
    (A, int, "never"),
    (D, str, "never"),
    (None, int, "never"),
    (None, None, "ok"),
    (int, None, "never"),
    (None, A, "never"),
    (None, Decimal, "never"),
    (int, int | None, "ok"),
    (int | None, int, "coerce"),
    (Optional[int], int | None, "ok"),  # noqa: UP045 - the old spelling
    (int | str, str | int, "ok"),
    (int | None, float | None, "ok"),
    (list[int] | None, int, "never"),
    (int, list[int] | dict[str, int], "never"),
    (int, str | list[int], "never"),
    (int, Annotated[str, "name"], "never"),
    (Annotated[int, "name"], int, "ok"),
    (Positive, int, "ok"),
    (int, Positive, "coerce"),
    (Positive, Positive, "ok"),
    (list[str], Positive, "never"),
    (list[str], Annotated[int, BeforeValidator(len)], "coerce"),
    (list[str], Annotated[int, AfterValidator(int)], "coerce"),
    (Any, Annotated[Any, BeforeValidator(int)], "coerce"),
    (int, Annotated[Any, BeforeValidator(int)], "coerce"),
    (int, Positive | None, "coerce"),
    (Annotated[int | None, Field()], int, "coerce"),
    (Mapping[str, int], TD, "coerce"),
    (Mapping[str, int], int, "never"),
    (list[int], Positive | None, "never"),
    (Literal["a"], Literal["a", "b"], "ok"),
    (Literal["a", "c"], Literal["a", "b"], "coerce"),
    (Literal["c"], Literal["a", "b"], "never"),
    (Literal["a"], str, "ok"),
    (Literal["1"], int, "coerce"),
    (Literal["a"], int, "never"),
    (Literal["a"], Callable[..., Any], "never"),
    (Literal["a"], Unaskable, "coerce"),
    (Literal["a"], str | None, "ok"),
    (str, Literal["a", "b"], "coerce"),
    (str, Color, "coerce"),
    (Color, str, "coerce"),
    (Color, Color, "ok"),
    (Level, int, "ok"),
    (Level, float, "coerce"),
    (A, A, "ok"),
    (Sub, A, "ok"),
    (A, Sub, "coerce"),
    (A, B, "never"),
    (A, Open, "coerce"),
    (A, Before, "coerce"),
    (A, Custom, "coerce"),
    (A, CustomData, "coerce"),
    (A, D, "never"),
    (D, E, "never"),
    (D, D, "ok"),
    (D, A, "never"),
    (list[int], Root, "coerce"),
    (dict[str, int], A, "coerce"),
    (TD, A, "coerce"),
    (str, A, "never"),
    (list[A], A, "never"),
    (Box[int], Box[int], "ok"),
    (Box[int], Box[float], "coerce"),
    (Box[int], A, "never"),
    (list[int], list[int], "ok"),
    (list[int], list[float], "ok"),
    (list[int], list[str], "coerce"),
    (list[Any], list[int], "coerce"),
    (list[int], list, "ok"),
    (list, list[int], "coerce"),
    (list, list[Any], "ok"),
    (list[int], Sequence[int], "ok"),
    (list[int], Sequence[Positive], "coerce"),
    (list[int], set[int], "coerce"),
    (str, list[str], "never"),
    (str, Sequence[str], "coerce"),
    (dict[str, int], list[int], "never"),
    (A, list, "coerce"),
    (dict[str, int], dict[str, float], "ok"),
    (dict[str, int], Mapping[str, int], "ok"),
    (dict[str, int], Mapping, "ok"),
    (list[int], dict[str, int], "never"),
    (tuple[int, str], tuple[int, str], "ok"),
    (tuple[int, str], tuple[int, int], "coerce"),
    (tuple[int, str], tuple[int], "never"),
    (tuple[int, list[int]], tuple[int, int], "never"),
    (tuple[int, int], tuple[int, ...], "ok"),
    (tuple[int, ...], tuple[int, ...], "ok"),
    (tuple[int, ...], tuple[int, int], "coerce"),
    (tuple[int, list[int]], list[int], "never"),
    (tuple[int, int], list[int], "coerce"),
    (tuple[int, str], list, "coerce"),
    (Pair, tuple[int, str], "ok"),
    (tuple[int, str], Pair, "coerce"),
    (TD, TD, "ok"),
    (TD, TD2, "coerce"),
    (TD, dict[str, Any], "ok"),
    (TD, dict, "ok"),
    (TD, Mapping[str, str], "coerce"),
    (TD, list[str], "never"),
    (TD, int, "never"),
    (TD, Decimal, "never"),
    (dict[str, int], TD, "coerce"),
    (list[str], TD, "never"),
    (Id, int, "ok"),
    (int, Id, "ok"),
    (Id, str, "never"),
    (list[list[int]], int, "never"),
    (list[int | str], list[str | int], "ok"),
    (datetime.datetime, datetime.date, "coerce"),
    (str, datetime.date, "coerce"),
    (Callable[..., Any], Callable[..., Any], "ok"),
    (Callable[..., Any], Callable[[], Any], "coerce"),
    (A, Unaskable, "coerce"),
    (T, int, "coerce"),
    (Pair, Pair, "ok"),
    (dict[str, int], Sequence[int], "never"),
    (type[int], int, "coerce"),
    (type[int], type[float], "coerce"),
    (str, Iterable, "ok"),
    (str, Sequence, "coerce"),
    (dict[str, int], Iterable[str], "coerce"),
    (tuple[int, ...], tuple[()], "coerce"),
    (tuple[int, int], tuple[()], "never"),
    (tuple[()], tuple[()], "ok"),
    (TD, Iterable[str], "coerce"),
    (TD, Unaskable, "coerce"),
    (Mirror[int, str], dict[int, str], "coerce"),
    (Mirror[int, str], Mirror[int, str], "ok"),
    (Holder[int], Holder[Any], "ok"),
    (Holder[int], Holder[float], "coerce"),
    (Level, Holder[int], "coerce"),
    (str, Holder, "never"),
    (Holder, str, "coerce"),
    (int, Annotated[str, Field(coerce_numbers_to_str=True)], "coerce"),
    (int, Annotated[str, Field(min_length=1)], "never"),
    (int, Annotated[int, Field(description="a number")], "ok"),
    (int, Annotated[int, WithJsonSchema({"type": "integer"})], "ok"),
    (list[int], Literal["a", 1], "never"),
    (complex, Literal[1], "coerce"),
    (Literal[1], float, "ok"),
    (Tree, dict[str, Any], "ok"),
    (Tree, Nested, "never"),
    (Tree, Json, "coerce"),
    (dict[str, Nested], Json, "ok"),
    (int, Lost, "coerce"),
    (Couple[int], tuple[float, list[int]], "ok"),
    (Couple[str], Couple[int], "coerce"),
    (Couple[None], Couple[int], "never"),
    (Couple, tuple[Any, list[Any]], "ok"),
    (Nested, Nested, "ok"),
    (Nested, Deep, "ok"),
    (Deep, Nested, "coerce"),
    (Chain, tuple[int, Any], "ok"),
    (Unknown, dict[str, int], "coerce"),
    (Unknown, dict, "ok"),
    (Annotated[int, {"any": "thing"}], Annotated[int, {"other": "thing"}], "coerce"),
    (nested(list, 80), nested(Sequence, 80), "coerce"),
    (datetime.date, datetime.datetime, "coerce"),
    (list[int], datetime.date, "never"),
    (Path, PurePath, "ok"),
    (None, UUID, "never"),
]


@pytest.mark.parametrize(("source", "target", "verdict"), CASES)
def test_verdicts(source: Any, target: Any, verdict: Fit) -> None:
    assert fit(source, target) == verdict


VALUES: list[tuple[Any, list[Any]]] = [
    (int, [0, 7, -1]),
    (bool, [True, False]),
    (float, [1.0, 0.5]),
    (str, ["", "1", "a", "true", "1.5"]),
    (bytes, [b"", b"1"]),
    (None, [None]),
    (list[int], [[], [1, 2]]),
    (list[str], [[], ["1"], ["a"]]),
    (tuple[int, str], [(1, "a"), (2, "3")]),
    (set[int], [set(), {1}]),
    (dict[str, int], [{}, {"x": 1}]),
    (TD, [{"key": "a", "size": 1}]),
    (A, [A(), Sub()]),
    (B, [B()]),
    (D, [D()]),
    (Color, [Color.RED]),
    (Pair, [Pair(1, "a")]),
    (int | None, [1, None]),
    (Literal["a", "1"], ["a", "1"]),
    (Box[int], [Box[int](item=1)]),
]
TARGETS = [annotation for annotation, _ in VALUES] + [
    Positive,
    Open,
    Before,
    Root,
    E,
    TD2,
    list[float],
    dict[str, Any],
    tuple[int, ...],
    Sequence[int],
    frozenset[int],
    Decimal,
    datetime.date,
    Box[float],
    str | int,
    float | None,
    Any,
]


def accepts(target: Any, value: Any) -> bool:
    try:
        adapter_for(target).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("source", VALUES, ids=lambda pair: str(pair[0]))
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_validation_agrees_with_what_is_certain(source: tuple[Any, list[Any]], target: Any) -> None:
    annotation, values = source
    found = {accepts(target, value) for value in values}
    verdict = fit(annotation, target)
    assert not (verdict == "ok" and False in found)
    assert not (verdict == "never" and True in found)
