"""The desk: where staff look at the orders that are held."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask_login import current_user, login_required
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload
from werkzeug.wrappers import Response

from .extensions import db
from .forms import DecisionForm
from .models import Order
from .ordering import decide

__all__ = ["blueprint"]

blueprint = Blueprint("desk", __name__, url_prefix="/desk")
DECISIONS = {"accept": "accepted", "reject": "rejected"}


@blueprint.before_request
@login_required
def for_staff() -> None:
    """Customers have no business here."""
    if not current_user.is_staff:
        abort(403)


@blueprint.get("")
def held() -> str:
    """The orders that wait for a decision, the oldest first."""
    waiting = select(Order).filter_by(status="held").order_by(Order.placed_at)
    orders = db.session.scalars(waiting.options(joinedload(Order.customer), selectinload(Order.lines))).all()
    return render_template("desk.html", orders=orders, form=DecisionForm())


@blueprint.post("/<int:number>/<any(accept, reject):decision>")
def say(number: int, decision: str) -> Response:
    """Accept or reject an order that is held."""
    order = db.first_or_404(select(Order).filter_by(id=number, status="held"))
    decide(order, DECISIONS[decision], current_user)
    flash(f"Order {order.id} is {order.status}.", "done")
    return redirect(url_for("desk.held"), 303)
