"""Which language a text is in, told by the small words that every sentence has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

__all__ = ["Language", "guess_language", "words"]

Language = Literal["en", "de", "fr"]

SMALL_WORDS: dict[Language, str] = {
    "en": "the and is are was were have has not of to in on for my your you we it this that with from please can "
    "i when where do does a an at be but",
    "de": "der die das und ist sind war nicht ich wir sie ein eine einen den dem des mit auf für von zu im am bitte "
    "kann mein meine ihr wurde es aber wo was noch",
    "fr": "le la les et est sont je nous vous un une des du de dans pas ne que pour mon ma mes votre sur avec "
    "merci plus ce cette il au en où quand",
}
KNOWN = {language: frozenset(text.split()) for language, text in SMALL_WORDS.items()}


def words(text: str) -> Iterator[str]:
    """The words of ``text`` in lower case, without figures and signs."""
    return iter(re.findall(r"[^\W\d_]+", text.lower()))


def guess_language(text: str) -> Language | None:
    """``"en"``, ``"de"``, ``"fr"``, or ``None`` where too few small words speak for one of them.

    >>> guess_language("Ich habe mein Passwort vergessen und kann mich nicht anmelden.")
    'de'
    >>> guess_language("Quoi?") is None
    True
    """
    found = list(words(text))
    counts = {language: sum(word in known for word in found) for language, known in KNOWN.items()}
    best, second = sorted(counts, key=counts.__getitem__, reverse=True)[:2]
    return best if counts[best] >= 2 and counts[best] > counts[second] else None
