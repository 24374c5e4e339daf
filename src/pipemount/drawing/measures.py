"""Texts in drawings: how wide they are in a font of fixed width, and how long ones are broken or shortened."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable

__all__ = ["NOTE_SIZE", "SIZE", "columns", "joined", "shortened", "text_width", "wrapped"]

SIZE, NOTE_SIZE = 13.0, 11.0
ADVANCE = 0.602
"""Of a character, in the fonts that systems call monospace."""


def columns(text: str) -> int:
    """How many columns of a font of fixed width ``text`` takes."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def text_width(text: str, size: float = SIZE) -> float:
    """The width of ``text`` in pixels."""
    return columns(text) * size * ADVANCE


def shortened(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` columns, on one line."""
    text = " ".join(text.split())
    if columns(text) <= limit:
        return text
    while columns(text) >= limit:
        text = text[: limit - 1] if len(text) > limit else text[:-1]
    return text.rstrip() + "…"


def wrapped(text: str, limit: int, lines: int) -> tuple[str, ...]:
    """``text`` in at most so many lines of about ``limit`` columns; what is longer is shortened."""
    found = textwrap.wrap(" ".join(text.split()), limit, break_on_hyphens=False) or [""]
    if len(found) > lines:
        found[lines - 1 :] = [shortened(found[lines - 1] + " …", limit)]
    return tuple(shortened(line, limit) for line in found)


def joined(labels: Iterable[str], limit: int) -> str:
    """Labels of one arrow, each once."""
    return shortened(", ".join(dict.fromkeys(label for label in labels if label)), limit)
