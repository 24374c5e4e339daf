"""The assistant that puts a finding into words, for whoever opens the ticket; in place of a language model.

It is the one thing here that is made up: what it writes follows from what it is given, word for word, and it takes its
time only where somebody watches. A client of a real model would have the same face, an async iterator of pieces.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Sequence

__all__ = ["compose", "write"]

PACE = float(os.environ.get("BEACON_PACE", "0.04"))
"""Seconds from one word to the next."""

SPOKEN = {"en": "in English", "de": "in German", "fr": "in French"}


def compose(*, text: str, waiting: int, queue: str | None, language: str | None, reasons: Sequence[str]) -> str:
    """What there is to say.

    >>> compose(text="Router\\nIt hums.", waiting=0, queue=None, language="en", reasons=[]).split(". ")[0]
    'The customer writes in English, under the heading “Router”, and begins: “It hums”'
    """
    subject, _, rest = text.partition("\n")
    opening = re.split(r"(?<=[.!?…])\s", rest.strip(), maxsplit=1)[0].rstrip(".")
    spoken = SPOKEN.get(language or "", "in a language that I could not tell")
    others = {0: "There is nothing else that they wait for.", 1: "They wait for one other answer."}
    return " ".join(
        [
            f"The customer writes {spoken}, under the heading “{subject}”, and begins: “{opening}”.",
            others.get(waiting, f"They wait for {waiting} other answers."),
            f"It cannot wait: {'; '.join(reasons)}." if reasons else "I have found nothing that makes it urgent.",
            f"Tickets like this one were solved in the queue “{queue}”, so that is where I would put it."
            if queue
            else "I have seen too few tickets like this one to say which queue it belongs to; please choose.",
            "Please read it yourself before you answer: I go by words, and you know the customer.",
        ]
    )


async def write(text: str, *, watched: bool) -> AsyncIterator[str]:
    """``text`` word by word, as a model gives it, in one go where nobody watches."""
    for word in re.findall(r"\S+\s*", text):
        await asyncio.sleep(PACE if watched else 0)
        yield word
