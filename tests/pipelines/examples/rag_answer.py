"""Retrieval-augmented answers: find passages, answer from them word by word, or say that nothing is known."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from pipemount import StepContext, pipeline, step

HANDBOOK = {
    "holidays": "Everybody has 30 days of holiday a year. Ask your team before you book.",
    "expenses": "Expenses up to 50 EUR need no approval. Keep the receipt.",
    "laptops": "A broken laptop is replaced within two days. Ask the help desk.",
}


class Passage(TypedDict):
    source: str
    text: str
    score: float


@dataclass
class Library:
    passages: dict[str, str]

    def tokens(self, prompt: str) -> Iterator[str]:
        """A stand-in for a model: it repeats the passage that it was given."""
        yield from prompt.splitlines()[-1].split()


def words(text: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall(r"[a-z]{4,}", text.lower())}


@step
def retrieve(question: str, top: Annotated[int, Field(ge=1)], context: StepContext) -> list[Passage]:
    asked = words(question)
    found = [
        Passage(source=source, text=text, score=len(asked & words(f"{source} {text}")) / (len(asked) or 1))
        for source, text in context.pipeline_state.passages.items()
    ]
    return sorted(found, key=lambda passage: -passage["score"])[:top]


@step
def answer(question: str, passages: list[Passage], context: StepContext) -> Generator[str, None, str]:
    tokens = []
    for token in context.pipeline_state.tokens(f"{question}\n{passages[0]['text']}"):
        yield token
        tokens.append(token)
    return " ".join(tokens)


@step
def decline(question: str) -> str:
    return f"The handbook does not say: {question}"


@step
def cite(passages: list[Passage]) -> list[str]:
    return [passage["source"] for passage in passages if passage["score"] > 0]


@pipeline(on_init=Library, on_init_kwargs={"passages": HANDBOOK})
def rag_answer(question: str, top: Annotated[int, Field(ge=1, le=3)] = 2, sources: bool = False):
    """Answer a question from the handbook."""
    passages = retrieve(question, top)
    if passages[0]["score"] < 0.3:
        return {"answer": decline(question)}
    outputs = {"answer": answer(question, passages)}
    if sources:
        outputs["sources"] = cite(passages)
    return outputs
