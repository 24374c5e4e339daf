"""Churn scoring: a fitted model scores a customer; whoever is likely to leave gets an offer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field
from sklearn.linear_model import LogisticRegression

from pipemount import StepContext, pipeline, step


class Customer(BaseModel):
    months: Annotated[int, Field(ge=0)]
    tickets: Annotated[int, Field(ge=0)] = 0
    plan: Literal["basic", "pro"] = "basic"


class Risk(BaseModel):
    probability: float
    likely: bool


def fit() -> LogisticRegression:
    """Happy customers stay long and ask little; in earnest, load the model that was fitted elsewhere."""
    seen = [[1, 5, 0], [2, 7, 0], [3, 4, 1], [5, 6, 0], [30, 0, 1], [24, 1, 0], [36, 0, 1], [18, 1, 1]]
    left = [1, 1, 1, 1, 0, 0, 0, 0]
    return LogisticRegression().fit(seen, left)


@step
def features(customer: Customer) -> list[float]:
    return [customer.months, customer.tickets, float(customer.plan == "pro")]


@step
def score(row: list[float], context: StepContext) -> Risk:
    probability = float(context.pipeline_state.predict_proba([row])[0][1])
    return Risk(probability=round(probability, 2), likely=probability > 0.5)


@step
def call_back(customer: Customer) -> str:
    return f"Call: {customer.tickets} tickets in {customer.months} months"


@step
def discount(risk: Risk) -> str:
    return f"{10 if risk.probability < 0.9 else 25} % off the next year"


@pipeline(on_init=fit)
def churn_scoring(customer: Customer):
    """How likely a customer is to leave, and what to do about it."""
    risk = score(features(customer))
    outputs = {"risk": risk}
    if risk.likely:
        outputs["offer"] = call_back(customer) if customer.plan == "pro" else discount(risk)
    return outputs
