"""Numbers that JSON does not have: NaN, infinities, and what overflows to them (RFC 8259, section 6)."""

from __future__ import annotations

import json
import math
from typing import Any

from ..errors import MalformedRequestError

__all__ = ["refuse_non_finite"]

ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
"""All digits as one."""
LARGE = b"0" * 210
"""Fewer digits than these overflow with an exponent of three digits only."""


def refuse_non_finite(body: bytes, what: str = "the body") -> None:
    """Raise ``MalformedRequestError`` for a number in some JSON that is not finite as a double.

    Args:
        body: JSON that a parser has taken.
        what: What it is, for the error.
    """
    if not _suspicious(body):
        return
    try:
        json.loads(body, parse_constant=_refuse, parse_float=_finite, parse_int=_finite_int)
    except (ValueError, RecursionError) as error:
        raise MalformedRequestError(f"{what} has a number that JSON does not: {error}") from None


def _suspicious(body: bytes) -> bool:
    """Whether it contains what such a number must; strings may contain it too. No regular expression is as fast."""
    alike = body.translate(ALIKE, b"+")
    return b"NaN" in body or b"Infinity" in body or b"0e000" in alike or LARGE in alike


def _refuse(literal: str) -> Any:
    raise ValueError(f"{literal} is not a number in JSON")


def _finite(literal: str) -> float:
    value = float(literal)
    return value if math.isfinite(value) else _refuse("a number beyond the range of a double")


def _finite_int(literal: str) -> int:
    _finite(literal)
    return 0
