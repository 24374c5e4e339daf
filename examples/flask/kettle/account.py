"""The account: who I am, and the keys of my programs."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_login import current_user, login_required
from sqlalchemy import select
from werkzeug.wrappers import Response

from .extensions import db
from .forms import DecisionForm, KeyForm
from .keys import make_key, revoke_key
from .models import ApiKey

__all__ = ["blueprint"]

blueprint = Blueprint("account", __name__, url_prefix="/account")


@blueprint.get("")
@login_required
def show() -> str:
    """Keys that are good, and a form for the next one."""
    return _page(KeyForm(formdata=None))


@blueprint.post("/keys")
@login_required
def make() -> tuple[str, int, dict[str, str]] | tuple[str, int]:
    """A new key. The page that answers is the only one that ever shows it, and is kept nowhere."""
    form = KeyForm()
    if not form.validate_on_submit():
        return _page(form), 422
    key = make_key(current_user, form.label.data.strip())
    db.session.commit()
    return _page(KeyForm(formdata=None), key), 201, {"Cache-Control": "no-store"}


@blueprint.post("/keys/<int:key_id>/revoke")
@login_required
def revoke(key_id: int) -> Response:
    """From now on the key opens nothing."""
    key = db.first_or_404(select(ApiKey).filter_by(id=key_id, user_id=current_user.id))
    revoke_key(key)
    db.session.commit()
    flash(f"The key “{key.label}” was revoked.", "done")
    return redirect(url_for("account.show"), 303)


def _page(form: KeyForm, new_key: str | None = None) -> str:
    good = [key for key in current_user.keys if key.revoked_at is None]
    return render_template("account.html", form=form, button=DecisionForm(formdata=None), keys=good, new_key=new_key)
