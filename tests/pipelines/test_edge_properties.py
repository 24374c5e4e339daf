"""Of thousands of pairs of types: what the type check is certain of is so, for every value that is drawn.

Three definitions meet here. ``fit`` judges a pair of types. ``adapter_for`` is what validates in a run. ``belongs``
says what it means to be of a type; it is written for this test, from the documentation and without the others.
"""

from __future__ import annotations

import collections
import collections.abc as abc
import datetime
import pathlib
import types
import typing
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypeVar, get_args, get_origin

import pytest
import typing_extensions
from annotated_types import Ge, Le, MaxLen, MinLen
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator
from typing_extensions import TypeAliasType, TypedDict

from pipemount.pipelines.constants import adapter_for
from pipemount.pipelines.edges import fit

T = TypeVar("T")
Either = TypeVar("Either", int, str)
Whole = TypeVar("Whole", bound=int)


class Point(BaseModel):
    x: int = 1
    y: float = 0.5


class Spot(Point):
    label: str = "here"


class Twin(BaseModel):
    x: int = 1
    y: float = 0.5


class Open(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    x: int = 1


class Anything(BaseModel):
    x: int = 1

    @model_validator(mode="before")
    @classmethod
    def _(cls, value: Any) -> Any:
        return value if isinstance(value, cls) else {"x": 1}


class Numbers(RootModel[list[int]]): ...


class Box(BaseModel, Generic[T]):
    item: T


class Tree(BaseModel):
    label: str = ""
    children: list[Tree] = []


@dataclass
class Pixel:
    x: int = 1


@dataclass
class Dot(Pixel):
    size: float = 1.0


@dataclass
class Other:
    x: int = 1


class Row(TypedDict):
    key: str
    size: int


class Short(TypedDict):
    key: str
    note: NotRequired[int]


class Branch(TypedDict):
    leaves: list[int]
    branches: list[Branch]


class Pair(NamedTuple):
    left: int
    right: str


class Chain(NamedTuple):
    head: int
    tail: Chain | None = None


class Color(Enum):
    RED = "red"
    GREEN = 2


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Tone(str, Enum):  # noqa: UP042 (the older spelling, which many models use)
    LOUD = "loud"


class Plain:
    """A class that pydantic knows nothing of."""


class PlainChild(Plain): ...


Id = NewType("Id", int)
Json = TypeAliasType("Json", "int | str | list[Json] | dict[str, Json] | None")
Many = TypeAliasType("Many", "int | list[Many]")

# -------------------------------------------------------------------------------------------- values

TEXTS = ["", "1", "a", "true", "1.5", "red", "loud", "2020-01-01", "01:02", "12345678-1234-5678-1234-567812345678"]
NUMBERS = [0, 1, 2, 7, -1, 86400]
MOMENTS = [
    datetime.datetime(2020, 1, 1),
    datetime.datetime(2020, 1, 1, 3),
    datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
]
LEAVES: dict[Any, list[Any]] = {
    None: [None],
    bool: [False, True],
    int: [*NUMBERS, True],
    float: [0.0, 1.0, 1.5, float("nan"), float("inf"), 3],
    complex: [1j, 1 + 0j],
    str: [*TEXTS, Tone.LOUD],
    bytes: [b"", b"1", b"a", b"\xff", b"2020-01-01", b"x" * 16],
    Decimal: [Decimal(0), Decimal(1), Decimal("1.5")],
    datetime.datetime: MOMENTS,
    datetime.date: [datetime.date(2020, 1, 1), datetime.date(1970, 1, 1)],
    datetime.time: [datetime.time(0), datetime.time(1, 2)],
    datetime.timedelta: [datetime.timedelta(0), datetime.timedelta(days=1)],
    uuid.UUID: [uuid.UUID(int=5)],
    pathlib.Path: [pathlib.Path("a"), pathlib.Path("/")],
    pathlib.PurePath: [pathlib.PurePath("a"), pathlib.PureWindowsPath("c:/a"), pathlib.Path("a")],
    Point: [Point(), Spot()],
    Spot: [Spot()],
    Twin: [Twin()],
    Open: [Open()],
    Anything: [Anything()],
    Numbers: [Numbers([1]), Numbers([])],
    Box[int]: [Box[int](item=1)],
    Box[float]: [Box[float](item=1.5)],
    Box: [Box(item="a"), Box[int](item=1)],
    Tree: [Tree(), Tree(children=[Tree(label="a")])],
    Pixel: [Pixel(), Dot()],
    Dot: [Dot()],
    Other: [Other()],
    Row: [{"key": "a", "size": 1}],
    Short: [{"key": "a"}, {"key": "a", "note": 2}],
    Branch: [{"leaves": [1], "branches": []}, {"leaves": [], "branches": [{"leaves": [2], "branches": []}]}],
    Pair: [Pair(1, "a"), Pair(2, "3")],
    Chain: [Chain(1), Chain(1, Chain(2))],
    Color: list(Color),
    Level: list(Level),
    Tone: list(Tone),
    Plain: [Plain(), PlainChild()],
    PlainChild: [PlainChild()],
    Id: NUMBERS,
    Either: [1, "a"],
    Whole: NUMBERS,
    Json: [1, "a", None, [], [1, "a"], {"a": [None]}],
    Many: [1, [], [1, [2]]],
    Any: [None, 1, "a", [1], {"a": 1}, Point(), Color.RED],
    object: [None, 1, "a", (1,), Plain()],
    list: [[], [1], ["a"], [1, "a"]],
    dict: [{}, {"a": 1}, {1: "a"}],
    tuple: [(), (1,), ("a", 1)],
    set: [set(), {1}, {"a"}],
    tuple[()]: [()],
    Literal["a"]: ["a"],
    Literal["a", "b", "1"]: ["a", "b", "1"],
    Literal[1, 2]: [1, 2],
    Literal[True, "red"]: [True, "red"],
    Literal[None, 1]: [None, 1],
    Literal[Color.RED]: [Color.RED],
    Callable[..., Any]: [print, int],
}
CONSTRAINED: dict[Any, list[Any]] = {
    Annotated[int, Field(gt=0)]: [1, 7],
    Annotated[int, Ge(0), Le(10)]: [0, 7],
    Annotated[float, Field(ge=0, allow_inf_nan=False)]: [0.0, 1.5],
    Annotated[str, MinLen(1)]: ["a", "1"],
    Annotated[str, Field(pattern="^[a-z]*$")]: ["", "a"],
    Annotated[list[int], MaxLen(2)]: [[], [1]],
    Annotated[int, Field(description="a number")]: NUMBERS,
    Annotated[str, "name"]: TEXTS,
    Annotated[int, Field(strict=True)]: NUMBERS,
}
LEAF = {**LEAVES, **CONSTRAINED}


def hashable(annotation: Any) -> bool:
    """Whether every value of a type can be a key or in a set."""
    bare = bared(annotation)
    parts = get_args(bare)
    if get_origin(bare) is Literal or bare in (
        None,
        bool,
        int,
        float,
        str,
        bytes,
        Decimal,
        Color,
        Level,
        Tone,
        uuid.UUID,
    ):
        return True
    if get_origin(bare) in (tuple, frozenset, typing.Union, types.UnionType):
        return all(hashable(part) for part in parts if part is not Ellipsis)
    return bare in (datetime.date, datetime.datetime, pathlib.Path, Pair)


def bared(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated or annotation in (Id, Either, Whole, Json, Many):
        if annotation in (Id, Whole):
            annotation = int
        elif annotation is Either:
            annotation = int | str
        elif annotation is Json:
            annotation = int | str | list[Json] | dict[str, Json] | None
        elif annotation is Many:
            annotation = int | list[Many]
        else:
            annotation = get_args(annotation)[0]
    return annotation


def ordered(parts: Sequence[Any]) -> list[Any]:
    """A union's parts in one order: unions that differ in their order are equal, and typing keeps but one of them."""
    return sorted(parts, key=repr)


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of a type."""
    annotation = None if annotation is type(None) else annotation
    if isinstance(annotation, abc.Hashable) and annotation in LEAF:
        return st.sampled_from(LEAF[annotation])
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return values(parts[0])
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(part) for part in ordered(parts)])
    if origin is tuple and parts[-1:] != (Ellipsis,):
        return st.tuples(*map(values, parts))
    return CONTAINERS[origin](*(values(part) for part in parts if part is not Ellipsis))


def lists(item: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(item, max_size=3)


def dicts(key: st.SearchStrategy[Any], item: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[Any, Any]]:
    return st.dictionaries(key, item, max_size=3)


def of(kind: Any) -> Callable[[st.SearchStrategy[Any]], st.SearchStrategy[Any]]:
    return lambda item: lists(item).map(kind)


CONTAINERS: dict[Any, Callable[..., st.SearchStrategy[Any]]] = {
    list: lists,
    tuple: of(tuple),
    set: of(set),
    frozenset: of(frozenset),
    collections.deque: of(collections.deque),
    abc.Sequence: lambda item: lists(item) | of(tuple)(item) | of(collections.deque)(item),
    abc.Iterable: lambda item: lists(item) | of(tuple)(item),
    abc.Set: lambda item: of(set)(item) | of(frozenset)(item),
    dict: dicts,
    abc.Mapping: lambda key, item: dicts(key, item) | dicts(key, item).map(collections.OrderedDict),
    collections.OrderedDict: lambda key, item: dicts(key, item).map(collections.OrderedDict),
}

# --------------------------------------------------------------------------------------------- types

KEYS = [kind for kind in LEAF if hashable(kind)]
SINGLE = [list, tuple, collections.deque, abc.Sequence, abc.Iterable]


def joined(parts: Sequence[Any]) -> Any:
    return typing.Union[tuple(parts)]  # noqa: UP007 (as drawn; some parts have no |)


def _larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.sampled_from(KEYS)
    return st.one_of(
        st.builds(lambda kind, part: kind[part, ...] if kind is tuple else kind[part], st.sampled_from(SINGLE), inner),
        st.builds(lambda kind, part: kind[part], st.sampled_from([set, frozenset, abc.Set]), keys),
        st.builds(
            lambda kind, key, part: kind[key, part],
            st.sampled_from([dict, abc.Mapping, collections.OrderedDict]),
            keys,
            inner,
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: tuple[tuple(parts)]),  # type: ignore[misc]  # as drawn
        st.lists(inner, min_size=2, max_size=3).map(joined),
        inner.map(lambda part: joined([part, None])),
    )


SIMPLE = st.sampled_from(list(LEAF))
ANNOTATIONS = st.recursive(SIMPLE, _larger, max_leaves=4)
"""Expressions of types."""

WIDER: dict[Any, list[Any]] = {
    bool: [int, float],
    int: [float, Id, object],
    Id: [int],
    Level: [int],
    Tone: [str],
    datetime.datetime: [datetime.date],
    pathlib.Path: [pathlib.PurePath],
    Spot: [Point],
    Point: [Spot, Twin, Open],
    Dot: [Pixel],
    Pixel: [Dot, Other],
    PlainChild: [Plain],
    Plain: [PlainChild],
    Row: [dict[str, Any], abc.Mapping[str, int | str], dict[str, int], Short],
    Branch: [dict[str, Json], dict[str, list[Any]]],
    Pair: [tuple[int, str], tuple[int | str, ...], tuple[int, int]],
    Chain: [tuple[int, Chain | None], tuple[Any, ...]],
    Box[int]: [Box, Box[float]],
    Literal["a"]: [str, Literal["a", "b", "1"]],
    Literal[1, 2]: [int, float, Level],
    Many: [Json, Many],
    Json: [Many],
}
WIDER_KINDS: dict[Any, list[Any]] = {
    list: [abc.Sequence, abc.Iterable, list, set],
    tuple: [abc.Sequence, abc.Iterable, list],
    set: [abc.Set, abc.Iterable, frozenset],
    dict: [abc.Mapping, dict],
    collections.OrderedDict: [dict, abc.Mapping],
    abc.Sequence: [abc.Iterable, list],
}


@st.composite
def akin(draw: st.DrawFn, source: Any) -> Any:
    """A type that has to do with ``source``: wider, narrower or beside it."""
    origin, parts = get_origin(source), get_args(source)
    choice = draw(st.integers(0, 5))
    if choice == 0:
        return joined([source, draw(SIMPLE)])
    if choice == 1 and origin in (typing.Union, types.UnionType):
        return joined([draw(akin(None if part is type(None) else part)) for part in ordered(parts)])
    if source in WIDER:
        return draw(st.sampled_from(WIDER[source]))
    if origin is Annotated:
        return parts[0]
    if origin in WIDER_KINDS and not (origin is tuple and parts[-1:] != (Ellipsis,)):
        kind = draw(st.sampled_from(WIDER_KINDS[origin]))
        inner = [draw(akin(part)) if choice > 2 else part for part in parts if part is not Ellipsis]
        if kind in (set, frozenset, abc.Set) or len(inner) == 2:
            inner[0] = parts[0]
        return kind[inner[0]] if len(inner) == 1 else kind[tuple(inner)]
    if origin is tuple:
        return tuple[tuple(draw(akin(part)) for part in parts)]  # type: ignore[misc]  # as drawn
    return source


@st.composite
def questions(draw: st.DrawFn) -> tuple[Any, list[Any], list[Any]]:
    """A source, values of it, and two targets: one that has to do with it, one that need not."""
    source = draw(ANNOTATIONS)
    return source, [draw(values(source)) for _ in range(3)], [draw(akin(source)), draw(ANNOTATIONS)]


# ------------------------------------------------------------------------------------------ membership


def belongs(value: Any, annotation: Any) -> bool:
    """Whether a value is of a type, as the page on types has it."""
    if get_origin(annotation) is Annotated and annotation in CONSTRAINED:
        return belongs(value, get_args(annotation)[0]) and accepts(annotation, value)
    bare = bared(annotation)
    origin, parts = get_origin(bare), get_args(bare)
    if bare in (Any, object):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(belongs(value, part) for part in parts)
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if origin is not None:
        return isinstance(value, origin) and _hold(value, origin, parts)
    if bare is None or bare is type(None):
        return value is None
    if bare is float:
        return isinstance(value, float | int)
    if bare is datetime.date:
        return type(value) is datetime.date
    if typing_extensions.is_typeddict(bare):
        return _is_record(value, bare)
    return isinstance(value, bare)


def _hold(value: Any, origin: Any, parts: tuple[Any, ...]) -> bool:
    if origin is abc.Callable:
        return True
    if issubclass(origin, Mapping):
        return all(belongs(key, parts[0]) and belongs(item, parts[1]) for key, item in value.items())
    if origin is tuple and parts[-1:] != (Ellipsis,):
        return len(value) == len(parts) and all(map(belongs, value, parts))
    return all(belongs(item, parts[0]) for item in value)


def _is_record(value: Any, kind: Any) -> bool:
    hints = typing_extensions.get_type_hints(kind, include_extras=True)
    required = {key for key, hint in hints.items() if not _is_optional(hint)}
    known = {key: hint if key in required else get_args(hint)[0] for key, hint in hints.items()}
    fits = isinstance(value, dict) and required <= value.keys() <= known.keys()
    return fits and all(belongs(item, known[key]) for key, item in value.items())


def _is_optional(hint: Any) -> bool:
    origin: Any = get_origin(hint)
    return origin is NotRequired


def accepts(target: Any, value: Any) -> bool:
    """Whether validation takes the value, to the last item of what it would hand over."""
    try:
        taken = adapter_for(target).validate_python(value)
        if type(taken).__name__ == "ValidatorIterator":
            list(taken)
    except ValidationError:
        return False
    return True


# -------------------------------------------------------------------------------------------- tests


def judged(source: Any, target: Any, drawn: Iterable[Any]) -> str:
    """The verdict on a pair, held against values."""
    verdict = fit(source, target)
    for value in drawn:
        assert belongs(value, source), "the test itself is wrong"
        if verdict == "ok":
            assert belongs(value, target) and accepts(target, value)
        if verdict == "never":
            assert not accepts(target, value)
    return verdict


def explore(examples: int) -> Counter[str]:
    """How often each verdict came up in twice as many pairs, all held against values."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(questions())
    def check(question: tuple[Any, list[Any], list[Any]]) -> None:
        source, drawn, targets = question
        seen.update(judged(source, target, drawn) for target in targets)

    check()
    return seen


@pytest.mark.no_cover
def test_verdicts_are_true_of_every_value() -> None:
    seen = explore(400)
    assert seen.total() >= 500
    assert min(seen["ok"], seen["coerce"], seen["never"]) >= 80


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_verdicts_are_true_of_every_value_in_many_pairs() -> None:
    seen = explore(20_000)
    assert seen.total() >= 40_000


@pytest.mark.parametrize("source", LEAF, ids=str)
@pytest.mark.no_cover
def test_verdicts_are_true_of_each_pair_of_simple_types(source: Any) -> None:
    for target in LEAF:
        judged(source, target, LEAF[source])
