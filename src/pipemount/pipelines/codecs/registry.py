"""Which codec a type has: given, shipped, or brought by an installed package. Compares names, and imports nothing."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, get_args, get_origin

from ...errors import ConfigurationError
from ..annotations import plain
from . import numpy, pandas, pillow
from .codec import Codec

__all__ = ["GROUP", "codec_for", "load_installed", "register_codec"]

GROUP = "pipemount.codecs"
"""Entry points named after a class (``module.Class``) that load a ``Codec``, or ``(annotation) -> Codec | None``."""

Maker: TypeAlias = Codec | Callable[[Any], Codec | None]

_SHIPPED: dict[str, Maker] = {
    "numpy.ndarray": numpy.array_codec,
    "numpy.generic": numpy.scalar_codec,
    "pandas.DataFrame": pandas.frame_codec,
    "pandas.core.frame.DataFrame": pandas.frame_codec,
    "pandas.Series": pandas.series_codec,
    "pandas.core.series.Series": pandas.series_codec,
    "PIL.Image.Image": pillow.image_codec,
}
_registered: dict[type, Maker] = {}
_installed: dict[str, Maker] = {}


def register_codec(kind: type, codec: Maker) -> None:
    """Give every parameter and output of a type a codec, from now on and in the whole process.

    Args:
        kind: The class; its subclasses are meant as well.
        codec: The codec, or what makes one of an annotation such as ``Grid[int]``; ``None`` where it has none.
    """
    _registered[kind] = codec


def codec_for(annotation: Any) -> Codec | None:
    """The codec of a type: of its own class, or of the nearest that it inherits from; ``None`` where it has none.

    Give it to types inside pydantic models: ``Annotated[pd.DataFrame, codec_for(pd.DataFrame)]``.
    """
    bare = plain(annotation)
    kind = get_origin(bare) or bare
    for cls in kind.__mro__ if isinstance(kind, type) else ():
        if (maker := _maker(cls, own=hasattr(kind, "__get_pydantic_core_schema__"))) is not None:
            return maker if isinstance(maker, Codec) else maker(bare)
    return None


def _maker(cls: type, *, own: bool) -> Maker | None:
    """What makes codecs of one class; what is shipped stands back where a type tells pydantic itself how it is read."""
    if cls in _registered:
        return _registered[cls]
    name = f"{cls.__module__}.{cls.__qualname__}"
    return _installed.get(name) or (None if own else _SHIPPED.get(name))


def load_installed(annotation: Any) -> bool:
    """Load the installed codecs that name a class in ``annotation``; whether there was one that was not loaded yet.

    Raises ``ConfigurationError`` where one cannot be loaded.
    """
    from importlib.metadata import entry_points  # reads files: only where a type would be refused otherwise

    wanted = set(_names(annotation, {})) - _installed.keys()
    found = [point for point in entry_points(group=GROUP) if point.name in wanted]
    for point in found:
        try:
            _installed[point.name] = point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(
                f"the codec {point.name!r} ({point.value}) cannot be loaded ({error}); "
                "install what it needs, or reinstall the package that brings it"
            ) from error
    return bool(found)


def _names(annotation: Any, seen: dict[int, Any]) -> Iterator[str]:
    """The names of all classes in a type, those that they inherit from and those of their fields."""
    if id(annotation) in seen:
        return
    seen[id(annotation)] = annotation  # kept, so that its id stays its own
    bare = plain(annotation)
    for part in get_args(bare):
        yield from _names(part, seen)
    kind = get_origin(bare) or bare
    if not isinstance(kind, type):
        return
    yield from (f"{cls.__module__}.{cls.__qualname__}" for cls in kind.__mro__)
    if dataclasses.is_dataclass(kind) or hasattr(kind, "__total__"):
        for hint in fields_of(kind).values():
            yield from _names(hint, seen)


def fields_of(kind: Any) -> dict[str, Any]:
    """The types of a class's fields; none where a name in them cannot be resolved."""
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except (NameError, TypeError):
        return {}
