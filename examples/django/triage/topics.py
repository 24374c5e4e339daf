"""Which queue a ticket belongs to: a naive Bayes classifier in plain Python, taught by the desk's solved tickets."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, log

from .language import KNOWN, words

__all__ = ["Classifier", "telling_words"]

SMALL = frozenset().union(*KNOWN.values())
ENOUGH = 2


def telling_words(text: str) -> set[str]:
    """The words of ``text`` that may tell what it is about, cut to their first letters: *invoice*, *invoices*."""
    return {word[:6] for word in words(text) if len(word) > 2 and word not in SMALL}


@dataclass(frozen=True, slots=True)
class Classifier:
    """What was learnt: in how many tickets of each queue a word was seen.

    Attributes:
        tickets: By queue.
        seen: By queue and word.
    """

    tickets: Mapping[str, int]
    seen: Mapping[str, Mapping[str, int]]

    @classmethod
    def learn(cls, examples: Iterable[tuple[str, str]]) -> Classifier:
        """A classifier from pairs of queue and text.

        >>> Classifier.learn([("billing", "a wrong invoice"), ("connection", "a wrong signal")]).tickets
        {'billing': 1, 'connection': 1}
        """
        tickets: Counter[str] = Counter()
        seen: dict[str, Counter[str]] = defaultdict(Counter)
        for queue, text in examples:
            tickets[queue] += 1
            seen[queue].update(telling_words(text))
        return cls(dict(tickets), dict(seen))

    def classify(self, text: str) -> tuple[str | None, float]:
        """The likeliest queue and how likely it is, never certain; none where too few words were seen before."""
        known = [word for word in telling_words(text) if any(word in seen for seen in self.seen.values())]
        if len(known) < ENOUGH:
            return None, 0.0
        scores = {queue: self._score(queue, known) for queue in self.tickets}
        best = max(scores, key=scores.__getitem__)
        return best, min(0.99, 1 / sum(exp(score - scores[best]) for score in scores.values()))

    def _score(self, queue: str, known: Iterable[str]) -> float:
        """The logarithm of how often such words come in tickets of ``queue``; a word never seen counts as a half."""
        tickets, seen = self.tickets[queue], self.seen[queue]
        return log(tickets) + sum(log((seen.get(word, 0) + 0.5) / (tickets + 1)) for word in known)
