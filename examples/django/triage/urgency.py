"""Whether a ticket cannot wait: a rule that people can read, with its reasons."""

from __future__ import annotations

import re

__all__ = ["reasons_to_hurry"]

ALARMS = {
    "somebody's safety or work depends on it": r"emergency|urgent\w*|at once|immediately|surgery|hospital|patients"
    r"|notfall|dringend|sofort|praxis|krankenhaus|patienten|urgence|immédiatement|tout de suite|hôpital",
    "nothing works": r"no internet and no telephone|completely (?:dead|down)|nothing works|nichts geht mehr"
    r"|gar nichts geht|plus rien ne (?:marche|fonctionne)",
    "the customer wants to leave or go to court": r"lawyer|court|cancel my contract|anwalt|gericht|kündige\w*|avocat"
    r"|tribunal|résilier",
}
PATTERNS = {reason: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for reason, words in ALARMS.items()}
MANY = 3


def reasons_to_hurry(text: str, *, waiting: int) -> list[str]:
    """Why the ticket is urgent; empty if it is not.

    Args:
        text: Subject and text of the ticket.
        waiting: Other tickets of the same customer that wait for an answer.

    >>> reasons_to_hurry("Please send a technician at once!", waiting=0)
    ["somebody's safety or work depends on it"]
    >>> reasons_to_hurry("How do I change my name?", waiting=0)
    []
    """
    reasons = [reason for reason, pattern in PATTERNS.items() if pattern.search(text)]
    if waiting >= MANY:
        reasons.append(f"the customer waits for {waiting} other answers")
    return reasons
