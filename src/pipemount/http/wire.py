"""JSON Schema of what really goes over the wire, where pydantic's own differs from what pydantic does.

Two differences matter to whoever holds the document against the app:

* Outputs: NaN and infinities are written as ``null``, so a number that may be one of them is nullable here.
* Inputs: pydantic is lax with numbers and booleans: ``"2"`` and ``true`` are taken for ``2`` and ``1``. The schema says
  so. For a number with bounds it lists a part of the numerals that are taken, never one that is refused.

Unions are spelled ``anyOf``, never ``"type": [...]``, because older FastAPI versions refuse the latter.
"""

from __future__ import annotations

import math
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

__all__ = ["WireJsonSchema"]

SIGN = "[+-]?"
INFINITY = "[Ii][Nn][Ff]([Ii][Nn][Ii][Tt][Yy])?"
TRUTH = ("f", "false", "n", "no", "off", "on", "t", "true", "y", "yes")
TRUTH_VALUES = ["0", "1", *(form for word in TRUTH for form in dict.fromkeys((word, word.title(), word.upper())))]


class WireJsonSchema(GenerateJsonSchema):
    """Pydantic's generator, made truthful about lax inputs and about outputs that are not finite."""

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """A number; nullable in outputs where it may be NaN or infinite."""
        plain = super().float_schema(schema)
        if self.mode == "validation":
            return self._lax_number(plain, schema, decimals=r"(\.[0-9]*)?")
        finite = schema.get("allow_inf_nan") is False or (_low(schema) > -math.inf and _high(schema) < math.inf)
        return plain if finite else {"anyOf": [plain, {"type": "null"}]}

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

    def _strict(self, schema: Any) -> bool:
        # The generator keeps the configuration of the model that it is in under this one name only.
        return bool(schema.get("strict", self._config.strict))

    def _lax_number(self, plain: JsonSchemaValue, schema: Any, *, decimals: str) -> JsonSchemaValue:
        if self._strict(schema):
            return plain
        special = schema["type"] == "float" and schema.get("allow_inf_nan") is not False
        accepted = [plain]
        if numerals := _numerals(schema, decimals=decimals, special=special):
            accepted.append({"type": "string", "pattern": f"^({'|'.join(numerals)})$"})
        accepted += [{"const": value} for value in (True, False) if _fits(schema, int(value))]
        return {"anyOf": accepted} if len(accepted) > 1 else plain


def _low(schema: Any) -> float:
    return float(max(schema.get("ge", -math.inf), schema.get("gt", -math.inf)))


def _high(schema: Any) -> float:
    return float(min(schema.get("le", math.inf), schema.get("lt", math.inf)))


def _fits(schema: Any, value: int) -> bool:
    inside = schema.get("gt", -math.inf) < value < schema.get("lt", math.inf)
    return inside and _low(schema) <= value <= _high(schema) and value % schema.get("multiple_of", 1) == 0


def _numerals(schema: Any, *, decimals: str, special: bool) -> list[str]:
    """Patterns of strings that are taken for a number within the bounds: all of them only where there are none."""
    low, high = _low(schema), _high(schema)
    free = "multiple_of" not in schema
    if free and low == -math.inf and high == math.inf:
        exponent = [rf"{SIGN}[0-9]+[eE]{SIGN}[0-9]+", rf"{SIGN}\.[0-9]+", f"{SIGN}({INFINITY}|[Nn][Aa][Nn])"]
        return [f"{SIGN}[0-9]+{decimals}", *(exponent if special else ())]
    digits = "".join(str(digit) for digit in range(10) if _fits(schema, digit))
    patterns = [rf"[+]?0*[{digits}](\.0+)?"] if digits else []
    if free and high == math.inf:
        patterns.append(f"[+]?[1-9][0-9]{{{len(str(math.ceil(max(low, 0))))},}}{decimals}")
        patterns += [f"[+]?{INFINITY}", r"[+]?[1-9][eE]\+?[0-9]{3}"][: 2 if low <= 1e100 else 1] if special else []
    return patterns
