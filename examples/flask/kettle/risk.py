"""How likely it is that an order is never paid: a scorecard, learnt from orders of which that is known.

Six questions are asked about an order. Of each answer it is counted how often it came with orders that were paid, and
how often with orders that were not; the logarithm of the ratio is the answer's weight, and the weights add up (naive
Bayes with one count added to each, so that an answer never seen says nothing). It knows of no dependence between
the questions, so it is surer of itself than it should be; what it says can be explained line by line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import exp, log

__all__ = ["Scorecard", "Signals", "learn"]


@dataclass(frozen=True, slots=True)
class Signals:
    """What is known of an order when it is placed.

    Attributes:
        total: In cents.
        vouchers: Cents of it that are for vouchers.
        paid: Earlier orders of the customer that were paid.
        unpaid: Those that were not.
        today: Those of the last 24 hours.
        strangers: Other customers who had something sent to this address within a week.
    """

    total: int
    vouchers: int = 0
    paid: int = 0
    unpaid: int = 0
    today: int = 0
    strangers: int = 0


QUESTIONS: Mapping[str, Callable[[Signals], str]] = {
    "total": lambda order: "large" if order.total > 20_000 else "middling" if order.total > 8_000 else "small",
    "vouchers": lambda order: "mostly" if 2 * order.vouchers > order.total else "no",
    "paid": lambda order: "often" if order.paid > 2 else "once or twice" if order.paid else "never",
    "unpaid": lambda order: "yes" if order.unpaid else "no",
    "today": lambda order: "yes" if order.today else "no",
    "strangers": lambda order: "several" if order.strangers > 1 else "one" if order.strangers else "none",
}
SENTENCES = {
    ("total", "large"): "The order is above € 200.",
    ("total", "middling"): "The order is above € 80.",
    ("vouchers", "mostly"): "Most of it is vouchers.",
    ("paid", "never"): "The customer has not paid an order before.",
    ("unpaid", "yes"): "The customer left an earlier order unpaid.",
    ("today", "yes"): "It is not the customer's first order within a day.",
    ("strangers", "one"): "Another customer had something sent to this address this week.",
    ("strangers", "several"): "Several customers had something sent to this address this week.",
}
ANSWERS = {"total": 3, "vouchers": 2, "paid": 3, "unpaid": 2, "today": 2, "strangers": 3}
WORTH_SAYING = 0.4


@dataclass(frozen=True, slots=True)
class Scorecard:
    """What was learnt.

    Attributes:
        orders: From how many orders.
        prior: The logarithm of the odds that any order stays unpaid.
        weights: What each answer to each question adds to that.
    """

    orders: int
    prior: float
    weights: Mapping[tuple[str, str], float]

    def risk(self, order: Signals) -> float:
        """How likely it is that ``order`` stays unpaid, from 0 to 1."""
        odds = self.prior + sum(self.weights.get(answer, 0.0) for answer in _answers(order))
        return 1 / (1 + exp(-odds))

    def reasons(self, order: Signals) -> list[str]:
        """What speaks against the order, the heaviest first."""
        weighed = sorted(((self.weights.get(answer, 0.0), answer) for answer in _answers(order)), reverse=True)
        return [SENTENCES[answer] for weight, answer in weighed if weight > WORTH_SAYING and answer in SENTENCES]


def learn(past: Iterable[tuple[Signals, bool]]) -> Scorecard:
    """The scorecard of past orders, each with whether it was paid."""
    counts: dict[bool, Counter[tuple[str, str]]] = {True: Counter(), False: Counter()}
    orders = Counter[bool]()
    for order, paid in past:
        orders[paid] += 1
        counts[paid].update(_answers(order))

    def share(answer: tuple[str, str], paid: bool) -> float:
        return (counts[paid][answer] + 1) / (orders[paid] + ANSWERS[answer[0]])

    seen = counts[True].keys() | counts[False].keys()
    weights = {answer: log(share(answer, False) / share(answer, True)) for answer in seen}
    return Scorecard(orders.total(), log((orders[False] + 1) / (orders[True] + 1)), weights)


def _answers(order: Signals) -> list[tuple[str, str]]:
    return [(question, ask(order)) for question, ask in QUESTIONS.items()]
