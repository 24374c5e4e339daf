"""The extensions of Flask that the shop is made with; each app gets its own share of them in ``create_app``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

__all__ = ["Model", "csrf", "db", "login_manager"]


class Base(DeclarativeBase):
    """What the tables have in common: constraints have names, so that migrations can find them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base)
login_manager = LoginManager()
csrf = CSRFProtect()

login_manager.login_view = "sign_in.login"
login_manager.login_message = "Please sign in first."
login_manager.session_protection = "basic"

if TYPE_CHECKING:
    Model = Base  # Flask-SQLAlchemy makes the class at run time, which type checkers cannot follow
else:
    Model = db.Model
