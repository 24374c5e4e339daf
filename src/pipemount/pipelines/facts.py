"""What is known of a run's values on one path: what the answers so far leave of their types."""

from __future__ import annotations

import enum
import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

from .annotations import NONE, members
from .snapshot import Condition, Constant, Output, Parameter
from .sources import Outline, outline

__all__ = ["COMPARISONS", "Facts", "holds", "key_of", "values_of"]

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda item, container: item in container,
    "is": operator.is_,
}

_LARGEST = 64
"""A type with more values than this is not looked through."""


def holds(condition: Condition, left: Any, right: Any) -> bool:
    """The answer for given operands; what they raise passes through."""
    if condition.operator == "truth":
        return bool(left)
    return bool(COMPARISONS[condition.operator](left, right))


class Facts:
    """Answers follow from answers: a ``Literal["C", "F"]`` that is not ``"C"`` is ``"F"``.

    Only conditions on one value against a constant are looked at.
    """

    def __init__(self) -> None:
        self._answers: dict[Outline, bool] = {}
        self._values: dict[Outline, tuple[Any, ...] | None] = {}
        self._is_none: dict[Outline, bool] = {}

    def known(self, condition: Condition, asked: Outline, annotation: Any) -> bool | None:
        """The answer where it follows; ``asked`` is ``key_of(condition)``, ``annotation`` the left operand's type."""
        if (answer := self._answers.get(asked)) is not None:
            return answer
        constant = _constant(condition)
        if constant is None:
            return None
        key = asked[1]
        if (values := self._domain(key, annotation)) is not None:
            answers = {_answer(condition, value, constant.value) for value in values}
            return answers.pop() if len(answers) == 1 else None
        if condition.operator == "is" and constant.value is None:
            return self._is_none.get(key, None if _can_be_none(annotation) else False)
        return False if self._is_none.get(key) and _answer(condition, None, constant.value) is False else None

    def learn(self, condition: Condition, asked: Outline, annotation: Any, answer: bool) -> None:
        """Keeps an answer and what follows from it."""
        self._answers[asked] = answer
        constant = _constant(condition)
        if constant is None:
            return
        key = asked[1]
        if (values := self._domain(key, annotation)) is not None:
            self._values[key] = tuple(v for v in values if _answer(condition, v, constant.value) in (answer, None))
        if condition.operator == "is" and constant.value is None:
            self._is_none[key] = answer
        elif answer and _answer(condition, None, constant.value) is not True:
            self._is_none[key] = False

    def narrowed(self, source: Parameter | Output, annotation: Any) -> Any:
        """``annotation`` without what the answers rule out; only ``None`` is looked at."""
        if not self._is_none:
            return annotation
        is_none = self._is_none.get(outline(source))
        if is_none is None or not _can_be_none(annotation):
            return annotation
        return NONE if is_none else _without_none(annotation)

    def _domain(self, key: Outline, annotation: Any) -> tuple[Any, ...] | None:
        if key not in self._values:
            self._values[key] = domain(annotation)
        return self._values[key]


def key_of(condition: Condition) -> Outline:
    """Two conditions with one key have one answer in a run."""
    right = outline(condition.right) if condition.right is not None else ()
    return (condition.operator, outline(condition.left), right)


_TRUTH = Constant(None)


def _constant(condition: Condition) -> Constant | None:
    if condition.operator == "truth":
        return _TRUTH
    return condition.right if isinstance(condition.right, Constant) else None


def _answer(condition: Condition, left: Any, right: Any) -> bool | None:
    """The answer; ``None`` where asking raises, in a run as well."""
    try:
        return holds(condition, left, right)
    except Exception:  # an author's own class may compare as it likes
        return None


def domain(annotation: Any) -> tuple[Any, ...] | None:
    """All values of a type, where they are few; looked up once a type, unless it holds what cannot be hashed."""
    try:
        return _domain(annotation)
    except TypeError:
        return _domain.__wrapped__(annotation)


@functools.lru_cache(maxsize=1024)
def _domain(annotation: Any) -> tuple[Any, ...] | None:
    found = values_of(annotation)
    return found if found and len(found) <= _LARGEST else None


def values_of(annotation: Any) -> tuple[Any, ...] | None:
    """All values of a type that can be counted: of bools, ``Literal`` and enums, and of unions of them."""
    found: list[Any] = []
    for member in members(annotation):
        if member is bool:
            found += [False, True]
        elif member is NONE:
            found.append(None)
        elif get_origin(member) is Literal:
            found += get_args(member)
        elif isinstance(member, type) and issubclass(member, enum.Enum) and not issubclass(member, enum.Flag):
            found += list(member)
        else:
            return None
    return tuple(found)


def _can_be_none(annotation: Any) -> bool:
    return any(_takes_none(member) for member in members(annotation))


def _takes_none(member: Any) -> bool:
    kind = get_origin(member) or member
    if kind is Literal:
        return None in get_args(member)
    if member in (NONE, Any, object) or not isinstance(kind, type):
        return True
    try:
        return isinstance(None, kind)  # ``Hashable``, and protocols that ask for what ``None`` has
    except TypeError:  # a protocol that cannot be asked
        return True


def _without_none(annotation: Any) -> Any:
    rest = [member for member in members(annotation) if member is not NONE]
    if len(rest) == len(members(annotation)) or not rest:
        return annotation
    found = rest[0]
    for member in rest[1:]:
        found = found | member
    return found
