"""Two-stage approval: the team decides first; above a limit, finance has the last word."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from pipemount import pipeline, step

Answer = Literal["yes", "no"]


class Request(BaseModel):
    what: str
    amount: Annotated[float, Field(gt=0)]
    cost_centre: str = "general"


class Policy(BaseModel):
    limit: float
    two_stages: bool


class Outcome(BaseModel):
    status: Literal["approved", "rejected", "pending"]
    by: str


@step
def policy_for(request: Request) -> Policy:
    limit = 5000.0 if request.cost_centre == "research" else 1000.0
    return Policy(limit=limit, two_stages=request.amount > limit)


@step
def settle(status: Literal["approved", "rejected", "pending"], by: str) -> Annotated[Outcome, "outcome"]:
    return Outcome(status=status, by=by)


@step
def purchase(request: Request, outcome: Outcome) -> Annotated[str, "order"]:
    return f"{request.what} for {request.amount:.2f}, approved by {outcome.by}"


@step
def remind(request: Request, policy: Policy) -> Annotated[str, "reminder"]:
    return f"{request.what} is above {policy.limit:.0f}: finance has to answer"


@pipeline
def two_stage_approval(request: Request, team: Answer, finance: Answer | None = None):
    """Decide on a purchase with the answers that are there."""
    if team == "no":
        return {"outcome": settle("rejected", "team")}
    policy = policy_for(request)
    if not policy.two_stages:
        outcome = settle("approved", "team")
    elif finance is None:
        return {"outcome": settle("pending", "team"), "reminder": remind(request, policy)}
    elif finance == "no":
        return {"outcome": settle("rejected", "finance")}
    else:
        outcome = settle("approved", "finance")
    return {"outcome": outcome, "order": purchase(request, outcome)}
