"""Pipelines of many types, for tests that hold the app against its own document; environment variables tell the form.

``MOUNT`` is the path in the host (empty: no host), ``HOST`` how the host takes the pipelines, ``LOCKED`` whether there
are keys, ``PIPELINES`` which of them there are, by default all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, NotRequired
from uuid import UUID

from fastapi import FastAPI
from flask import Flask
from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.routing import Mount
from typing_extensions import TypedDict

from pipemount import AuthKeys, PipelineApp, PipelineError, pipeline, step
from pipemount.auth.key import Key
from pipemount.testing.hosts.frameworks.django import URLS, configure
from pipemount.types import ASGIApp

KEY = "open-sesame-open-sesame"


# ------------------------------------------------------------------------------------------- weather


@step
async def describe(city: str, temperature: float) -> Annotated[str, "weather_analysis"]:
    return f"The weather in {city} is {temperature} degrees Celsius."


@pipeline
def weather(city: str = "London", temperature: float = 20.0) -> Any:
    """Tells the weather."""
    return describe(city, temperature)


# -------------------------------------------------------------------------------------------- orders


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Priority(IntEnum):
    LOW = 1
    HIGH = 10


class Address(BaseModel):
    model_config = ConfigDict(extra="forbid")

    street: Annotated[str, Field(min_length=1, max_length=40)]
    zip_code: Annotated[str, Field(pattern=r"^[0-9]{5}$")]
    country: Literal["NO", "SE", "DK"] = "NO"


class Item(BaseModel):
    name: Annotated[str, Field(max_length=20)]
    price: Annotated[float, Field(ge=0, le=1000)]
    quantity: Annotated[int, Field(gt=0, lt=100)] = 1
    colour: Colour | None = None
    tags: Annotated[list[str], Field(max_length=3)] = []
    parts: list[Item] = Field(default=[], max_length=2)


class Card(BaseModel):
    kind: Literal["card"]
    number: Annotated[str, Field(pattern=r"^[0-9]{4}$")]


class Invoice(BaseModel):
    kind: Literal["invoice"]
    due: date | None = None


class Receipt(BaseModel):
    total: float
    lines: int
    paid_with: str
    first: Item | None


@step
def bill(
    items: list[Item], discount: float, payment: Annotated[Card | Invoice, Field(discriminator="kind")]
) -> Annotated[Receipt, "receipt"]:
    total = sum(item.price * item.quantity for item in items) * (1 - discount)
    return Receipt(total=total, lines=len(items), paid_with=payment.kind, first=items[0] if items else None)


@step
def label(address: Address, priority: Priority) -> Annotated[str, "label"]:
    return f"{address.street}, {address.zip_code} {address.country} ({priority.name})"


@pipeline
def order(
    items: Annotated[list[Item], Field(min_length=1, max_length=5)],
    address: Address,
    payment: Annotated[Card | Invoice, Field(discriminator="kind")],
    discount: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    priority: Priority = Priority.LOW,
) -> Any:
    """Bills an order and prints its label."""
    return {"receipt": bill(items, discount, payment), "label": label(address, priority)}


# -------------------------------------------------------------------------------------------- mixed


@dataclass
class Point:
    x: float
    y: float = 0.0


class Place(TypedDict):
    name: str
    point: NotRequired[Point]


class Seen(BaseModel):
    moments: list[str]
    keys: dict[str, int]
    mean: float
    anything: Any
    points: list[Point]


@step
async def look(
    at: datetime,
    day: date | None,
    hour: time | None,
    span: timedelta | None,
    scores: dict[str, int],
    numbers: list[float],
    pair: tuple[int, str],
    either: int | str | None,
    flags: set[bool],
    ratio: Decimal | None,
    ident: UUID | None,
    raw: bytes,
    place: Place | None,
    anything: Any,
) -> Annotated[Seen, "seen"]:
    moments = [str(moment) for moment in (at, day, hour, span, ratio, ident, either, raw, flags)]
    mean = sum(numbers) / len(numbers) if numbers else float("nan")
    points = [place["point"]] if place and "point" in place else []
    return Seen(moments=[*moments, pair[1]], keys=scores, mean=mean, anything=anything, points=points)


@step
async def count(numbers: list[float]) -> tuple[Annotated[int, "how_many"], Annotated[float, "largest"]]:
    return len(numbers), max(numbers, default=float("-inf"))


@pipeline
def mixed(
    at: datetime,
    pair: tuple[int, str],
    day: date | None = None,
    hour: time | None = None,
    span: timedelta | None = None,
    scores: Annotated[dict[str, Annotated[int, Field(ge=0)]], Field(max_length=4)] = {},  # noqa: B006
    numbers: Annotated[list[float], Field(max_length=6)] = [],  # noqa: B006
    either: int | str | None = None,
    flags: set[bool] = set(),  # noqa: B006
    ratio: Decimal | None = None,
    ident: UUID | None = None,
    raw: bytes = b"",
    place: Place | None = None,
    anything: Any = None,
) -> Any:
    """Takes nearly every type."""
    how_many, largest = count(numbers)
    seen = look(at, day, hour, span, scores, numbers, pair, either, flags, ratio, ident, raw, place, anything)
    return {"seen": seen, "how_many": how_many, "largest": largest}


# --------------------------------------------------------------------------------------------- limits


@step
async def refuse(at_most: int, value: int) -> int:
    if value > at_most:
        raise PipelineError("too much", status=409)
    return value


@pipeline
def limits(
    byte: Annotated[int, Field(ge=0, le=255)],
    even: Annotated[int, Field(multiple_of=2)] = 0,
    share: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.5,
    below: Annotated[float, Field(lt=-10)] = -11.0,
    strict: Annotated[int, Field(strict=True)] = 1,
    name: Annotated[str, Field(min_length=2, max_length=4)] = "ab",
    flag: bool = False,
) -> Any:
    """Numbers and strings within bounds."""
    return refuse(200, byte)


PIPELINES = {"weather": weather, "order": order, "mixed": mixed, "limits": limits}


# ---------------------------------------------------------------------------------------------- hosts


def make(*, locked: bool) -> PipelineApp:
    """The pipelines as an app of their own."""
    keys = AuthKeys([Key("all", KEY), Key("reader", KEY + "-reader", permissions=("read",))]) if locked else None
    chosen = os.environ.get("PIPELINES", ",".join(PIPELINES)).split(",")
    return PipelineApp({name: PIPELINES[name] for name in chosen}, auth=keys)


def alone(app: PipelineApp, mount: str) -> ASGIApp:
    return app


def starlette(app: PipelineApp, mount: str) -> ASGIApp:
    return Starlette(routes=[Mount(mount, app)], lifespan=app.lifespan)


def fastapi(app: PipelineApp, mount: str) -> ASGIApp:
    host = FastAPI()
    host.mount(mount, app)
    return host


def included(app: PipelineApp, mount: str) -> ASGIApp:
    host = FastAPI()
    host.include_router(app.router(), prefix=mount)
    return host


def django_urls(pipelines: PipelineApp, mount: str) -> None:
    """A project with CSRF protection, sessions and users, as its settings name it."""
    from django.urls import include, path

    configure(Path(os.devnull))
    urls: Any = ModuleType(URLS)
    urls.urlpatterns = [path(f"{mount.strip('/')}/", include(pipelines.django_urls()))]
    sys.modules[URLS] = urls


def django_asgi(pipelines: PipelineApp, mount: str) -> Any:
    from django.core.asgi import get_asgi_application

    django_urls(pipelines, mount)
    return get_asgi_application()


def django_wsgi(pipelines: PipelineApp, mount: str) -> Any:
    from django.core.wsgi import get_wsgi_application

    django_urls(pipelines, mount)
    return get_wsgi_application()


def flask(pipelines: PipelineApp, mount: str) -> Flask:
    host = Flask("host")
    pipelines.init_app(host, mount)
    return host


HOSTS: dict[str, Callable[[PipelineApp, str], Any]] = {
    "alone": alone,
    "starlette": starlette,
    "fastapi": fastapi,
    "included": included,
    "flask": flask,
    "django-asgi": django_asgi,
    "django-wsgi": django_wsgi,
}
WSGI = {"django-wsgi", "flask"}


def create() -> Any:
    """What a server is told to serve (``uvicorn --factory``, ``gunicorn``)."""
    host = HOSTS[os.environ.get("HOST", "alone")]
    return host(make(locked="LOCKED" in os.environ), os.environ.get("MOUNT", ""))
