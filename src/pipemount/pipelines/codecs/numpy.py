"""Codecs of numpy arrays and scalars.

An array is a list of numbers, of lists of numbers, and so on; NaN and infinities are ``null``, and ``null`` is NaN.
What an annotation says of the element type and of the number of dimensions is kept to.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import WithJsonSchema

from ...types import JsonObject
from ..annotations import plain
from .codec import Codec

__all__ = ["MAX_LETTERS", "array_codec", "scalar_codec"]

_ITEMS: dict[str, JsonObject] = {
    "b": {"type": "boolean"},
    "i": {"type": "integer"},
    "u": {"type": "integer", "minimum": 0},
    "f": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    "U": {"type": "string"},
    "": {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "boolean"}, {"type": "null"}]},
}
_WORDS = {"b": "booleans", "i": "integers", "u": "integers of at least 0", "f": "numbers", "U": "texts"}
MAX_LETTERS = 2**25
"""What the texts of an array may have, each counted as long as the longest; four times as many bytes."""

_PLAIN = {"b": bool, "i": int, "u": int, "f": float, "U": str}


@dataclass(frozen=True, slots=True)
class _Form:
    """What an annotation says of an array.

    Attributes:
        dtype: The element type; ``None`` where there is a choice.
        kind: Numpy's letter for the kind of element type; ``""`` for any.
        dimensions: How many; ``None`` for any number.
    """

    dtype: Any
    kind: str
    dimensions: int | None


def array_codec(annotation: Any) -> Codec | None:
    """The codec of ``ndarray``, plain or with shape and element type; ``None`` for elements without a form in JSON."""
    shape, element = (*get_args(annotation), Any, Any)[:2]
    kind = _kind(plain((get_args(element) or (Any,))[0]))
    if kind is None:
        return None
    sizes = get_args(plain(shape))
    form = _Form(*kind, None if not sizes or Ellipsis in sizes else len(sizes))
    wire = Annotated[list[Any], WithJsonSchema(_schema(form))]
    return Codec(wire, lambda rows: _decode(rows, form), _encode, lambda array: _fitted(array, form))


def scalar_codec(annotation: Any) -> Codec | None:
    """The codec of one number, boolean or text, e.g. ``numpy.float32``; ``None`` for abstract and other types."""
    dtype, kind = _kind(annotation) or (None, "")
    if dtype is None:
        return None
    form = _Form(dtype, kind, 0)
    return Codec(_PLAIN[kind], lambda value: annotation(_fitted(_numpy().asarray(value), form)[()]), _PLAIN[kind])


def _numpy() -> Any:
    return sys.modules["numpy"]


def _kind(element: Any) -> tuple[Any, str] | None:
    """The dtype and the kind that an element type means; ``None`` for one that JSON has no form of."""
    numpy = _numpy()
    if element in (Any, object, numpy.generic) or not isinstance(element, type):
        return None, ""
    if element in numpy.sctypeDict.values():
        dtype = numpy.dtype(element)
        return (dtype, dtype.kind) if dtype.kind in _PLAIN else None
    families = {numpy.floating: "f", numpy.signedinteger: "i", numpy.integer: "i", numpy.unsignedinteger: "u"}
    return (None, families[element]) if element in families else None


def _schema(form: _Form) -> JsonObject:
    item = _ITEMS[form.kind]
    if form.dimensions is None:
        return {"type": "array", "items": {"anyOf": [*item.get("anyOf", [item]), {"type": "array"}]}}
    for _ in range(form.dimensions):
        item = {"type": "array", "items": item}
    return item


# ---------------------------------------------------------------------------------------------- arrays


def _decode(rows: list[Any], form: _Form) -> Any:
    cells = _numpy().array(rows, dtype=object)
    kinds = set(map(type, cells.flat))
    if kinds & {list, tuple}:
        raise ValueError("its rows are of unequal length or depth")
    return _fitted(_texts(cells) if kinds == {str} else _numbers(rows, kinds), form)


def _texts(cells: Any) -> Any:
    """Numpy gives every text the room of the longest: a few letters could ask for all the memory there is."""
    if max(map(len, cells.flat)) * cells.size > MAX_LETTERS:
        raise ValueError(f"{cells.size} texts of the length of its longest are too large; {MAX_LETTERS} letters fit")
    return cells.astype(str)


def _numbers(rows: list[Any], kinds: set[type]) -> Any:
    """Numbers, of which some may be missing or large, or booleans."""
    numpy = _numpy()
    if not kinds <= {bool, int, float, type(None)} or {bool, type(None)} <= kinds:
        raise ValueError(f"its items are of several types or of none that is known ({_listed(kinds)})")
    array = numpy.array(rows)
    return numpy.array(rows, dtype=float) if array.dtype.kind == "O" else array


def _listed(kinds: set[type]) -> str:
    return ", ".join(sorted("null" if kind is type(None) else kind.__name__ for kind in kinds))


def _fitted(array: Any, form: _Form) -> Any:
    """The array in the form that an annotation says; the very same where it has it already."""
    if not array.size and form.dimensions is not None and array.ndim < form.dimensions:
        array = array.reshape(array.shape + (0,) * (form.dimensions - array.ndim))
    if form.dimensions not in (None, array.ndim):
        raise ValueError(f"it has {array.ndim} dimensions, not {form.dimensions}")
    fits = array.dtype.kind == form.kind and (form.dtype is None or form.kind == "U" or array.dtype == form.dtype)
    return array if fits or not form.kind else _cast(array, form)


def _cast(array: Any, form: _Form) -> Any:
    numpy = _numpy()
    if array.size and array.dtype.kind not in ("iuf" if form.kind in "iuf" else form.kind):
        raise ValueError(f"its items are {_WORDS.get(array.dtype.kind, array.dtype)}, not {_WORDS[form.kind]}")
    target = form.dtype or numpy.dtype({"f": "f8", "i": "i8", "u": "u8"}[form.kind])
    with numpy.errstate(all="ignore"):
        cast = array.astype(target)
        lost = numpy.isfinite(array) & ~numpy.isfinite(cast) if form.kind == "f" else cast != array
    if array.size and lost.any():
        raise ValueError(f"an item is not within the values of {target}")
    return cast


def _encode(array: Any) -> Any:
    numpy = _numpy()
    array = numpy.atleast_1d(array)
    if array.dtype.kind not in _WORDS:
        raise ValueError(f"items of type {array.dtype} have no form in JSON")
    if array.dtype.kind != "f":
        return array.tolist()
    finite = numpy.isfinite(array)
    plain = array.astype(float)
    return plain.tolist() if finite.all() else numpy.where(finite, plain.astype(object), None).tolist()
