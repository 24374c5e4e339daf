"""A fingerprint of a fitted estimator: of its parameters and of all that it has learnt."""

from __future__ import annotations

import copyreg
import hashlib
import struct
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

__all__ = ["fingerprint"]


def fingerprint(*things: Any) -> str:
    """64 hexadecimal digits, the same for equal things in every process; opens no file.

    Arrays count with their type, shape and values; other objects with their class and the state that pickle would
    keep; functions with their name and code.
    """
    return _digest(things, ()).hex()


def _digest(value: Any, above: tuple[int, ...]) -> bytes:
    found = hashlib.sha256(f"{type(value).__module__}.{type(value).__qualname__}".encode())
    if id(value) in above:
        found.update(b"%d above" % (len(above) - above.index(id(value))))
        return found.digest()
    for part in _parts(value, (*above, id(value))):
        found.update(struct.pack(">Q", len(part)))
        found.update(part)
    return found.digest()


def _parts(value: Any, above: tuple[int, ...]) -> Iterator[bytes]:
    """What makes up a value, as bytes."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic):
        yield repr(value).encode()
    elif isinstance(value, np.ndarray):
        yield from _array(value, above)
    elif isinstance(value, Mapping) and type(value).__module__ in ("builtins", "collections"):
        yield from sorted(_digest(key, above) + _digest(item, above) for key, item in value.items())
    elif isinstance(value, set | frozenset):
        yield from sorted(_digest(item, above) for item in value)
    elif isinstance(value, list | tuple):
        yield from (_digest(item, above) for item in value)
    elif isinstance(value, type | types.BuiltinFunctionType | np.ufunc):
        yield f"{getattr(value, '__module__', '')}.{value.__name__}".encode()
    elif isinstance(value, types.FunctionType):
        yield from _function(value, above)
    else:
        yield from (_digest(part, above) for part in _state(value))


def _array(value: Any, above: tuple[int, ...]) -> Iterator[bytes]:
    yield f"{value.dtype.descr if value.dtype.names else value.dtype.str}{value.shape}".encode()
    if value.dtype.hasobject:
        yield from (_digest(item, above) for item in value.ravel().tolist())
    elif value.dtype.names:  # between the fields there may be bytes that nobody has set
        yield from (np.ascontiguousarray(value[name]).tobytes() for name in value.dtype.names)
    else:
        yield np.ascontiguousarray(value).tobytes()


def _function(value: types.FunctionType, above: tuple[int, ...]) -> Iterator[bytes]:
    code = value.__code__
    yield f"{value.__module__}.{value.__qualname__}".encode()
    yield code.co_code
    constants = [constant for constant in code.co_consts if not isinstance(constant, types.CodeType)]
    yield _digest((constants, value.__defaults__, value.__kwdefaults__), above)


def _state(value: Any) -> tuple[Any, ...]:
    """How pickle would make the object again; what cannot be pickled counts with its attributes."""
    try:
        made = value.__reduce_ex__(4)
    except Exception:  # whatever an object has against being pickled
        return (getattr(value, "__dict__", repr(type(value))),)
    if isinstance(made, str):
        return (made,)
    maker, arguments, state, items, pairs = (*made, None, None, None)[:5]
    if hasattr(value, "get_n_calls"):  # search trees count how often they were asked
        state = (*state[:7], *state[11:])
    if maker is copyreg.__newobj__:  # type: ignore[attr-defined]  # undocumented, and what every plain object has
        maker = None
    return maker, arguments, state, items and list(items), pairs and list(pairs)
