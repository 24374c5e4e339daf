"""Orders: made of a basket, judged, and decided by staff where they are held."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import update

from .basket import total_of
from .extensions import db
from .judging import judge
from .models import Order, OrderLine, Product, User

__all__ = ["OutOfStockError", "decide", "place_order"]


class OutOfStockError(Exception):
    """Somebody else was faster; the message names the product."""


def place_order(user: User, address: Mapping[str, str]) -> Order:
    """Make an order of the basket, and have it judged. Commits.

    The order is in the database before it is judged: the judgement may read it in a session of its own.

    Raises:
        OutOfStockError: Nothing was ordered.
    """
    order = Order(customer_id=user.id, total=total_of(user.cart), **address)
    for line in user.cart:
        product = line.product
        _take(product, line.quantity)
        order.lines.append(
            OrderLine(
                product_id=product.id, name=product.name, kind=product.kind, price=product.price, quantity=line.quantity
            )
        )
    db.session.add(order)
    user.cart.clear()
    db.session.commit()
    judgement = judge(order)
    order.status, order.risk, order.reasons = judgement.status, judgement.risk, list(judgement.reasons)
    if order.status == "rejected":
        _put_back(order)
    db.session.commit()
    return order


def decide(order: Order, status: str, staff: User) -> None:
    """What a member of staff says of an order that was held. Commits."""
    order.status, order.decided_by = status, staff
    if status == "rejected":
        _put_back(order)
    db.session.commit()


def _take(product: Product, quantity: int) -> None:
    """Take from the shelf; two who want the last one are told apart by the database."""
    enough = update(Product).where(Product.id == product.id, Product.stock >= quantity)
    taken = db.session.connection().execute(enough.values(stock=Product.stock - quantity))
    if taken.rowcount == 0:
        name = product.name
        db.session.rollback()
        raise OutOfStockError(f"{name} has just been sold out.")


def _put_back(order: Order) -> None:
    for line in order.lines:
        shelf = update(Product).where(Product.id == line.product_id)
        db.session.execute(shelf.values(stock=Product.stock + line.quantity))
