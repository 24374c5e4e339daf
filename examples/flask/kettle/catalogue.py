"""What there is to buy."""

from __future__ import annotations

from flask import Blueprint, current_app, render_template
from sqlalchemy import select
from werkzeug.exceptions import NotFound

from .extensions import db
from .forms import QuantityForm
from .models import Product

__all__ = ["blueprint", "not_found"]

blueprint = Blueprint("catalogue", __name__)


@blueprint.get("/")
def products() -> str:
    """Everything, by kind."""
    found = db.session.scalars(select(Product).order_by(Product.kind, Product.price)).all()
    return render_template("catalogue.html", products=found)


@blueprint.get("/products/<slug>")
def product(slug: str) -> str:
    """One product, and a button to buy it."""
    found = db.first_or_404(select(Product).filter_by(slug=slug))
    return render_template("product.html", product=found, form=QuantityForm(), askable=current_app.config["PIPELINES"])


def not_found(error: NotFound) -> tuple[str, int]:
    """There is no such page."""
    return render_template("problem.html", title="Not here", text="There is no such page, or it is not yours."), 404
