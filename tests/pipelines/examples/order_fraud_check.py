"""Order fraud check: cheap rules first; only what they cannot settle is looked at closely."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import BaseModel, Field

from pipemount import Retry, pipeline, step

BLOCKED = ["ATL", "ZUB"]
HISTORY = {"ada": 12, "grace": 1}


class Method(Enum):
    CARD = "card"
    INVOICE = "invoice"


class Order(BaseModel):
    customer: str
    country: Annotated[str, Field(min_length=3, max_length=3)]
    total: Annotated[float, Field(gt=0)]
    method: Method = Method.CARD


class Record(BaseModel):
    orders: int


class Verdict(BaseModel):
    decision: str
    reason: str


@step(retry=Retry(attempts=3, delay=0.05, on=(OSError,)), timeout=2)
async def look_up(customer: str) -> Record:
    return Record(orders=HISTORY.get(customer, 0))


@step
def estimate(order: Order, record: Record) -> float:
    risk = order.total / 2000 + (0.3 if order.method is Method.INVOICE else 0.0)
    return round(min(1.0, risk / (1 + record.orders)), 2)


@step
def decide(decision: str, reason: str) -> Annotated[Verdict, "verdict"]:
    return Verdict(decision=decision, reason=reason)


@step
def notify_analyst(order: Order, risk: float) -> Annotated[str, "ticket"]:
    return f"review {order.customer}: {order.total:.2f} at risk {risk}"


@pipeline
def order_fraud_check(order: Order):
    """Accept an order, refuse it, or have somebody look at it."""
    if order.country in BLOCKED:
        return {"verdict": decide("refuse", "we do not deliver there")}
    record = look_up(order.customer)
    if record.orders == 0 and order.method is Method.INVOICE:
        return {"verdict": decide("refuse", "first orders are paid by card")}
    risk = estimate(order, record)
    if risk > 0.5:
        return {"verdict": decide("review", "the risk is high"), "ticket": notify_analyst(order, risk), "risk": risk}
    return {"verdict": decide("accept", "the risk is low"), "risk": risk}
