"""The basket of whoever is signed in."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask_login import current_user, login_required
from sqlalchemy import select
from werkzeug.wrappers import Response

from .extensions import db
from .forms import DecisionForm, QuantityForm
from .models import CartLine, Product

__all__ = ["blueprint", "total_of"]

blueprint = Blueprint("basket", __name__, url_prefix="/basket")


def total_of(lines: list[CartLine]) -> int:
    """What the basket costs, in cents."""
    return sum(line.quantity * line.product.price for line in lines)


@blueprint.get("")
@login_required
def show() -> str:
    """What is in it."""
    lines = current_user.cart
    return render_template("basket.html", lines=lines, total=total_of(lines), form=DecisionForm())


@blueprint.post("/<int:product_id>")
@login_required
def put(product_id: int) -> Response:
    """Have this many of a product in the basket; none takes it out."""
    form = QuantityForm()
    product = db.get_or_404(Product, product_id)
    if not form.validate_on_submit():
        abort(400)
    wanted: int = form.quantity.data
    if wanted > product.stock:
        flash(f"Of {product.name} there are {product.stock}.", "error")
        return redirect(url_for("catalogue.product", slug=product.slug), 303)
    line = db.session.scalar(select(CartLine).filter_by(user_id=current_user.id, product_id=product.id))
    if line is None and wanted:
        db.session.add(CartLine(user_id=current_user.id, product_id=product.id, quantity=wanted))
    elif line is not None and wanted:
        line.quantity = wanted
    elif line is not None:
        db.session.delete(line)
    db.session.commit()
    return redirect(url_for("basket.show"), 303)
