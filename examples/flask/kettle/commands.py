"""``flask --app kettle init-db`` and ``flask --app kettle seed``."""

from __future__ import annotations

import os

import click
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy import func, select

from .extensions import db
from .models import User
from .seeds import fill

__all__ = ["add_to"]


def add_to(app: Flask) -> None:
    """Make the commands known."""
    app.cli.add_command(init_db)
    app.cli.add_command(seed)


@click.command("init-db")
@with_appcontext
def init_db() -> None:
    """Make the tables that are not there yet."""
    db.create_all()
    click.echo("The tables are there.")


@click.command("seed")
@with_appcontext
def seed() -> None:
    """Fill an empty shop: a shelf, two people, and the orders of a year."""
    if db.session.scalar(select(func.count(User.id))):
        raise click.ClickException("the shop has users already; seed fills an empty one")
    shelf, orders = fill(os.environ.get("KETTLE_PASSWORD", "darjeeling"))
    click.echo(f"{shelf} products and {orders} past orders; ada@kettle.example buys, sam@kettle.example is staff.")
