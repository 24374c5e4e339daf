"""The type check of edges: does a value of one type always, perhaps or never fit another?

``ok`` and ``never`` are given only where they are certain; everything between is ``coerce``: validated in the run, in
pydantic's lax mode (https://docs.pydantic.dev/latest/concepts/conversion_table/). Containers count as covariant, and
``int`` fits ``float``, as type checkers have it; a ``datetime`` is no ``date`` and a text is no sequence, as pydantic
has it. What a step declares to return is taken for what it returns.
"""

from __future__ import annotations

import collections.abc as abc
import types
import typing
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

from annotated_types import BaseMetadata, GroupedMetadata
from pydantic import PlainSerializer, ValidationError, WithJsonSchema, WrapSerializer
from pydantic.fields import FieldInfo

from .annotations import plain
from .codecs import Codec, codec_for
from .constants import adapter_for
from .families import family, is_excluded, is_within
from .projection import elements, is_typed_dict

__all__ = ["Fit", "fit"]

Fit: TypeAlias = Literal["ok", "coerce", "never"]

_UNIONS = (typing.Union, types.UnionType)
_INVOLVED = 64
"""How deep types are looked into; beyond, values are validated."""


def fit(source: Any, target: Any) -> Fit:
    """How values declared as ``source`` fit a parameter declared as ``target``."""
    return _Check().fit(source, target)


@dataclass(slots=True)
class _Check:
    """One question with all that it leads to.

    Recursive types lead back to a question that is still open. It is then taken to be answered with ``ok``: values are
    finite, so a value that does not fit has a part in which the misfit shows without going round again.
    """

    open: set[tuple[Hashable, Hashable]] = field(default_factory=set)

    def fit(self, source: Any, target: Any) -> Fit:
        question = _key(source), _key(target)
        if question in self.open:
            return "ok"
        if len(self.open) > _INVOLVED:
            return "coerce"
        self.open.add(question)
        try:
            return self._answer(source, target)
        finally:
            self.open.remove(question)

    def _answer(self, source: Any, target: Any) -> Fit:
        if source == target:
            return "ok"
        if metadata := _constraints(target):
            return self._constrained(source, get_args(target)[0], metadata)
        wanted = plain(target)
        if wanted in (Any, object):
            return "ok"
        given = _alternatives(source)
        if len(given) > 1:
            return _every([self.fit(arm, wanted) for arm in given])
        return _some([self._one(plain(given[0]), arm) for arm in _alternatives(wanted)])

    def _constrained(self, source: Any, target: Any, metadata: tuple[Any, ...]) -> Fit:
        verdict = self.fit(source, target)
        codecs = [item for item in metadata if isinstance(item, Codec)]
        if codecs and verdict == "never":
            return self._decoded(source, codecs[0])
        if verdict == "ok" and len(codecs) == len(metadata):
            return "ok"
        return "never" if verdict == "never" and _only_narrow(metadata) else "coerce"

    def _decoded(self, source: Any, codec: Codec) -> Fit:
        """Of a value that is not of the type: whether it may be what a codec reads."""
        return "never" if self.fit(source, codec.wire) == "never" else "coerce"

    def _one(self, source: Any, target: Any) -> Fit:
        if source == target or target in (Any, object):
            return "ok"
        if _constraints(target) or len(_alternatives(source)) > 1:
            return self.fit(source, target)
        if source in (Any, object):
            return "coerce"
        if get_origin(source) is Literal:
            return _every([self._literal(value, target) for value in get_args(source)])
        kind = get_origin(source) or source
        if get_origin(target) is Literal and isinstance(kind, type):
            return _some([_equal(kind, value) for value in get_args(target)])
        return self._classes(source, target, kind, get_origin(target) or target)

    def _literal(self, value: Any, target: Any) -> Fit:
        if get_origin(target) is Literal:
            known = any(type(other) is type(value) and other == value for other in get_args(target))
        else:
            known = self.fit(type(value), target) == "ok"
        return "ok" if known else "coerce" if _is_taken(value, target) else "never"

    def _classes(self, source: Any, target: Any, kind: Any, wanted: Any) -> Fit:
        if not (isinstance(kind, type) and isinstance(wanted, type)):
            return "coerce"
        if not is_within(kind, wanted) and (codec := codec_for(target)) is not None:
            return self._decoded(source, codec)
        if is_excluded(kind, wanted):
            return "never"
        if is_typed_dict(source):
            return self._typed_dict(source, target, wanted)
        if wanted is float and kind in (int, bool):
            return "ok"
        if is_within(kind, wanted):
            return self._parts(source, target, kind, wanted)
        return self._fixed(source, target, "coerce")

    def _typed_dict(self, source: Any, target: Any, wanted: type) -> Fit:
        parts = get_args(target)
        if is_typed_dict(target) or not is_within(dict, wanted) or len(parts) not in (0, 2):
            return "coerce"
        key, value = parts or (Any, Any)
        try:
            hints = typing.get_type_hints(source, include_extras=True).values()
        except (NameError, TypeError):  # a name that only the author's function knows
            return "coerce" if parts else "ok"
        return _at_least([self.fit(str, key), *(self.fit(plain(hint), value) for hint in hints)])

    def _parts(self, source: Any, target: Any, kind: type, wanted: type) -> Fit:
        """Of two classes of which one is within the other: what they say of their parts."""
        if elements(source) is not None or elements(target) is not None:
            return self._fixed(source, target, "ok")
        parts = _parameters(target)
        if parts == ():
            return "coerce" if target == tuple[()] else "ok"
        given = _parameters(source) or (Any,) * len(parts)
        if len(given) != len(parts) or not (kind is wanted or (family(kind) and family(wanted))):
            return "coerce"
        judge: Callable[[Any, Any], Fit] = self.fit if family(kind) else _alike
        return _at_least([judge(part, other) for part, other in zip(given, parts, strict=True)])

    def _fixed(self, source: Any, target: Any, best: Fit) -> Fit:
        """Tuples of fixed length, on either side: one misfit is enough to fail."""
        given, wanted = elements(source), elements(target)
        if given is None or (get_origin(target) or target) not in _LISTS:
            return "coerce"
        if wanted is None:
            wanted = () if target == tuple[()] else (_parameters(target) or (Any,))[:1] * len(given)
        if len(given) != len(wanted):
            return "never"
        verdicts = {self.fit(part, other) for part, other in zip(given, wanted, strict=True)}
        if "never" in verdicts:
            return "never"
        return best if verdicts <= {"ok"} else "coerce"


_LISTS = (tuple, list, set, frozenset, abc.Sequence, abc.Collection)


# ------------------------------------------------------------------------------------------ verdicts


def _every(verdicts: Iterable[Fit]) -> Fit:
    """Of a union's alternatives as a source: each can be what comes."""
    found = set(verdicts)
    return found.pop() if len(found) == 1 else "coerce"


def _some(verdicts: Iterable[Fit]) -> Fit:
    """Of a union's alternatives as a target: one is enough."""
    found = set(verdicts)
    return "ok" if "ok" in found else "coerce" if "coerce" in found else "never"


def _at_least(verdicts: Iterable[Fit]) -> Fit:
    """Of the parts of a value that may be empty or lack some: never certain to fail."""
    return "ok" if set(verdicts) <= {"ok"} else "coerce"


def _alike(source: Any, target: Any) -> Fit:
    """Of the parameters of a class that is no container: what they mean is its own affair."""
    return "ok" if plain(target) in (Any, object) or source == target else "coerce"


# ------------------------------------------------------------------------------------------- values


def _is_taken(value: Any, target: Any) -> bool:
    try:
        adapter_for(target).validate_python(value)
    except ValidationError:
        return False
    return True


def _equal(kind: type, value: Any) -> Fit:
    """Whether an instance of a class can equal one value; numbers of any kind can be equal."""
    apart = family(type(value)) and is_excluded(kind, type(value)) and not issubclass(kind, complex)
    return "never" if apart else "coerce"


# -------------------------------------------------------------------------------------- annotations


def _key(annotation: Any) -> Hashable:
    try:
        hash(annotation)
    except TypeError:  # metadata that cannot be hashed
        return id(annotation)
    return annotation  # type: ignore[no-any-return]  # hashable, as just seen


def _constraints(annotation: Any) -> tuple[Any, ...]:
    """Metadata that may change or refuse values."""
    if get_origin(annotation) is not Annotated:
        return ()
    return tuple(item for item in annotation.__metadata__ if not _is_silent(item))


def _is_silent(item: Any) -> bool:
    """Whether metadata says nothing of the values that fit: it names, documents or serialises them."""
    if isinstance(item, FieldInfo):
        return not item.metadata and item.discriminator is None
    return isinstance(item, str | WithJsonSchema | PlainSerializer | WrapSerializer)


def _only_narrow(metadata: Iterable[Any]) -> bool:
    """Whether metadata only refuses values, and turns none into another."""
    return all(
        _only_narrow(item.metadata)
        if isinstance(item, FieldInfo)
        else isinstance(item, BaseMetadata | GroupedMetadata) and not getattr(item, "coerce_numbers_to_str", None)
        for item in metadata
    )


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """A union's alternatives, their constraints kept; any other type alone."""
    if _constraints(annotation):
        return (annotation,)
    bare = plain(annotation)
    if get_origin(bare) not in _UNIONS:
        return (bare,)
    return tuple(arm for part in get_args(bare) for arm in _alternatives(part))


def _parameters(annotation: Any) -> tuple[Any, ...]:
    return tuple(part for part in get_args(annotation) if part is not Ellipsis)
