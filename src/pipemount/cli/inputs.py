"""A pipeline's inputs from the words of a command line.

Three sources, later ones win: ``--params`` (a JSON object, ``@file`` or ``-``), ``--param name=text`` or
``name:=JSON``, and one option per parameter, which ``run`` makes from the pipeline's input schema.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..types import JsonObject
from .exits import CommandError, ExitCode
from .schemas import Member, alternatives

__all__ = ["answer_of", "from_assignments", "from_json", "from_options"]

Convert = Callable[[str, Sequence[str]], Any]
WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
JSON_TYPES: dict[type, tuple[str, ...]] = {
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
    list: ("array",),
    dict: ("object",),
    type(None): ("null",),
}


def from_json(source: str | None) -> JsonObject:
    """The object in ``--params``: JSON itself, ``@file``, or ``-`` for standard input."""
    if source is None:
        return {}
    text = _read(source, "--params")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"--params is not JSON: {error}", exit=ExitCode.INPUTS) from None
    if not isinstance(value, dict):
        raise CommandError('--params must be a JSON object: {"name": value}', exit=ExitCode.INPUTS)
    return value


def answer_of(source: str) -> Any:
    """Any JSON: itself, ``@file``, or ``-`` for standard input."""
    text = _read(source, "ANSWER")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        way_out = f"a text is in quotation marks: '{json.dumps(text.strip()[:60], ensure_ascii=False)}'"
        raise CommandError(f"the answer is not JSON ({error}); {way_out}", exit=ExitCode.INPUTS) from None


def _read(source: str, name: str) -> str:
    if source == "-":
        return sys.stdin.read()
    if not source.startswith("@"):
        return source
    try:
        return Path(source[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{name} {source}: {error}") from None


def from_assignments(assignments: Sequence[str], convert: Convert | None = None) -> JsonObject:
    """Inputs of ``--param name=text`` (given again: a list for ``convert``) and ``--param name:=JSON``."""
    texts: dict[str, list[str]] = {}
    inputs: JsonObject = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name.rstrip(":"):
            raise CommandError(f"--param {assignment!r}: write name=text or name:=JSON")
        if name.endswith(":"):
            inputs[name[:-1]] = _json_value(assignment, text)
        else:
            texts.setdefault(name, []).append(text)
    return inputs | {name: (convert or _single)(name, given) for name, given in texts.items()}


def _json_value(assignment: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"--param {assignment!r} is not JSON: {error}", exit=ExitCode.INPUTS) from None


def _single(name: str, given: Sequence[str]) -> str:
    if len(given) > 1:
        raise CommandError(f"--param {name} was given {len(given)} times; write a list as '{name}:=[…]'")
    return given[0]


def from_options(words: Sequence[str], parameters: Sequence[Member], assignments: Sequence[str] = ()) -> JsonObject:
    """Inputs of ``--name value`` options, made from the pipeline's parameters."""
    known = {member.name: member for member in parameters}
    inputs = from_assignments(assignments, lambda name, texts: _value(_member(name, known), texts))
    texts: dict[str, list[str]] = {}
    rest = list(words)
    while rest:
        name, text = _take(rest, known)
        texts.setdefault(name, []).append(text)
    return inputs | {name: _value(known[name], given) for name, given in texts.items()}


def _take(rest: list[str], known: Mapping[str, Member]) -> tuple[str, str]:
    """The next option off ``rest``: its parameter's name and its text."""
    word = rest.pop(0)
    if not word.startswith("--"):
        raise CommandError(f"unexpected {word!r}; {_listing(known)}")
    option, equals, text = word[2:].partition("=")
    if not equals and _negates(option, known):
        return _name(option[3:], known), "false"
    member = _member(option, known)
    if equals:
        return member.name, text
    if _is_boolean(member) and not (rest and rest[0].lower() in WORDS):
        return member.name, "true"
    if not rest:
        raise CommandError(f"--{option} needs a value")
    return member.name, rest.pop(0)


def _negates(option: str, known: Mapping[str, Member]) -> bool:
    name = _name(option.removeprefix("no-"), known)
    return option.startswith("no-") and _name(option, known) not in known and name in known and _is_boolean(known[name])


def _name(option: str, known: Mapping[str, Member]) -> str:
    return option if option in known else option.replace("-", "_")


def _member(option: str, known: Mapping[str, Member]) -> Member:
    try:
        return known[_name(option, known)]
    except KeyError:
        raise CommandError(f"no parameter named {option!r}; {_listing(known)}") from None


def _listing(known: Mapping[str, Member]) -> str:
    if not known:
        return "the pipeline has no parameters"
    return "the pipeline has: " + ", ".join(f"--{name} ({member.type})" for name, member in known.items())


def _kinds(member: Member) -> set[str]:
    return {_kind(branch) for branch in alternatives(member.schema, member.definitions)}


def _kind(schema: JsonObject) -> str:
    kind = schema.get("type", "any")
    return kind if isinstance(kind, str) else "any"


def _is_boolean(member: Member) -> bool:
    return _kinds(member) <= {"boolean", "null"}


def _value(member: Member, texts: Sequence[str]) -> Any:
    """What ``texts`` mean for a parameter; what they cannot mean goes on as text, for validation to refuse."""
    items = _items(member)
    if items is not None and not (len(texts) == 1 and texts[0].lstrip().startswith("[")):
        return [_scalar(items, text) for text in texts]
    if len(texts) > 1:
        raise CommandError(f"--{member.name} was given {len(texts)} times and takes one {member.type}")
    return _scalar(member, texts[0])


def _items(member: Member) -> Member | None:
    for branch in alternatives(member.schema, member.definitions):
        if branch.get("type") == "array":
            items = branch.get("items")
            return Member(member.name, items if isinstance(items, dict) else {}, member.definitions, required=True)
    return None


def _scalar(member: Member, text: str) -> Any:
    for branch in alternatives(member.schema, member.definitions):
        for choice in (*branch.get("enum", ()), *([branch["const"]] if "const" in branch else [])):
            if text == (choice if isinstance(choice, str) else json.dumps(choice)):
                return choice
    kinds = _kinds(member)
    if _is_boolean(member):
        return WORDS.get(text.lower(), None if text == "null" else text)
    if kinds <= {"string", "null"}:
        return text
    return _json_or_text(text, kinds)


def _json_or_text(text: str, kinds: set[str]) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    fits = "any" in kinds or bool(kinds & set(JSON_TYPES.get(type(value), ())))
    return value if fits or "string" not in kinds else text
