"""What becomes of an order when it is placed."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app

from .models import Order

__all__ = ["Judgement", "judge"]

MANY_CENTS = 20_000


@dataclass(frozen=True, slots=True)
class Judgement:
    """``accepted``, ``held`` for a member of staff to look at, or ``rejected``; and why."""

    status: str
    risk: float | None = None
    reasons: tuple[str, ...] = ()


def judge(order: Order) -> Judgement:
    """By the fraud check where the pipelines have moved in, else by the rule that the shop began with."""
    if current_app.config["PIPELINES"]:
        from . import pipelines

        return pipelines.judge(order)
    return by_rule(order)


def by_rule(order: Order) -> Judgement:
    """Somebody looks at every order above € 200."""
    if order.total > MANY_CENTS:
        return Judgement("held", reasons=("The order is above € 200.",))
    return Judgement("accepted")
