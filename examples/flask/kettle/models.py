"""The tables. Money is in cents, times are UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from flask_login import UserMixin
from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .extensions import Model

__all__ = ["STATUSES", "ApiKey", "CartLine", "Order", "OrderLine", "Product", "User", "address_key", "now"]

STATUSES = ("checking", "accepted", "held", "rejected")


def now() -> datetime:
    """The time in UTC, without a zone, as SQLite keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


def address_key(street: str, postcode: str) -> str:
    """What addresses have in common that are written differently: ``12, Mill-Lane`` and ``12 mill lane``."""
    return re.sub(r"[\W_]+", "", f"{street}{postcode}".casefold())


class User(UserMixin, Model):
    """A customer, or a member of staff."""

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    password: Mapped[str] = mapped_column(String(200))
    is_staff: Mapped[bool] = mapped_column(default=False)
    joined_at: Mapped[datetime] = mapped_column(default=now)

    cart: Mapped[list[CartLine]] = relationship(cascade="all, delete-orphan", order_by="CartLine.id")
    orders: Mapped[list[Order]] = relationship(
        back_populates="customer", foreign_keys="Order.customer_id", order_by="Order.id.desc()"
    )
    keys: Mapped[list[ApiKey]] = relationship(back_populates="user", order_by="ApiKey.id.desc()")


class Product(Model):
    """Something on the shelf."""

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(10))  # tea, ware or voucher
    description: Mapped[str] = mapped_column(String(500))
    price: Mapped[int]
    stock: Mapped[int]

    __table_args__ = (CheckConstraint("stock >= 0", name="stock"),)


class CartLine(Model):
    """A product in somebody's basket."""

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    quantity: Mapped[int]

    product: Mapped[Product] = relationship(lazy="joined")

    __table_args__ = (UniqueConstraint("user_id", "product_id"), CheckConstraint("quantity > 0", name="quantity"))


class Order(Model):
    """What somebody ordered, where it goes, and what was thought of it.

    ``paid`` is ``None`` until it is known whether the invoice was paid; ``risk`` and ``reasons`` are what the check
    at the checkout found, where it found anything.
    """

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    placed_at: Mapped[datetime] = mapped_column(default=now, index=True)
    status: Mapped[str] = mapped_column(String(10), default="checking", index=True)
    total: Mapped[int]
    recipient: Mapped[str] = mapped_column(String(80))
    street: Mapped[str] = mapped_column(String(120))
    postcode: Mapped[str] = mapped_column(String(12))
    city: Mapped[str] = mapped_column(String(80))
    address: Mapped[str] = mapped_column(String(140))
    paid: Mapped[bool | None]
    risk: Mapped[float | None]
    reasons: Mapped[list[str]] = mapped_column(JSON, default=list)
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))

    customer: Mapped[User] = relationship(back_populates="orders", foreign_keys=[customer_id])
    decided_by: Mapped[User | None] = relationship(foreign_keys=[decided_by_id])
    lines: Mapped[list[OrderLine]] = relationship(cascade="all, delete-orphan", order_by="OrderLine.id")

    __table_args__ = (
        Index("ix_order_customer", "customer_id", "placed_at"),
        Index("ix_order_address", "address", "placed_at"),
    )

    def __init__(self, **values: Any) -> None:
        values.setdefault("address", address_key(values["street"], values["postcode"]))
        super().__init__(**values)


class OrderLine(Model):
    """A product as it was when it was ordered."""

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"), index=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    name: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(10))
    price: Mapped[int]
    quantity: Mapped[int]


class ApiKey(Model):
    """A key with which a program speaks for a user. Only its digest is kept."""

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    label: Mapped[str] = mapped_column(String(40))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    ending: Mapped[str] = mapped_column(String(4))
    made_at: Mapped[datetime] = mapped_column(default=now)
    revoked_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(back_populates="keys")
