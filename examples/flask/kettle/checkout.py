"""The checkout: an address, a button, and an order."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from .basket import total_of
from .forms import AddressForm
from .ordering import OutOfStockError, place_order

__all__ = ["blueprint"]

blueprint = Blueprint("checkout", __name__, url_prefix="/checkout")


@blueprint.route("", methods=["GET", "POST"])
@login_required
def address() -> str | Response | tuple[str, int]:
    """Where it goes; the order is placed when the form is sent."""
    lines = current_user.cart
    if not lines:
        return redirect(url_for("basket.show"), 303)
    form = AddressForm(recipient=current_user.name)
    if not form.validate_on_submit():
        page = render_template("checkout.html", form=form, lines=lines, total=total_of(lines))
        return page, 422 if form.errors else 200
    given = {name: form[name].data for name in ("recipient", "street", "postcode", "city")}
    try:
        order = place_order(current_user, given)
    except OutOfStockError as error:
        flash(str(error), "error")
        return redirect(url_for("basket.show"), 303)
    return redirect(url_for("orders.order", number=order.id), 303)
