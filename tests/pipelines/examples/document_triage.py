"""Document triage: what a letter is decides which way it takes through the house."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel

from pipemount import pipeline, step

Kind = Literal["invoice", "complaint", "other"]

CLUES: dict[Kind, tuple[str, ...]] = {
    "invoice": ("invoice", "amount due", "payable"),
    "complaint": ("disappointed", "refund", "broken", "complaint"),
}


class Invoice(BaseModel):
    number: str
    amount: float


@step
def tidy(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


@step
def classify(text: str) -> Annotated[Kind, "kind"]:
    words = text.lower()
    found: dict[Kind, int] = {kind: sum(clue in words for clue in clues) for kind, clues in CLUES.items()}
    best = max(found, key=lambda kind: found[kind])
    return best if found[best] else "other"


@step(public_errors=ValueError, error_statuses={ValueError: 422})
def read_invoice(text: str) -> Invoice:
    number, amount = re.search(r"invoice\s+(\S+)", text, re.I), re.search(r"([\d.]+)\s*EUR", text)
    if number is None or amount is None:
        raise ValueError("an invoice must name its number and an amount in EUR")
    return Invoice(number=number[1], amount=float(amount[1]))


@step
def ask_for_approval(invoice: Invoice) -> str:
    return f"Please approve invoice {invoice.number} over {invoice.amount:.2f} EUR"


@step
def book(invoice: Invoice) -> str:
    return f"Booked {invoice.number}"


@step
def draft_reply(text: str) -> str:
    return f"We are sorry to read this: “{text[:40]}”"


@step
def archive(text: str) -> str:
    return f"archive/{len(text):06d}"


@pipeline
def document_triage(text: str, limit: float = 1000.0):
    """Read a letter and send it where it belongs."""
    letter = tidy(text)
    kind = classify(letter)
    outputs = {"kind": kind}
    if kind == "invoice":
        invoice = read_invoice(letter)
        outputs["invoice"] = invoice
        outputs["next"] = ask_for_approval(invoice) if invoice.amount > limit else book(invoice)
    elif kind == "complaint":
        outputs["next"] = draft_reply(letter)
    else:
        outputs["next"] = archive(letter)
    return outputs
