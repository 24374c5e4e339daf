"""JSON Schema of what really goes over the wire, where pydantic's own differs from what pydantic does.

Two differences matter to whoever holds the document against the app:

* Outputs: NaN and infinities are written as ``null``, so a number that may be one of them is nullable here.
* Inputs: pydantic is lax with numbers and booleans: ``"2"`` and ``true`` are taken for ``2`` and ``1``, a number of
  seconds for a moment or a span. The schema says so. For a number with bounds it lists a part of the numerals that are
  taken, never one that is refused.

Unions are spelled ``anyOf``, never ``"type": [...]``, because older FastAPI versions refuse the latter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import SchemaValidator, core_schema

__all__ = ["WireJsonSchema"]

INFINITY = "[Ii][Nn][Ff]([Ii][Nn][Ii][Tt][Yy])?"
TRUTH = ("f", "false", "n", "no", "off", "on", "t", "true", "y", "yes")
TRUTH_VALUES = ["0", "1", *(form for word in TRUTH for form in dict.fromkeys((word, word.title(), word.upper())))]
BOUNDS = frozenset({"ge", "gt", "le", "lt", "multiple_of"})
DECIMAL = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$"

# RFC 4648, sections 4 and 5: one alphabet or the other, unused bits zero; padding may be left out.
BASE64 = "|".join(
    f"({a}{{4}})*({a}[AQgw]={{0,2}}|{a}{{2}}[AEIMQUYcgkosw048]=?)?" for a in ("[A-Za-z0-9_-]", "[A-Za-z0-9+/]")
)

# Seconds up to 20,000,000,000 either way, milliseconds beyond; from the year 1 to the year 9999.
MOMENTS: JsonSchemaValue = {"type": "number", "minimum": -62135596800000, "maximum": 253402300799999}
# A day is rounded to microseconds; not every version of pydantic rounds up to midnight.
EARLY = -4e-07 if SchemaValidator(core_schema.date_schema()).isinstance_python(-4e-07) else 0
DAYS: tuple[JsonSchemaValue, ...] = (
    {"type": "integer", "multipleOf": 86400, "minimum": -20000000000, "maximum": 20000000000},
    {"type": "integer", "multipleOf": 86400000, "minimum": -62135596800000, "maximum": 253402214400000},
    {"type": "number", "minimum": EARLY, "maximum": 4e-07},
)
TIMES: JsonSchemaValue = {"type": "number", "minimum": 0, "maximum": 86399}
SPANS: JsonSchemaValue = {"type": "number", "minimum": -86399999913600, "maximum": 86399999999999}


class WireJsonSchema(GenerateJsonSchema):
    """Pydantic's generator, made truthful about lax inputs and about outputs that are not finite."""

    _owner: Mapping[str, Any] = MappingProxyType({})
    """The configuration of the dataclass that is being described; empty within anything else."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Whether a field is always there: in outputs those with defaults are, too."""
        if self.mode == "serialization" and field["type"] != "typed-dict-field":
            return field.get("serialization_exclude_if") is None
        return super().field_is_required(field, total)

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """A number; nullable in outputs where it may be NaN or infinite."""
        plain = super().float_schema(schema)
        if self.mode == "validation":
            return self._lax_number(plain, schema, decimals=r"(\.[0-9]*)?")
        bounded = _low(schema) > -math.inf and _high(schema) < math.inf
        return plain if bounded or self._finite(schema) else {"anyOf": [plain, {"type": "null"}]}

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        """An integer."""
        plain = super().int_schema(schema)
        return self._lax_number(plain, schema, decimals=r"(\.0+)?") if self.mode == "validation" else plain

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        """A boolean; in inputs also the numbers and words that pydantic takes for one."""
        plain = super().bool_schema(schema)
        if self.mode != "validation" or self._strict(schema):
            return plain
        return {"anyOf": [plain, {"enum": [0, 1]}, {"type": "string", "enum": TRUTH_VALUES}]}

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """A number or a numeral; ``true`` is neither here."""
        plain = super().decimal_schema(schema)
        if self.mode != "validation":
            return plain
        number = plain["anyOf"][0]
        number = number["anyOf"][0] if "anyOf" in number else number
        if not (BOUNDS | {"max_digits", "decimal_places"}) & schema.keys():
            return {"anyOf": [number, {"type": "string", "pattern": DECIMAL}]}
        numerals = _numerals({**schema, "type": "float"}, decimals=r"(\.0+)?", finite=True)
        return {"anyOf": [number, {"type": "string", "pattern": f"^({'|'.join(numerals)})$"}]} if numerals else number

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        """The members' values; in inputs also what is taken for a number among them."""
        plain = super().enum_schema(schema)
        numeric = schema.get("sub_type") in ("int", "float")
        return self._lax_choice(plain, plain["enum"], schema, numerals=numeric)

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        """The values; in inputs ``true`` is taken for 1 as well, and 1 for ``true``."""
        plain = super().literal_schema(schema)
        return self._lax_choice(plain, plain["enum"] if "enum" in plain else [plain["const"]], schema, numerals=False)

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        """An object. Until 2.13 pydantic did not say that it refuses what its owner does: unknown fields, NaN."""
        outer, self._owner = self._owner, schema.get("config", {})
        try:
            plain = super().dataclass_schema(schema)
        finally:
            self._owner = outer
        if schema.get("config", {}).get("extra_fields_behavior") == "forbid":
            plain.setdefault("additionalProperties", False)
        return plain

    def bytes_schema(self, schema: core_schema.BytesSchema) -> JsonSchemaValue:
        """A string; in inputs that are read as base64 nothing else."""
        plain = super().bytes_schema(schema)
        if self.mode != "validation" or self._config.val_json_bytes != "base64":
            return plain
        return {**plain, "format": "base64", "pattern": f"^({BASE64})$"}

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        """A moment; in inputs also as seconds or milliseconds since 1970."""
        return self._lax_moment(super().datetime_schema(schema), schema, MOMENTS)

    def date_schema(self, schema: core_schema.DateSchema) -> JsonSchemaValue:
        """A day; in inputs also as the seconds or milliseconds since 1970 at its begin."""
        return self._lax_moment(super().date_schema(schema), schema, *DAYS)

    def time_schema(self, schema: core_schema.TimeSchema) -> JsonSchemaValue:
        """A time of day; in inputs also as seconds since midnight."""
        return self._lax_moment(super().time_schema(schema), schema, TIMES)

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        """A span; in inputs also as seconds."""
        return self._lax_moment(super().timedelta_schema(schema), schema, SPANS)

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """An object; names are held against the type of keys, as far as a name can be told to fit it."""
        plain = super().dict_schema(schema)
        if self.mode != "validation":
            if isinstance(plain.get("propertyNames"), dict) and not _names_strings(schema.get("keys_schema")):
                del plain["propertyNames"]
            return plain
        keys = self.generate_inner(schema["keys_schema"]) if "keys_schema" in schema else {}
        return plain | {"propertyNames": keys} if "anyOf" in keys else plain

    def set_schema(self, schema: core_schema.SetSchema) -> JsonSchemaValue:
        """An array; in inputs an item may come twice."""
        return self._repeatable(super().set_schema(schema))

    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> JsonSchemaValue:
        """An array; in inputs an item may come twice."""
        return self._repeatable(super().frozenset_schema(schema))

    def _repeatable(self, plain: JsonSchemaValue) -> JsonSchemaValue:
        if self.mode == "validation":
            plain.pop("uniqueItems", None)
        return plain

    def _lax_choice(self, plain: JsonSchemaValue, values: list[Any], schema: Any, *, numerals: bool) -> JsonSchemaValue:
        if self.mode != "validation" or self._strict(schema):
            return plain
        numbers = [value for value in values if isinstance(value, bool | int | float)]
        alike = [] if numerals and schema["sub_type"] == "float" else [value for value in numbers if value in (0, 1)]
        accepted: list[JsonSchemaValue] = [
            {"const": int(value) if isinstance(value, bool) else bool(value)} for value in alike
        ]
        if numerals and numbers:
            accepted.append(_written(numbers))
        if not accepted:
            return plain
        about = {key: plain.pop(key) for key in ("title", "description") if key in plain}
        return about | {"anyOf": [plain, *accepted]}

    def _lax_moment(self, plain: JsonSchemaValue, schema: Any, *numbers: JsonSchemaValue) -> JsonSchemaValue:
        constrained = (BOUNDS | {"now_op"}) & schema.keys() or schema.get("tz_constraint", "aware") != "aware"
        if self.mode != "validation" or self._strict(schema) or constrained:
            return plain
        return {"anyOf": [plain, *numbers]}

    # The generator keeps the configuration of the model that it is in under the name ``_config`` only.

    def _finite(self, schema: Any) -> bool:
        inherited = self._owner.get("allow_inf_nan", self._config.allow_inf_nan)
        return schema.get("allow_inf_nan", inherited) is False

    def _strict(self, schema: Any) -> bool:
        return bool(schema.get("strict", self._config.strict))

    def _lax_number(self, plain: JsonSchemaValue, schema: Any, *, decimals: str) -> JsonSchemaValue:
        if self._strict(schema):
            return plain
        accepted = [plain]
        if numerals := _numerals(schema, decimals=decimals, finite=self._finite(schema)):
            accepted.append({"type": "string", "pattern": f"^({'|'.join(numerals)})$"})
        accepted += [{"const": value} for value in (True, False) if _fits(schema, int(value))]
        return {"anyOf": accepted} if len(accepted) > 1 else plain


def _names_strings(keys: Any) -> bool:
    """Whether values of a key's type are strings, so that a schema of theirs can be one of names."""
    return keys is None or not (keys["type"] == "enum" and keys.get("sub_type") != "str")


def _written(numbers: list[Any]) -> JsonSchemaValue:
    """Strings that are taken for one of ``numbers``."""
    if any(isinstance(number, float) for number in numbers):
        return {"type": "string", "enum": [str(number) for number in numbers]}
    forms = [rf"{'-' if number < 0 else '[+]?'}0*{abs(int(number))}(\.0+)?" for number in numbers]
    return {"type": "string", "pattern": f"^({'|'.join(forms)})$"}


def _low(schema: Any) -> float:
    return float(max(schema.get("ge", -math.inf), schema.get("gt", -math.inf)))


def _high(schema: Any) -> float:
    return float(min(schema.get("le", math.inf), schema.get("lt", math.inf)))


def _fits(schema: Any, value: int) -> bool:
    inside = schema.get("gt", -math.inf) < value < schema.get("lt", math.inf)
    return inside and _low(schema) <= value <= _high(schema) and value % schema.get("multiple_of", 1) == 0


def _numerals(schema: Any, *, decimals: str, finite: bool) -> list[str]:
    """Patterns of strings that are taken for a number within the bounds: nearly all of them where there are none."""
    if schema["type"] == "int":
        forms = []
    else:
        forms = [r"[0-9]{1,99}[eE][+-]?1?[0-9]{1,2}", r"\.[0-9]+", *([] if finite else [f"({INFINITY}|[Nn][Aa][Nn])"])]
    if _low(schema) == -math.inf and _high(schema) == math.inf and "multiple_of" not in schema:
        return [f"[+-]?{form}" for form in (f"[0-9]+{decimals}", *forms)]
    opposite = {"le": "ge", "ge": "le", "lt": "gt", "gt": "lt"}
    mirrored = {opposite[key]: -schema[key] for key in opposite if key in schema}
    unsigned = (schema, mirrored | {"multiple_of": schema["multiple_of"]} if "multiple_of" in schema else mirrored)
    special = [f"{INFINITY}", r"[1-9][eE]\+?1[0-9]{2}"] if forms and not finite else []
    return [
        f"{sign}{form}"
        for sign, bounds in zip(("[+]?", "-"), unsigned, strict=True)
        for form in (*_small(bounds), *_large(bounds, decimals, special))
    ]


def _small(bounds: Any) -> list[str]:
    """Numerals of one digit, or of two where only multiples fit."""
    fitting = [str(number) for number in range(100 if "multiple_of" in bounds else 10) if _fits(bounds, number)]
    return [rf"0*({'|'.join(fitting)})(\.0+)?"] if fitting else []


def _large(bounds: Any, decimals: str, special: list[str]) -> list[str]:
    """Numerals of so many digits that they are within the bounds, whatever the digits."""
    low, high = _low(bounds), _high(bounds)
    if "multiple_of" in bounds or low == math.inf:
        return []
    least = max(math.floor(low) + 1 if low == bounds.get("gt") else math.ceil(low), 2) if low > -math.inf else 2
    zeros = len(str(least - 1))
    if high == math.inf:
        return [f"[1-9][0-9]{{{zeros},}}{decimals}", *special[: 2 if low < 1e99 else 1]]
    places = len(str(math.floor(high))) - 1 if high >= 1 else 0
    return [f"[1-9][0-9]{{{zeros},{places - 1}}}"] if places > zeros else []
