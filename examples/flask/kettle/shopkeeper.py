"""The shopkeeper who answers questions about a product; in place of a language model.

He is the one thing here that is made up: what he says follows from the product and from words of the question, and it
comes word by word, as from a model. The client of a real model would have the same face, an iterator of pieces that
waits for a network.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping

__all__ = ["compose", "say"]

PACE = float(os.environ.get("KETTLE_PACE", "0.04"))
"""Seconds from one word to the next."""

KNOWS: Mapping[str, str] = {
    r"caffeine|sleep|evening|night": "In the evening I drink mint, which has no caffeine; other leaves have some.",
    r"brew|steep|minutes|water|hot|strong": "Take a spoon for each cup, water that has stopped boiling, and wait for "
    "three minutes; taste, and give it one more if you like.",
    r"gift|present|birthday|wrap": "We wrap presents without being asked twice: write it beside the address.",
    r"deliver|ship|send|post|arrive": "What is ordered today leaves the shop tomorrow, and is with you two days later.",
    r"clean|wash|dishwasher|care": "Rinse it with warm water and nothing else, and dry it with a cloth.",
}
SHRUG = "That I would have to look up, and I would rather say so than guess."


def compose(question: str, *, name: str, description: str, price: str, stock: int, others: list[str]) -> str:
    """What he has to say.

    >>> tea = {"name": "Garden mint", "description": "Mint.", "price": "€ 6.90", "stock": 2, "others": []}
    >>> compose("Can I sleep after it?", **tea).split(". ")[1]
    'In the evening I drink mint, which has no caffeine; other leaves have some'
    """
    known = [answer for words, answer in KNOWS.items() if re.search(rf"\b(?:{words})", question, re.IGNORECASE)]
    return " ".join(
        [
            f"You ask about {name}.",
            *(known or [SHRUG]),
            f"What I can tell you of it: {description[0].lower()}{description[1:]}",
            f"It costs {price}, and there are {stock} of it on the shelf."
            if stock
            else f"It costs {price}, and is sold out at the moment; there will be more.",
            f"If it is not quite what you are looking for, have a look at {' or '.join(others)}."
            if others
            else "There is nothing else like it in the shop.",
            "Ask me again whenever you like; I am here until the kettle boils.",
        ]
    )


def say(text: str, *, watched: bool) -> Iterator[str]:
    """``text`` word by word, in one go where nobody watches."""
    for word in re.findall(r"\S+\s*", text):
        if watched:
            time.sleep(PACE)
        yield word
