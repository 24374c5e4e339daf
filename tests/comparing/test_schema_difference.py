"""What changed between two schemas, and that what is called compatible is."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipemount.comparing.schema_difference import Change, schema_changes
from pipemount.types import JsonObject

TEXT: JsonObject = {"type": "string"}
WHOLE: JsonObject = {"type": "integer"}
NUMBER: JsonObject = {"type": "number"}
NULL: JsonObject = {"type": "null"}
TRUTH: JsonObject = {"type": "boolean"}
COLOURS: JsonObject = {"enum": ["red", "green"], "type": "string"}
MAP: JsonObject = {"type": "object", "additionalProperties": WHOLE}
FREE: JsonObject = {"type": "object"}


def either(*schemas: JsonObject) -> JsonObject:
    return {"anyOf": list(schemas)}


def members(required: str = "", /, **properties: Any) -> JsonObject:
    return {"type": "object", "properties": properties, "required": required.split(), "additionalProperties": False}


def told(old: JsonObject, new: JsonObject, role: Literal["input", "output"]) -> list[str]:
    return [f"{c.path}: {c.effect}: {c.text}".lstrip(": ") for c in schema_changes(old, new, role)]


OBJECTS = [
    (members(), members("a", a=TEXT), ["a: breaking: added, required"], ["a: compatible: added"]),
    (members(), members(a=TEXT), ["a: compatible: added, optional"], ["a: compatible: added"]),
    (members("a", a=TEXT), members(), ["a: breaking: removed"], ["a: breaking: removed"]),
    (
        members(a=TEXT),
        members("a", a=TEXT),
        ["a: breaking: required now"],
        ["a: compatible: always there now"],
    ),
    (
        members("a", a=TEXT),
        members(a=TEXT),
        ["a: compatible: no longer required"],
        ["a: breaking: may be left out"],
    ),
    (
        members(a=members(b=WHOLE)),
        members(a=members(b=NUMBER)),
        ["a.b: compatible: integer → number"],
        ["a.b: breaking: integer → number"],
    ),
    (MAP, FREE, ["{}: compatible: integer → any"], ["{}: breaking: integer → any"]),
    (MAP, members(), ["{}: breaking: no further members"], ["{}: compatible: no further members"]),
    (members(), MAP, ["{}: compatible: further members"], ["{}: compatible: further members"]),
    (
        members(a=WHOLE),
        MAP,
        ["a: compatible: no longer named; taken as any further member", "{}: compatible: further members"],
        ["a: breaking: removed", "{}: compatible: further members"],
    ),
    (
        members(a=TEXT),
        MAP,
        ["a: breaking: string → integer", "{}: compatible: further members"],
        ["a: breaking: removed", "{}: compatible: further members"],
    ),
    (MAP, {**MAP, "properties": {"a": WHOLE}}, ["a: compatible: added, optional"], ["a: compatible: added"]),
    (
        MAP,
        {**MAP, "properties": {"a": TEXT}},
        ["a: compatible: added, optional", "a: breaking: integer → string"],
        ["a: compatible: added", "a: breaking: integer → string"],
    ),
]
VALUES = [
    (WHOLE, NUMBER, ["compatible: integer → number"], ["breaking: integer → number"]),
    (NUMBER, WHOLE, ["breaking: number → integer"], ["compatible: number → integer"]),
    (TEXT, WHOLE, ["breaking: string → integer"], ["breaking: string → integer"]),
    (TEXT, {}, ["compatible: string → any"], ["breaking: string → any"]),
    ({}, TEXT, ["breaking: any → string"], ["compatible: any → string"]),
    (TEXT, either(TEXT, NULL), ["compatible: string → string or null"], ["breaking: string → string or null"]),
    (either(TEXT, NULL), NULL, ["breaking: string or null → null"], ["compatible: string or null → null"]),
    (either(WHOLE, NULL), either(NULL, NUMBER), ["compatible: integer → number"], ["breaking: integer → number"]),
    (COLOURS, TEXT, ['compatible: "red" or "green" → string'], ['breaking: "red" or "green" → string']),
    (TEXT, COLOURS, ['breaking: string → "red" or "green"'], ['compatible: string → "red" or "green"']),
    (COLOURS, {"const": "red"}, ['breaking: no longer "green"'], ['compatible: never again "green"']),
    ({"const": "red"}, COLOURS, ['compatible: also "green"'], ['breaking: may now be "green"']),
    (TRUTH, {"enum": [True, False]}, ["compatible: boolean → true or false"], ["compatible: boolean → true or false"]),
    ({"enum": [1]}, {"enum": [True]}, ["breaking: no longer 1", "compatible: also true"], None),
    ({"enum": [1.0]}, {"enum": [1]}, [], []),
    ({"enum": [[1], {"a": 1}]}, {"enum": [[1.0], {"a": 1}]}, [], []),
    ({"enum": ["a", 7]}, {"enum": ["a", 7], "type": "string"}, ["breaking: no longer 7"], None),
    (either(COLOURS, WHOLE), either(TEXT, WHOLE), ['compatible: "red" or "green" → string'], None),
    (either(TEXT, WHOLE), {"type": ["integer", "string"]}, [], []),
    (members(a=True), members(a=TEXT), ["a: breaking: any → string"], ["a: compatible: any → string"]),
    (members(a=False), members(a=TEXT), ["a: compatible: nothing → string"], ["a: breaking: nothing → string"]),
    (
        either({"enum": ["a"]}, TEXT),
        either({"enum": ["b"]}, TEXT),
        ['compatible: "a" → "b"'],
        ['compatible: "a" → "b"'],
    ),
]
BOUNDS = [
    ("minimum 0 → 1", {**WHOLE, "minimum": 0}, {**WHOLE, "minimum": 1}, False, True),
    ("minimum none → 0", WHOLE, {**WHOLE, "minimum": 0}, False, True),
    ("maximum 9 → 8", {**NUMBER, "maximum": 9}, {**NUMBER, "maximum": 8}, False, True),
    ("maxLength 9 → 8", {**TEXT, "maxLength": 9}, {**TEXT, "maxLength": 8}, False, True),
    ("minLength none → 1", TEXT, {**TEXT, "minLength": 1}, False, True),
    ("multipleOf 6 → 3", {**WHOLE, "multipleOf": 6}, {**WHOLE, "multipleOf": 3}, True, False),
    ("multipleOf 0.1 → 0.2", {**NUMBER, "multipleOf": 0.1}, {**NUMBER, "multipleOf": 0.2}, False, True),
]


@pytest.mark.parametrize(("old", "new", "inputs", "outputs"), [*OBJECTS, *VALUES])
def test_changes_for_senders_and_for_readers(
    old: JsonObject, new: JsonObject, inputs: list[str], outputs: list[str] | None
) -> None:
    assert told(old, new, "input") == inputs
    if outputs is not None:
        assert told(old, new, "output") == outputs


@pytest.mark.parametrize(("text", "old", "new", "taken", "given_"), BOUNDS)
def test_bounds(text: str, old: JsonObject, new: JsonObject, taken: bool, given_: bool) -> None:
    effects = {True: "compatible", False: "breaking"}
    assert told(old, new, "input") == [f"{effects[taken]}: {text}"]
    assert told(old, new, "output") == [f"{effects[given_]}: {text}"]


def test_bounds_that_are_written_otherwise_break_nothing() -> None:
    old, new = {**WHOLE, "minimum": 1, "maximum": 8}, {**WHOLE, "exclusiveMinimum": 0, "exclusiveMaximum": 9}
    for role in ("input", "output"):
        assert {change.effect for change in schema_changes(old, new, role)} == {"compatible"}
    assert {
        change.effect for change in schema_changes({**NUMBER, "minimum": 0}, {**NUMBER, "exclusiveMinimum": 0}, "input")
    } == {
        "breaking",
        "compatible",
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (TEXT, {**TEXT, "pattern": "^a"}),
        ({**TEXT, "format": "date"}, {**TEXT, "format": "uri"}),
        ({"enum": ["2020-01-01"]}, {**TEXT, "format": "date"}),
        ({"type": "array"}, {"type": "array", "uniqueItems": True}),
        (WHOLE, {"allOf": [WHOLE]}),
        ({"not": TEXT}, {"not": WHOLE}),
        (TEXT, {"oneOf": [TEXT, WHOLE]}),
        (TEXT, {"minLength": 1}),
        ({"enum": ["a"]}, {"enum": ["a"], "pattern": "a"}),
        (TEXT, {"$ref": "#/$defs/A", "minLength": 1, "$defs": {"A": TEXT}}),
        ({"enum": [{}]}, FREE),
    ],
)
def test_what_cannot_be_decided_is_breaking(old: JsonObject, new: JsonObject) -> None:
    assert "breaking" in {change.effect for change in schema_changes(old, new, "input")}


def test_what_cannot_be_decided_but_did_not_change_is_no_change() -> None:
    odd = {"not": TEXT}
    assert told(members(a=odd, b=TEXT), members(a=odd, b=WHOLE), "input") == ["b: breaking: string → integer"]
    assert told({"anyOf": [odd, NULL]}, {"anyOf": [odd, NULL], "default": 1}, "input") == [
        "compatible: default none → 1"
    ]
    assert "combines schemas" in told({"not": TEXT}, {"not": WHOLE}, "input")[0]


def test_undecided_ones_fit_what_takes_anything() -> None:
    assert told({"not": TEXT}, {}, "input") == ["compatible: value of a combined schema → any"]


ARRAYS = [
    ({"items": WHOLE}, {"items": NUMBER}, ["[]: compatible: integer → number"]),
    ({"items": WHOLE}, {}, ["[]: compatible: integer → any"]),
    ({}, {"items": WHOLE}, ["[]: breaking: any → integer"]),
    ({"items": WHOLE, "maxItems": 0}, {"items": TEXT, "maxItems": 0}, []),
    ({"maxItems": 2}, {"maxItems": 1}, ["breaking: maxItems 2 → 1"]),
    (
        {"prefixItems": [WHOLE, TEXT], "maxItems": 2},
        {"prefixItems": [NUMBER, TEXT], "maxItems": 2},
        ["[0]: compatible: integer → number"],
    ),
    (
        {"prefixItems": [WHOLE], "maxItems": 1},
        {"prefixItems": [WHOLE, TEXT], "maxItems": 2},
        ["compatible: maxItems 1 → 2"],
    ),
    ({"items": WHOLE}, {"prefixItems": [TEXT], "items": WHOLE}, ["[0]: breaking: integer → string"]),
]


@pytest.mark.parametrize(("old", "new", "changes"), ARRAYS)
def test_arrays(old: JsonObject, new: JsonObject, changes: list[str]) -> None:
    assert told({"type": "array", **old}, {"type": "array", **new}, "input") == changes


def test_defaults_are_told_of_inputs_and_are_compatible() -> None:
    old, new = members(a={**WHOLE, "default": 1}), members(a={**WHOLE, "default": 2})
    assert told(old, new, "input") == ["a: compatible: default 1 → 2"]
    assert told(old, new, "output") == []


def test_words_about_a_schema_do_not_matter() -> None:
    assert told({**TEXT, "title": "A", "description": "b"}, {**TEXT, "examples": ["c"]}, "input") == []


# --------------------------------------------------------------------------------------- references


def node(value: JsonObject, name: str = "Node") -> JsonObject:
    """A list, each of whose nodes refers to the next."""
    following = either({"$ref": f"#/$defs/{name}"}, NULL)
    schema = {"type": "object", "title": name, "properties": {"value": value, "next": following}, "required": ["value"]}
    return {"$ref": f"#/$defs/{name}", "$defs": {name: schema}}


def test_schemas_that_refer_to_themselves() -> None:
    assert told(node(WHOLE), node(NUMBER), "input") == ["value: compatible: integer → number"]
    assert told(node(WHOLE), node(NUMBER), "output") == ["value: breaking: integer → number"]
    assert told(node(WHOLE), node(WHOLE, "Other"), "input") == []


def test_references_that_lead_nowhere_or_round_in_circles_take_nothing_but_end() -> None:
    circle = {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}
    assert told(circle, TEXT, "input") == ["compatible: nothing → string"]
    assert told({"$ref": "#/$defs/Gone"}, TEXT, "input") == ["breaking: any → string"]


def test_tagged_unions_are_compared_by_alternative() -> None:
    cat = {
        "type": "object",
        "title": "Cat",
        "properties": {"kind": {"const": "cat"}, "age": WHOLE},
        "required": ["kind"],
    }
    dog = {"type": "object", "title": "Dog", "properties": {"kind": {"const": "dog"}}, "required": ["kind"]}
    old: JsonObject = {"oneOf": [cat, dog], "discriminator": {"propertyName": "kind"}}
    new = deepcopy(old)
    new["oneOf"][0]["properties"]["age"] = NUMBER
    assert told(old, new, "input") == ["age: compatible: integer → number"]
    assert told(old, {**old, "oneOf": [cat]}, "input") == ["breaking: Cat or Dog → Cat"]


def test_unions_of_unions_come_to_an_end() -> None:
    def deep(levels: int, leaf: JsonObject) -> JsonObject:
        schema = leaf
        for _ in range(levels):
            schema = either(*({"type": "object", "properties": {name: schema}} for name in "abc"))
        return schema

    changes = schema_changes(deep(6, WHOLE), deep(6, TEXT), "input")
    assert "breaking" in {change.effect for change in changes}


def test_a_change_as_json() -> None:
    assert Change("a", "breaking", "removed").as_json() == {"path": "a", "effect": "breaking", "text": "removed"}


# ----------------------------------------------------------------------------------------- property

NAMES = st.sampled_from(["a", "b", "c"])
SMALL = st.integers(-2, 3)
SCALARS = st.sampled_from([None, True, False, 0, 1, 2, "", "a", "bb"])


def optional(**found: st.SearchStrategy[Any]) -> st.SearchStrategy[JsonObject]:
    return st.fixed_dictionaries({}, optional=found)


def typed(kind: str, **keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[JsonObject]:
    return optional(**keywords).map(lambda found: {"type": kind, **found})


NUMERIC = {"minimum": SMALL, "maximum": SMALL, "exclusiveMinimum": SMALL, "exclusiveMaximum": SMALL}
LEAVES = st.one_of(
    st.just({}),
    st.just(NULL),
    st.just(TRUTH),
    typed("integer", **NUMERIC, multipleOf=st.integers(1, 3)),
    typed("number", **NUMERIC),
    typed("string", minLength=st.integers(0, 2), maxLength=st.integers(0, 3)),
    st.lists(SCALARS, min_size=1, max_size=4).map(lambda values: {"enum": values}),
)


@st.composite
def objects(draw: Any, inner: st.SearchStrategy[JsonObject]) -> JsonObject:
    properties = draw(st.dictionaries(NAMES, inner, max_size=3))
    required = [name for name in properties if draw(st.booleans())]
    schema = {"type": "object", "properties": properties, "required": required}
    rest = draw(st.sampled_from(["none", "false", "true", "schema"]))
    if rest != "none":
        schema["additionalProperties"] = {"false": False, "true": True}.get(rest) if rest != "schema" else draw(inner)
    return schema


def compound(inner: st.SearchStrategy[JsonObject]) -> st.SearchStrategy[JsonObject]:
    lengths = {"minItems": st.integers(0, 2), "maxItems": st.integers(0, 3)}
    return st.one_of(
        typed("array", items=inner, prefixItems=st.lists(inner, max_size=2), **lengths),
        objects(inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches}),
    )


SCHEMAS = st.recursive(LEAVES, compound, max_leaves=6)


@st.composite
def altered(draw: Any, schema: JsonObject) -> JsonObject:
    """``schema`` with something in it replaced, so that many pairs are nearly alike."""
    new = deepcopy(schema)
    places = list(_places(new))
    for _ in range(draw(st.integers(1, 2))):
        owner, key = draw(st.sampled_from(places))
        if key in NUMERIC or key in ("minLength", "maxLength", "minItems", "maxItems"):
            owner[key] = max(
                owner[key] + draw(st.sampled_from([-1, 1])), 0 if key.endswith(("Length", "Items")) else -9
            )
        elif key == "required":
            owner[key] = [name for name in owner.get("properties", {}) if draw(st.booleans())]
        elif key == "enum":
            owner[key] = [*owner[key], draw(SCALARS)]
        elif key == "":
            owner |= {"anyOf": [deepcopy(owner), deepcopy(draw(LEAVES))]}
            for other in [each for each in owner if each != "anyOf"]:
                del owner[other]
        else:
            owner.get("properties", {})[draw(NAMES)] = deepcopy(draw(LEAVES))
        places = list(_places(new))
    return new


def _places(schema: Any) -> Any:
    yield schema, ""
    for key, value in schema.items():
        if key in NUMERIC or key in ("minLength", "maxLength", "minItems", "maxItems", "required", "enum"):
            yield schema, key
        elif key == "properties":
            yield schema, key
            for inner in value.values():
                yield from _places(inner)
        elif key in ("anyOf", "prefixItems"):
            for inner in value:
                yield from _places(inner)
        elif isinstance(value, dict):
            yield from _places(value)


@st.composite
def values(draw: Any, schema: JsonObject, depth: int = 0) -> Any:
    """A value that somebody who reads ``schema`` would send; not always one that fits it."""
    if "anyOf" in schema:
        return draw(values(draw(st.sampled_from(schema["anyOf"])), depth))
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    kind = schema.get("type")
    if kind == "object":
        found = {
            name: draw(values(inner, depth + 1))
            for name, inner in schema["properties"].items()
            if name in schema["required"] or draw(st.booleans())
        }
        rest = schema.get("additionalProperties", False)
        if rest is not False and draw(st.booleans()):
            found.setdefault(draw(NAMES), draw(SCALARS) if rest is True else draw(values(rest, depth + 1)))
        return found
    if kind == "array":
        prefix = schema.get("prefixItems", [])
        count = draw(
            st.integers(schema.get("minItems", 0), min(schema.get("maxItems", 3), 4))
            if schema.get("minItems", 0) <= schema.get("maxItems", 3)
            else st.just(0)
        )
        items = [prefix[n] if n < len(prefix) else schema.get("items", {}) for n in range(count)]
        return [draw(values(item, depth + 1)) for item in items]
    return draw(PLAIN.get(kind, SCALARS))


PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    "integer": st.integers(-4, 5),
    "number": st.one_of(st.integers(-4, 5), st.sampled_from([-1.5, 0.5, 1.0, 2.5])),
    "string": st.text("ab", max_size=4),
    "boolean": st.booleans(),
    "null": st.none(),
}


def as_read(schema: Any) -> Any:
    """``schema`` for somebody who overlooks members that it does not name."""
    if isinstance(schema, list):
        return [as_read(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: as_read(value) for key, value in schema.items() if not (key == "additionalProperties" and value is False)
    }


def is_compatible(old: JsonObject, new: JsonObject, role: Literal["input", "output"]) -> bool:
    return all(change.effect == "compatible" for change in schema_changes(old, new, role))


@given(st.data())
@settings(max_examples=400, deadline=None)
@pytest.mark.no_cover
def test_what_is_compatible_takes_all_that_was_taken_and_gives_nothing_new(data: st.DataObject) -> None:
    old = data.draw(SCHEMAS)
    new = data.draw(st.one_of(altered(old), altered(old), SCHEMAS))
    for role, sent, read in (("input", old, new), ("output", new, as_read(old))):
        if not is_compatible(old, new, role):  # type: ignore[arg-type]  # the roles are literals
            event(f"{role}: breaking")
            continue
        event(f"{role}: compatible")
        fits, reads = Draft202012Validator(sent), Draft202012Validator(read)
        for _ in range(4):
            value = data.draw(values(sent))
            if fits.is_valid(value):
                assert reads.is_valid(value), (role, old, new, value)


@given(SCHEMAS)
@settings(max_examples=50, deadline=None)
def test_what_did_not_change_is_compatible(schema: JsonObject) -> None:
    assert schema_changes(schema, deepcopy(schema), "input") == ()
    assert is_compatible({**schema, "$defs": {"A": {}}}, schema, "output")
    assert is_compatible(schema, {**schema, "$defs": {"A": {}}}, "input")
