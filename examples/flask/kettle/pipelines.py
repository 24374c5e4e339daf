"""The fraud check, and how it and the shopkeeper move into the shop."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Literal

from flask import Flask, Request, Response, jsonify, request
from flask_login import current_user, login_required
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import selectinload
from werkzeug.exceptions import Unauthorized

from pipemount import PipelineApp, PipelineError, PipemountError, Principal, StepContext, pipeline, step

from .advice import advice
from .advice import blueprint as questions
from .extensions import db, login_manager
from .judging import Judgement
from .keys import user_of
from .models import Order, OrderLine, User
from .risk import Scorecard, Signals, learn

__all__ = ["fraud_check", "judge", "move_in", "pipelines"]

logger = logging.getLogger(__name__)

DAY, WEEK, TERM = timedelta(days=1), timedelta(days=7), timedelta(days=14)  # TERM: in which an invoice is to be paid
HOLD, REJECT = 0.5, 0.95

# ------------------------------------------------------------------------------------- what is known


class Placed(BaseModel):
    """An order, as the steps hand it on: plain values, for no step sees the session of another."""

    id: int
    customer_id: int
    address: str
    total: int
    placed_at: datetime


class History(BaseModel):
    """What the customer ordered before."""

    paid: int
    unpaid: int
    today: int


class Assessment(BaseModel):
    """What the scorecard says."""

    risk: Annotated[float, Field(ge=0, le=1, description="How likely it is that the order is never paid")]
    reasons: Annotated[list[str], Field(description="What speaks against it, the heaviest first")]


class Verdict(BaseModel):
    """What becomes of the order."""

    decision: Literal["accepted", "held", "rejected"]
    message: Annotated[str, Field(description="For the customer")]


def learn_from_the_past() -> Scorecard:
    """A scorecard of all orders of which it is known whether they were paid, each as it looked when it was placed."""
    known = select(Order).where(Order.paid.is_not(None)).options(selectinload(Order.lines)).order_by(Order.placed_at)
    card = learn(_as_they_looked(db.session.scalars(known).all()))
    logger.info("on_init: the scorecard has learnt from %d orders", card.orders)
    return card


def forget(card: Scorecard) -> None:
    """Say goodbye; a model that holds a file or a connection would let go of it here."""
    logger.info("on_cleanup: the scorecard of %d orders is put away", card.orders)


def _as_they_looked(orders: Iterable[Order]) -> list[tuple[Signals, bool]]:
    of_customer: dict[int, list[Order]] = defaultdict(list)
    to_address: dict[str, list[Order]] = defaultdict(list)
    told = []
    for order in orders:
        earlier, near = of_customer[order.customer_id], to_address[order.address]
        signals = Signals(
            total=order.total,
            vouchers=sum(line.price * line.quantity for line in order.lines if line.kind == "voucher"),
            paid=sum(one.paid is True for one in earlier if one.placed_at < order.placed_at - TERM),
            unpaid=sum(one.paid is False for one in earlier if one.placed_at < order.placed_at - TERM),
            today=sum(one.placed_at >= order.placed_at - DAY for one in earlier),
            strangers=len({o.customer_id for o in near if o.placed_at >= order.placed_at - WEEK} - {order.customer_id}),
        )
        told.append((signals, bool(order.paid)))
        earlier.append(order)
        near.append(order)
    return told


# --------------------------------------------------------------------------------------------- steps


@step
def read_order(order_id: int, context: StepContext) -> Placed:
    """The order, if whoever asks may know of it: a customer of their own, staff of any, and the shop itself."""
    order = db.session.get(Order, order_id)
    if order is None or not _may_see(context.principal, order):
        raise PipelineError(f"there is no order {order_id}, or it is not yours", status=404, code="no-such-order")
    return Placed.model_validate(order, from_attributes=True)


def _may_see(principal: Principal | None, order: Order) -> bool:
    if principal is None:  # nobody came through a door: a command, or a test
        return True
    user = db.session.get(User, int(principal.name))
    return user is not None and (user.is_staff or user.id == order.customer_id)


@step
def read_history(order: Placed) -> History:
    """How the customer has paid so far."""
    earlier = select(
        func.count().filter(Order.paid.is_(True)),
        func.count().filter(Order.paid.is_(False)),
        func.count().filter(Order.placed_at >= order.placed_at - DAY),
    ).where(Order.customer_id == order.customer_id, Order.id != order.id, Order.placed_at <= order.placed_at)
    paid, unpaid, today = db.session.execute(earlier).one()
    return History(paid=paid, unpaid=unpaid, today=today)


@step
def count_strangers(order: Placed) -> Annotated[int, "strangers"]:
    """How many other customers had something sent to the address within a week."""
    near = select(func.count(Order.customer_id.distinct())).where(
        Order.address == order.address,
        Order.customer_id != order.customer_id,
        Order.placed_at.between(order.placed_at - WEEK, order.placed_at),
    )
    return db.session.scalars(near).one()


@step
def add_up_vouchers(order: Placed) -> Annotated[int, "vouchers"]:
    """Cents of the order that are for vouchers: nothing is as easily sold on."""
    of_lines = func.coalesce(func.sum(OrderLine.price * OrderLine.quantity), 0)
    return db.session.scalars(select(of_lines).filter_by(order_id=order.id, kind="voucher")).one()


@step
def assess(order: Placed, history: History, strangers: int, vouchers: int, context: StepContext) -> Assessment:
    """Ask the scorecard."""
    card: Scorecard = context.pipeline_state
    signals = Signals(total=order.total, vouchers=vouchers, strangers=strangers, **history.model_dump())
    return Assessment(risk=card.risk(signals), reasons=card.reasons(signals))


@step
def accept(order: Placed) -> Verdict:
    return Verdict(decision="accepted", message=f"Nothing speaks against order {order.id}.")


@step
def hold(order: Placed, reasons: list[str]) -> Verdict:
    text = f"Somebody of the shop looks at order {order.id} first. {' '.join(reasons)}"
    return Verdict(decision="held", message=text.strip())


@step
def reject(order: Placed) -> Verdict:
    return Verdict(decision="rejected", message=f"Order {order.id} cannot be sent by invoice.")


@pipeline(on_init=learn_from_the_past, on_cleanup=forget)
def fraud_check(order_id: Annotated[int, Field(ge=1, description="Of an order of yours")]):  # type: ignore[no-untyped-def]  # told by its steps
    """Accept an order, hold it for review or reject it, by what it is and what came before it."""
    order = read_order(order_id)
    assessment = assess(order, read_history(order), count_strangers(order), add_up_vouchers(order))
    if assessment.risk >= REJECT:
        verdict = reject(order)
    elif assessment.risk >= HOLD:
        verdict = hold(order, assessment.reasons)
    else:
        verdict = accept(order)
    return {"verdict": verdict, "risk": assessment.risk, "reasons": assessment.reasons}


pipelines = PipelineApp(fraud_check)

DOORS = ("pipemount", "ask")
"""The blueprints of the pipelines."""

# ----------------------------------------------------------------------------------------- moving in


def move_in(app: Flask) -> None:
    """The pipelines under ``/ai`` and ``/ask``, for customers who are signed in and for their programs."""
    pipelines.init_app(app, prefix="/ai", before=[login_required], principal=caller)
    advice.init_app(app, prefix="/ask", name="ask", before=[login_required], principal=caller)
    app.register_blueprint(questions)
    for door in DOORS:
        login_manager.blueprint_login_views[door] = None  # a program has no use for the login page
    app.register_error_handler(401, unauthorized)


def judge(order: Order) -> Judgement:
    """What the fraud check says of an order at the checkout; what it cannot say, a person has to."""
    try:
        outputs = pipelines.run_sync("fraud_check", order_id=order.id).outputs
    except PipemountError as error:
        logger.error("order %d is held: %s", order.id, error)
        return Judgement("held", reasons=("The check could not be made.",))
    return Judgement(outputs["verdict"].decision, outputs["risk"], tuple(outputs["reasons"]))


def caller() -> Principal | None:
    """Who asks, as the steps see them: by number, since names are not unique and objects belong to a session."""
    if not current_user.is_authenticated:
        return None
    return Principal(current_user.get_id(), frozenset({"invoke", "read", "cancel"}), "kettle")


@login_manager.request_loader
def user_of_key(request: Request) -> User | None:
    """Whose key a program sends. It opens the pipelines and nothing else: pages are for people."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return user_of(key.strip()) if request.blueprint in DOORS and scheme.lower() == "bearer" else None


def unauthorized(error: Unauthorized) -> Response:
    """The same form as every other problem of the pipelines."""
    detail = "sign in, or send a key of yours as Authorization: Bearer; your account page makes one"
    answer = jsonify(title="Unauthorized", status=401, detail=detail, code="unauthenticated", instance=request.path)
    answer.status_code, answer.mimetype = 401, "application/problem+json"
    answer.headers["WWW-Authenticate"] = 'Bearer realm="kettle"'
    return answer
