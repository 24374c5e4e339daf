"""Pipelines in pipelines: pricing and delivery are pipelines of their own; the checkout is made of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from pipemount import pipeline, step

PRICES = {"tea": 4.5, "cup": 12.0, "pot": 30.0}

Speed = Literal["standard", "express"]


class Basket(BaseModel):
    items: Annotated[dict[str, int], Field(min_length=1)]
    member: bool = False


class Delivery(BaseModel):
    days: int
    cost: float


@step(public_errors=KeyError, error_statuses={KeyError: 422})
def add_up(items: dict[str, int]) -> float:
    return sum(PRICES[name] * count for name, count in items.items())


@step
def reduce(amount: float, percent: float) -> float:
    return round(amount * (1 - percent / 100), 2)


@step
def ship(days: int, cost: float) -> Delivery:
    return Delivery(days=days, cost=cost)


@step
def invoice(amount: float, delivery: Delivery) -> Annotated[str, "invoice"]:
    return f"{amount + delivery.cost:.2f} EUR, in {delivery.days} days"


@pipeline
def discounted(amount: float, member: bool):
    """Members pay less, and everybody pays less for much."""
    if member:
        amount = reduce(amount, 10.0)
    if amount > 50:
        amount = reduce(amount, 5.0, id="reduce_for_much")
    return amount


@pipeline
def priced(basket: Basket):
    return discounted(add_up(basket.items), basket.member)


@pipeline
def delivered(speed: Speed):
    return ship(1, 9.9) if speed == "express" else ship(4, 3.9)


@pipeline
def nested_sub_pipelines(basket: Basket, speed: Speed = "standard"):
    """What a basket costs at the door."""
    amount, delivery = priced(basket), delivered(speed)
    return {"amount": amount, "delivery": delivery, "invoice": invoice(amount, delivery)}
