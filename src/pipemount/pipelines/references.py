"""References: what an author's body handles in place of values while it is traced.

A reference knows where its value will come from and of which type it will be. Reading a field gives a reference;
everything that would need the value itself is refused with the place in the author's code and the way out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn, Protocol

from ..errors import CompileError
from .annotations import describe
from .literals import written
from .places import asked_by_author, caller_place
from .projection import NoFieldError, elements, project
from .refusals import METHODS, REFUSED, as_written
from .snapshot import Access, Operator, Output, Parameter

__all__ = ["MARK", "Question", "Reference", "Same", "Symbol", "Tracer", "ask", "symbol_of"]

MARK = "<pipemount reference "
"""Opens the ``repr`` of every reference; a constant that contains it was made of one."""


class Tracer(Protocol):
    """What a reference needs of the trace that it belongs to."""

    @property
    def file(self) -> str | None:
        """Source file of the body."""

    def note(self, fault: CompileError) -> None:
        """Keeps a fault."""

    def narrowed(self, source: Parameter | Output, annotation: Any) -> Any:
        """The type without what the answers so far rule out."""

    def ask(self, operator: Operator, left: object, right: object) -> bool:
        """The answer to a question about a value of the run. Raises ``CompileError``."""


@dataclass(frozen=True, slots=True, eq=False)
class Symbol:
    """The inside of a reference: whose it is, where the value comes from, its type, what to call it."""

    trace: Tracer
    source: Parameter | Output
    annotation: Any
    label: str

    def error(self, code: str, operation: str, reason: str, way_out: str) -> CompileError:
        """The error, at the author's line; the trace keeps it, so that no ``except`` in the body can hide it."""
        place = caller_place(self.trace.file)
        fault = CompileError(
            code=code, operation=operation, reason=reason, way_out=way_out, file=place.file, line=place.line
        )
        self.trace.note(fault)
        return fault

    def hop(self, access: Access) -> Symbol:
        """The symbol of one field or item."""
        label = f"{self.label}.{access.key}" if access.kind == "attribute" else f"{self.label}[{access.key!r}]"
        try:
            annotation = project(self.trace.narrowed(self.source, self.annotation), access)
        except NoFieldError as error:
            raise self.error(error.code, f"`{label}` cannot be read", error.reason, error.way_out) from None
        return Symbol(self.trace, replace(self.source, path=(*self.source.path, access)), annotation, label)


class Reference:
    """A value that exists in a run only."""

    __slots__ = ("_symbol",)
    _symbol: Symbol

    def __init__(self, symbol: Symbol) -> None:
        object.__setattr__(self, "_symbol", symbol)

    def __repr__(self) -> str:
        return f"{MARK}{self._label}: {describe(self._symbol.annotation)}>"

    @property
    def _label(self) -> str:
        return self._symbol.label

    @property  # type: ignore[misc]  # an object's class can be set; nobody has to here
    def __class__(self) -> type:
        """What ``isinstance`` asks for where the class itself does not answer."""
        if asked_by_author(self._symbol.trace.file):
            raise _refusal(self, "type")
        return type(self)

    def __getattr__(self, name: str) -> Reference:
        if name.startswith("_"):
            if sys._getframe(1).f_code.co_name == "__instancecheck__" and asked_by_author(self._symbol.trace.file):
                raise _refusal(self, "type")
            if not name.startswith("__") and sys._getframe(1).f_code.co_filename == self._symbol.trace.file:
                raise _refusal(self, "private", "__getattr__", [name])
            raise AttributeError(f"{self!r} has no attribute {name!r}")
        return Reference(self._symbol.hop(Access("attribute", name)))

    def __getitem__(self, key: Any) -> Reference:
        if isinstance(key, Reference) or not isinstance(key, str | int):
            raise self._symbol.error(
                "item-key",
                f"`{self._symbol.label}[{_key_text(key)}]` cannot be read",
                "only a text or a whole number written in the body can be a key",
                "Take slices and computed keys inside a step",
            )
        return Reference(self._symbol.hop(Access("item", key)))

    def __iter__(self) -> Iterator[Reference]:
        parts = elements(self._symbol.annotation)
        if parts is None:
            raise _refusal(self, "iterate")
        return iter([self[index] for index in range(len(parts))])

    def __len__(self) -> int:
        parts = elements(self._symbol.annotation)
        if parts is None:
            raise _refusal(self, "len")
        return len(parts)

    def __bool__(self) -> bool:
        return self._symbol.trace.ask("truth", self, None)

    def __contains__(self, item: object) -> bool:
        return self._symbol.trace.ask("in", item, self)

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        """Refused: a value of the run is no function."""
        raise _refusal(self, "call")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise _refusal(self, "assign", "__setattr__", [name])

    def __delattr__(self, name: str) -> NoReturn:
        raise _refusal(self, "assign", "__delattr__", [name])

    def __dir__(self) -> list[str]:
        return []


class Question(Reference):
    """A comparison with a reference: a branch may ask it, and nothing else can be done with it."""

    __slots__ = ("_asked",)
    _asked: tuple[Operator, object, object, bool]

    def __init__(self, symbol: Symbol, operator: Operator, left: object, right: object, *, negated: bool) -> None:
        super().__init__(symbol)
        object.__setattr__(self, "_asked", (operator, left, right, negated))

    @property
    def _label(self) -> str:
        operator, left, right, negated = self._asked
        signs = {"==": ("==", "!="), "in": ("in", "not in"), "is": ("is", "is not")}
        return f"{_shown(left)} {signs.get(operator, (operator, operator))[negated]} {_shown(right)}"

    def __bool__(self) -> bool:
        operator, left, right, negated = self._asked
        return self._symbol.trace.ask(operator, left, right) is not negated


class Same:
    """Stands for a value in ``==`` where the author asked for identity: ``x is None``, ``case None``."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return other is self.value

    __hash__ = None  # type: ignore[assignment]  # it is compared, and nothing else


def ask(operator: Operator, left: Reference, right: object, *, negated: bool = False) -> Question:
    """A question about ``left``."""
    return Question(left._symbol, operator, left, right, negated=negated)


def _key_text(key: object) -> str:
    """A key as its author wrote it."""
    if not isinstance(key, slice):
        return _shown(key)
    parts = ["" if part is None else _shown(part) for part in (key.start, key.stop, key.step)]
    return ":".join(parts if parts[2] else parts[:2])


def symbol_of(value: object) -> Symbol | None:
    """The symbol of a reference; ``None`` for every other value."""
    return value._symbol if issubclass(type(value), Reference) else None  # type: ignore[attr-defined]  # it is one


# ------------------------------------------------------------------------------------- what is refused

_COMPARISONS: dict[str, tuple[Operator, bool]] = {
    "eq": ("==", False),
    "ne": ("==", True),
    "lt": ("<", False),
    "le": ("<=", False),
    "gt": (">", False),
    "ge": (">=", False),
}


def _refusal(reference: Reference, kind: str, method: str = "", arguments: Sequence[str] = ()) -> CompileError:
    label, refusal = reference._label, REFUSED[kind]
    written = as_written(method, label, arguments)
    return reference._symbol.error(
        refusal.code,
        refusal.operation.format(label, written=written),
        refusal.reason.format(label),
        refusal.way_out.format(label),
    )


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def _refuser(method: str, kind: str) -> Callable[..., NoReturn]:
    def refuse(self: Reference, *args: object, **kwargs: object) -> NoReturn:
        shown = [_cut(_shown(value)) for value in args] if "{written}" in REFUSED[kind].operation else ()
        raise _refusal(self, kind, method, shown)

    return refuse


def _comparison(operator: Operator, negated: bool) -> Callable[[Reference, object], Question]:
    def compare(self: Reference, other: object) -> Question:
        if isinstance(other, Same):
            return ask("is", self, other.value, negated=negated)
        return ask(operator, self, other, negated=negated)

    return compare


def _shown(value: object) -> str:
    return value._label if symbol_of(value) is not None else written(value)  # type: ignore[attr-defined]  # a reference


for _name, _kind in METHODS.items():
    setattr(Reference, _name, _refuser(_name, _kind))
for _name, (_operator, _negated) in _COMPARISONS.items():
    setattr(Reference, f"__{_name}__", _comparison(_operator, _negated))
