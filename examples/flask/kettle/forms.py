"""The forms; each carries the token that tells them from posts of other sites."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import EmailField, IntegerField, PasswordField, StringField
from wtforms.validators import DataRequired, Length, NumberRange, Regexp

__all__ = ["AddressForm", "DecisionForm", "KeyForm", "LoginForm", "QuantityForm", "RegisterForm"]

EMAIL = Regexp(r"^[^@\s]+@[^@\s]+\.[^@\s]+$", message="This does not look like an e-mail address.")


class LoginForm(FlaskForm):
    """Who are you?"""

    email = EmailField("E-mail", [DataRequired(), Length(max=254)], render_kw={"autocomplete": "username"})
    password = PasswordField("Password", [DataRequired()], render_kw={"autocomplete": "current-password"})


class RegisterForm(FlaskForm):
    """Who do you want to be?"""

    name = StringField("Your name", [DataRequired(), Length(max=80)], render_kw={"autocomplete": "name"})
    email = EmailField("E-mail", [DataRequired(), EMAIL, Length(max=254)], render_kw={"autocomplete": "username"})
    password = PasswordField(
        "Password, at least 8 characters",
        [DataRequired(), Length(min=8, max=200)],
        render_kw={"autocomplete": "new-password"},
    )


class QuantityForm(FlaskForm):
    """How many?"""

    quantity = IntegerField("Quantity", [NumberRange(min=0, max=99)], default=1)


class AddressForm(FlaskForm):
    """Where does it go?"""

    recipient = StringField("Name", [DataRequired(), Length(max=80)], render_kw={"autocomplete": "name"})
    street = StringField(
        "Street and number", [DataRequired(), Length(max=120)], render_kw={"autocomplete": "street-address"}
    )
    postcode = StringField("Postcode", [DataRequired(), Length(max=12)], render_kw={"autocomplete": "postal-code"})
    city = StringField("City", [DataRequired(), Length(max=80)], render_kw={"autocomplete": "address-level2"})


class KeyForm(FlaskForm):
    """What is the key for?"""

    label = StringField("What is it for?", [DataRequired(), Length(max=40)])


class DecisionForm(FlaskForm):
    """A button: nothing but the token."""
