"""A shop to begin with. The past is drawn at random, but is the same each time, counted back from today.

Regulars order now and then and pay. Newcomers order once and mostly pay. Now and then a few accounts are opened in one
week, send vouchers and teapots to one address, and hardly ever pay: that is what there is to learn from.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from .extensions import db
from .models import Order, OrderLine, Product, User, now
from .sign_in import add_user

__all__ = ["fill"]

SHELF = (
    ("first-flush", "Darjeeling first flush", "tea", 1450, 60),
    ("smoky-souchong", "Smoky souchong", "tea", 1180, 45),
    ("jasmine-pearls", "Jasmine pearls", "tea", 1690, 30),
    ("mint-garden", "Garden mint", "tea", 690, 80),
    ("stoneware-cup", "Stoneware cup", "ware", 1800, 40),
    ("copper-kettle", "Copper kettle", "ware", 12900, 8),
    ("cast-iron-pot", "Cast-iron teapot", "ware", 7400, 14),
    ("voucher-50", "Voucher for € 50", "voucher", 5000, 500),
)
DESCRIPTIONS = {
    "first-flush": "Picked in March on the slopes below Kurseong; light, with a note of muscatel.",
    "smoky-souchong": "Dried over pine fires for two nights. For grey afternoons.",
    "jasmine-pearls": "Green tea rolled by hand, scented with fresh blossom six times.",
    "mint-garden": "Spearmint and peppermint from one field, cut in June. No caffeine.",
    "stoneware-cup": "Thrown and glazed by hand; holds a quarter of a litre.",
    "copper-kettle": "Boils a litre and a half in four minutes and whistles in G.",
    "cast-iron-pot": "Keeps tea hot for an hour. With a strainer of steel.",
    "voucher-50": "Sent by e-mail as soon as the order is accepted.",
}

STREETS = ("Mill Lane", "Station Road", "Orchard Row", "Quay Street", "Church Hill", "Long Acre", "Tanner's Yard")
CITIES = ("Bath", "Leeds", "York", "Hull", "Ely")
FIRST = ("Ines", "Jon", "Mara", "Theo", "Lena", "Paul", "Nora", "Emil", "Ruth", "Kaj")
LAST = ("Abel", "Brook", "Carter", "Dale", "Ende", "Frost", "Gray", "Holm")


def fill(password: str) -> tuple[int, int]:
    """Fill the empty tables and commit; how many products and past orders there are now."""
    shelf = [
        Product(slug=slug, name=name, kind=kind, price=price, stock=stock, description=DESCRIPTIONS[slug])
        for slug, name, kind, price, stock in SHELF
    ]
    db.session.add_all(shelf)
    db.session.flush()
    add_user(email="ada@kettle.example", name="Ada Fenn", password=password)
    add_user(email="sam@kettle.example", name="Sam Reed", password=password, is_staff=True)
    past = list(Past(shelf, Random(1887)).orders())
    db.session.add_all(past)
    db.session.commit()
    return len(shelf), len(past)


class Past:
    """The orders of a year."""

    def __init__(self, shelf: list[Product], random: Random) -> None:
        self.shelf, self.random, self.people = shelf, random, 0
        self.today = now()

    def orders(self) -> Iterator[Order]:
        """All of them."""
        for _ in range(30):
            yield from self._regular()
        for _ in range(50):
            yield from self._newcomer()
        for _ in range(12):
            yield from self._gang()

    def _regular(self) -> Iterator[Order]:
        person, address = self._person(), self._address()
        for _ in range(self.random.randint(4, 9)):
            pays = self.random.random() < 0.98
            yield self._order(person, address, self._day(), self._few(), pays)

    def _newcomer(self) -> Iterator[Order]:
        treat = self.random.random() < 0.25
        basket = self._much() if treat else self._few()
        yield self._order(self._person(), self._address(), self._day(), basket, self.random.random() < 0.93)

    def _gang(self) -> Iterator[Order]:
        address, week = self._address(), self._day()
        for _ in range(self.random.randint(2, 4)):
            person, begun = self._person(), week + timedelta(hours=self.random.randint(0, 120))
            for hours in range(self.random.randint(1, 3)):
                pays = self.random.random() < 0.08
                yield self._order(person, address, begun + timedelta(hours=hours), self._much(), pays)
            if self.random.random() < 0.4:  # one of them tries again
                again = begun + timedelta(days=self.random.randint(20, 30))
                yield self._order(person, address, again, self._few(), self.random.random() < 0.2)

    def _order(
        self, person: User, address: dict[str, str], placed: datetime, basket: list[tuple[Product, int]], pays: bool
    ) -> Order:
        lines = [
            OrderLine(
                product_id=product.id, name=product.name, kind=product.kind, price=product.price, quantity=quantity
            )
            for product, quantity in basket
        ]
        person.joined_at = min(person.joined_at, placed)
        total = sum(line.price * line.quantity for line in lines)
        details = {"placed_at": placed, "status": "accepted", "paid": pays, "total": total, "lines": lines}
        return Order(customer=person, recipient=person.name, **address, **details)

    def _few(self) -> list[tuple[Product, int]]:
        small = [product for product in self.shelf if product.price < 5000]
        return [
            (product, self.random.randint(1, 2)) for product in self.random.sample(small, self.random.randint(1, 3))
        ]

    def _much(self) -> list[tuple[Product, int]]:
        dear = [product for product in self.shelf if product.price >= 5000]
        return [(product, self.random.randint(1, 4)) for product in self.random.sample(dear, self.random.randint(1, 2))]

    def _person(self) -> User:
        self.people += 1
        name = f"{self.random.choice(FIRST)} {self.random.choice(LAST)}"
        email = f"{name.lower().replace(' ', '.')}.{self.people}@post.example"
        person = User(email=email, name=name, password="no sign-in", joined_at=self.today)
        db.session.add(person)
        return person

    def _address(self) -> dict[str, str]:
        street = f"{self.random.randint(1, 400)} {self.random.choice(STREETS)}"
        city = self.random.choice(CITIES)
        return {"street": street, "postcode": f"{city[:2].upper()}{self.random.randint(10, 99)}", "city": city}

    def _day(self) -> datetime:
        return self.today - timedelta(days=self.random.randint(40, 380), minutes=self.random.randint(0, 1439))
