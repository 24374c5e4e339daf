"""My orders."""

from __future__ import annotations

from flask import Blueprint, current_app, render_template
from flask_login import current_user, login_required
from sqlalchemy import select

from .extensions import db
from .models import Order

__all__ = ["blueprint"]

blueprint = Blueprint("orders", __name__, url_prefix="/orders")


@blueprint.get("")
@login_required
def mine() -> str:
    """All of them, the last one first."""
    return render_template("orders.html", orders=current_user.orders)


@blueprint.get("/<int:number>")
@login_required
def order(number: int) -> str:
    """One of mine; those of others are not there."""
    found = db.first_or_404(select(Order).filter_by(id=number, customer_id=current_user.id))
    return render_template("order.html", order=found, checkable=current_app.config["PIPELINES"])
