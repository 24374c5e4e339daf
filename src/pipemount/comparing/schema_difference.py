"""What changed between two JSON Schemas for those who send values of them, or read them.

A change of what is taken is compatible if all that the old schema describes fits the new one; a change of what is
given, if all that the new schema describes fits the old one. What cannot be decided here is breaking, and says so.

Objects are judged as people use them: callers send the members that the schema names, and readers overlook members that
they do not know, so that a member more in an output breaks nothing, and one less does, whatever
``additionalProperties`` says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..types import JsonObject
from .schema_facts import ANNOTATIONS, FROM, UNDECIDED, Alternative, admits, alike, expand, loosened
from .schema_words import type_text

__all__ = ["Change", "Effect", "schema_changes"]

Effect: TypeAlias = Literal["breaking", "compatible"]
Role: TypeAlias = Literal["input", "output"]

LIMIT = 20_000
"""Pairs of schemas that are compared before it is given up: unions of unions multiply."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is different for callers.

    Attributes:
        path: Where: ``city``, ``place.name``, ``tags[]``, ``sizes{}``; empty for the whole.
        effect: Whether callers of the old one can go on as they do.
        text: What is different.
    """

    path: str
    effect: Effect
    text: str

    def as_json(self) -> JsonObject:
        """The change as JSON-compatible values."""
        return {"path": self.path, "effect": self.effect, "text": self.text}


def schema_changes(old: JsonObject, new: JsonObject, role: Role) -> tuple[Change, ...]:
    """All changes from ``old`` to ``new``, in the order of the old schema.

    Args:
        old: With what it refers to under ``$defs``.
        new: The same.
        role: Whether values of it are sent by callers or read by them.

    Example:
        >>> [change.text for change in schema_changes({"type": "integer"}, {"type": "number"}, "input")]
        ['integer → number']
    """
    return tuple(dict.fromkeys(_Comparison(old, new, role).changes(old, new, "")))


class _Comparison:
    """Two documents, and what is being compared in them right now: schemas may refer to themselves."""

    def __init__(self, old: JsonObject, new: JsonObject, role: Role) -> None:
        self._role = role
        self._old_definitions: Mapping[str, Any] = old.get("$defs", {})
        self._new_definitions: Mapping[str, Any] = new.get("$defs", {})
        self._same_definitions = alike(self._old_definitions, self._new_definitions)
        self._open: set[tuple[str, str]] = set()
        self._left = LIMIT

    def changes(self, old: Any, new: Any, path: str) -> Iterator[Change]:
        """The changes of what is at ``path``."""
        if not (self._same_definitions and alike(old, new)):
            yield from self._values(old, new, path)
            yield from self._defaults(old, new, path)

    # ------------------------------------------------------------------------------------ unions

    def _values(self, old: Any, new: Any, path: str) -> Iterator[Change]:
        before = expand(old, self._old_definitions)
        after = expand(new, self._new_definitions)
        pairs, before_left, after_left = _paired(before, after)
        for one, other in pairs:
            found = self._one(one, other, path)
            if any(change.effect == "breaking" for change in found) and self._fits_elsewhere(one, other, before, after):
                found = [Change(path, "compatible", self._from_to(one, other))]
            yield from found
        yield from self._left_over(before_left, after_left, before, after, path)

    def _fits_elsewhere(
        self, one: Alternative, other: Alternative, before: list[Alternative], after: list[Alternative]
    ) -> bool:
        """Whether another alternative takes what this pair does not."""
        if self._role == "input":
            return any(self._fits(one, each) for each in after if each is not other)
        return any(self._fits(each, other) for each in before if each is not one)

    def _left_over(
        self,
        lost: list[Alternative],
        gained: list[Alternative],
        before: list[Alternative],
        after: list[Alternative],
        path: str,
    ) -> Iterator[Change]:
        """Alternatives that have no counterpart: only in the old schema, and only in the new one."""
        if not (lost or gained):
            return
        lost_fits = [any(self._fits(one, each) for each in after) for one in lost]
        gained_fits = [any(self._fits(each, one) for each in before) for one in gained]
        safe = all(lost_fits) if self._role == "input" else all(gained_fits)
        old_text, new_text = self._union(before, self._old_definitions), self._union(after, self._new_definitions)
        detail = f"{old_text} → {new_text}" if old_text != new_text else f"another {new_text}"
        yield Change(path, "compatible" if safe else "breaking", detail)

    def _fits(self, old: Alternative, new: Alternative) -> bool:
        return not any(change.effect == "breaking" for change in self._one(old, new, ""))

    @staticmethod
    def _union(alternatives: list[Alternative], definitions: Mapping[str, Any]) -> str:
        return " or ".join(dict.fromkeys(type_text(each, definitions) for each in alternatives)) or "nothing"

    def _from_to(self, old: Alternative, new: Alternative) -> str:
        return f"{type_text(old, self._old_definitions)} → {type_text(new, self._new_definitions)}"

    # -------------------------------------------------------------------------------- alternatives

    def _one(self, old: Alternative, new: Alternative, path: str) -> list[Change]:
        """The changes between two alternatives, neither a union; two that refer to themselves are alike meanwhile."""
        pair = old.get(FROM, ""), new.get(FROM, "")
        self._left -= 1
        if pair in self._open:
            return []
        if self._left < 0:
            return [Change(path, "breaking", "too many alternatives to compare")]
        self._open |= {pair} if all(pair) else set()
        try:
            return list(self._compared(old, new, path))
        finally:
            self._open.discard(pair)

    def _compared(self, old: Alternative, new: Alternative, path: str) -> Iterator[Change]:
        narrow, wide = (old, new) if self._role == "input" else (new, old)
        if "enum" in old or "enum" in new:
            yield from self._enumerations(old, new, path)
        elif wide.get("type") and UNDECIDED in (old.keys() | new.keys()):
            if old.get(UNDECIDED) != new.get(UNDECIDED):
                yield Change(path, "breaking", "combines schemas in a way that cannot be compared")
        elif old.get("type") != new.get("type"):
            whole = narrow.get("type") == "integer" and wide.get("type") == "number"
            safe = whole or not wide.get("type")
            yield Change(path, "compatible" if safe else "breaking", self._from_to(old, new))
            if whole:
                yield from self._keywords(old, new, path)
        else:
            yield from self._keywords(old, new, path)
            if old.get("type") == "object":
                yield from self._objects(old, new, path)
            if old.get("type") == "array":
                yield from self._arrays(old, new, path)

    def _enumerations(self, old: Alternative, new: Alternative, path: str) -> Iterator[Change]:
        """Values that are listed on one side at least."""
        narrow, wide = (old, new) if self._role == "input" else (new, old)
        if "enum" not in narrow:
            finite = FINITE.get(str(narrow.get("type")), ())
            fits = bool(finite) and all(admits(wide, value) for value in finite)
            yield Change(path, "compatible" if fits else "breaking", self._from_to(old, new))
            return
        refused = [value for value in narrow["enum"] if not admits(wide, value)]
        if refused:
            words = "no longer" if self._role == "input" else "may now be"
            yield Change(path, "breaking", f"{words} {type_text({'enum': refused}, {})}")
        if "enum" not in wide:
            yield Change(path, "compatible", self._from_to(old, new))
        elif more := [value for value in wide["enum"] if not admits(narrow, value)]:
            words = "also" if self._role == "input" else "never again"
            yield Change(path, "compatible", f"{words} {type_text({'enum': more}, {})}")

    def _keywords(self, old: Alternative, new: Alternative, path: str) -> Iterator[Change]:
        """Bounds, lengths, patterns and formats."""
        narrow, wide = (old, new) if self._role == "input" else (new, old)
        for keyword in sorted((old.keys() | new.keys()) - STRUCTURE - ANNOTATIONS):
            if alike(old.get(keyword), new.get(keyword)):
                continue
            safe = loosened(keyword, narrow, wide)
            said = f"{keyword} {_told(old, keyword)} → {_told(new, keyword)}"
            if safe is None:
                yield Change(path, "breaking", f"{said}, which cannot be compared")
            else:
                yield Change(path, "compatible" if safe else "breaking", said)

    # --------------------------------------------------------------------------------------- objects

    def _objects(self, old: Alternative, new: Alternative, path: str) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in before:
            place = f"{path}.{name}" if path else name
            if name in after:
                yield from self._presence(old, new, name, place)
                yield from self.changes(before[name], after[name], place)
            elif self._role == "input" and (rest := _rest(new)) is not None:
                yield from self._into_rest(before[name], rest, place)
            else:
                yield Change(place, "breaking", "removed")
        for name in after:
            if name not in before:
                yield from self._added(old, new, name, f"{path}.{name}" if path else name)
        yield from self._others(old, new, f"{path}{{}}")

    def _presence(self, old: Alternative, new: Alternative, name: str, path: str) -> Iterator[Change]:
        was, is_now = name in old.get("required", ()), name in new.get("required", ())
        if was and not is_now:
            words = "no longer required" if self._role == "input" else "may be left out"
            yield Change(path, "compatible" if self._role == "input" else "breaking", words)
        if is_now and not was:
            words = "required now" if self._role == "input" else "always there now"
            yield Change(path, "breaking" if self._role == "input" else "compatible", words)

    def _added(self, old: Alternative, new: Alternative, name: str, path: str) -> Iterator[Change]:
        required = name in new.get("required", ())
        if self._role == "input" and required:
            yield Change(path, "breaking", "added, required")
            return
        yield Change(path, "compatible", "added" if required or self._role == "output" else "added, optional")
        if (rest := _rest(old)) is not None:  # what was any further member is described now
            yield from (change for change in self.changes(rest, new["properties"][name], path) if _is_breaking(change))

    def _into_rest(self, schema: Any, rest: Any, path: str) -> Iterator[Change]:
        """A member that is not named any more, and is taken as any other."""
        broken = [change for change in self.changes(schema, rest, path) if _is_breaking(change)]
        yield from broken or [Change(path, "compatible", "no longer named; taken as any further member")]

    def _others(self, old: Alternative, new: Alternative, path: str) -> Iterator[Change]:
        """Members that are not named."""
        before, after = _rest(old), _rest(new)
        if before is not None and after is not None:
            yield from self.changes(before, after, path)
        elif before is not None:
            yield Change(path, "breaking" if self._role == "input" else "compatible", "no further members")
        elif after is not None:
            yield Change(path, "compatible", "further members")

    # ---------------------------------------------------------------------------------------- arrays

    def _arrays(self, old: Alternative, new: Alternative, path: str) -> Iterator[Change]:
        before, after = old.get("prefixItems", []), new.get("prefixItems", [])
        narrow = old if self._role == "input" else new
        most = narrow.get("maxItems", float("inf"))
        for n in range(max(len(before), len(after))):
            if n < most:
                yield from self.changes(_item(old, n), _item(new, n), f"{path}[{n}]")
        if max(len(before), len(after)) < most:
            yield from self.changes(old.get("items", True), new.get("items", True), f"{path}[]")

    # -------------------------------------------------------------------------------------- defaults

    def _defaults(self, old: Any, new: Any, path: str) -> Iterator[Change]:
        if self._role == "output" or not (isinstance(old, dict) and isinstance(new, dict)):
            return
        if ("default" in old) != ("default" in new) or not alike(old.get("default"), new.get("default")):
            yield Change(path, "compatible", f"default {_told(old, 'default')} → {_told(new, 'default')}")


FINITE: Mapping[str, tuple[Any, ...]] = {"boolean": (False, True), "null": (None,)}
STRUCTURE = frozenset({"type", "enum", "properties", "required", "additionalProperties", "items", "prefixItems"})


def _is_breaking(change: Change) -> bool:
    return change.effect == "breaking"


def _told(schema: JsonObject, keyword: str) -> str:
    return json.dumps(schema[keyword], ensure_ascii=False) if keyword in schema else "none"


def _rest(schema: Alternative) -> Any:
    """The schema of members that are not named; ``None`` where nobody is meant to send any."""
    rest = schema.get("additionalProperties")
    if rest is None and "properties" not in schema:
        return True
    return None if rest is None or rest is False else rest


def _item(schema: Alternative, n: int) -> Any:
    named = schema.get("prefixItems", [])
    return named[n] if n < len(named) else schema.get("items", True)


def _paired(
    before: list[Alternative], after: list[Alternative]
) -> tuple[list[tuple[Alternative, Alternative]], list[Alternative], list[Alternative]]:
    """Alternatives that stand for each other: the only ones of their kind on either side; and those left over."""
    pairs = []
    old, new = list(before), list(after)
    kinds = {_kind(each) for each in before} & {_kind(each) for each in after}
    for kind in sorted(kinds):
        mine = [each for each in before if _kind(each) == kind]
        yours = [each for each in after if _kind(each) == kind]
        if len(mine) == len(yours) == 1:
            pairs.append((mine[0], yours[0]))
            old.remove(mine[0])
            new.remove(yours[0])
    if len(old) == len(new) == 1:
        return [*pairs, (old[0], new[0])], [], []
    return pairs, old, new


def _kind(schema: Alternative) -> str:
    if "enum" in schema:
        return "enum"
    kind = str(schema.get("type", ""))
    return f"{kind} {schema.get('title', '')}" if kind == "object" else kind
