"""Signing in, signing out, and becoming a customer."""

from __future__ import annotations

import secrets
from functools import cache
from urllib.parse import urlsplit

from flask import Blueprint, current_app, flash, redirect, render_template, request, session, url_for
from flask_login import current_user, login_required, login_user, logout_user
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from werkzeug.exceptions import Forbidden
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.wrappers import Response

from .extensions import db, login_manager
from .forms import LoginForm, RegisterForm
from .models import User

__all__ = ["add_user", "blueprint", "forbidden"]

blueprint = Blueprint("sign_in", __name__)


@login_manager.user_loader
def load_user(user_id: str) -> User | None:
    """Whom the session names."""
    return db.session.get(User, int(user_id))


def add_user(*, email: str, name: str, password: str, is_staff: bool = False) -> User:
    """A new user, in the session but not committed."""
    hashed = generate_password_hash(password, current_app.config["PASSWORD_METHOD"])
    user = User(email=email.strip().lower(), name=name.strip(), password=hashed, is_staff=is_staff)
    db.session.add(user)
    return user


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> str | Response | tuple[str, int]:
    """The form; what is wrong is not said, so that nobody learns who is a customer."""
    form = LoginForm()
    if not form.validate_on_submit():
        return render_template("login.html", form=form)
    user = db.session.scalar(select(User).filter_by(email=form.email.data.strip().lower()))
    if not check_password_hash(user.password if user else _nobody(), form.password.data) or user is None:
        flash("That e-mail and password do not go together.", "error")
        return render_template("login.html", form=form), 401
    return _welcome(user)


@blueprint.route("/register", methods=["GET", "POST"])
def register() -> str | Response | tuple[str, int]:
    """Become a customer."""
    form = RegisterForm()
    if not form.validate_on_submit():
        return render_template("register.html", form=form), 422 if form.errors else 200
    user = add_user(email=form.email.data, name=form.name.data, password=form.password.data)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        form.email.errors = ["There is an account with this e-mail already; sign in with it."]
        return render_template("register.html", form=form), 422
    return _welcome(user)


@blueprint.post("/logout")
@login_required
def logout() -> Response:
    """Sign out."""
    logout_user()
    session.clear()
    return redirect(url_for("catalogue.products"), 303)


def forbidden(error: Forbidden) -> tuple[str, int]:
    """Signed in, but not as somebody who may see this."""
    return render_template("problem.html", title="Not for you", text="This page is for the people of the shop."), 403


def _welcome(user: User) -> Response:
    session.clear()  # what a visitor was given is not carried into the account
    login_user(user)
    return redirect(_next_page(), 303)


def _next_page() -> str:
    """Where the visitor wanted to go, if that is a page of ours."""
    wanted = request.args.get("next", "")
    parts = urlsplit(wanted)
    ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    if ours:
        return wanted
    return url_for("desk.held") if current_user.is_staff else url_for("catalogue.products")


@cache
def _nobody() -> str:
    """Makes an unknown e-mail take as long as a known one."""
    return generate_password_hash(secrets.token_hex(), current_app.config["PASSWORD_METHOD"])
