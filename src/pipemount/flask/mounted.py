"""What is mounted in a Flask application, kept where extensions keep such things."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Flask

if TYPE_CHECKING:
    from ..http.application import Application

__all__ = ["Mounted", "mounted_in", "remember"]

EXTENSION = "pipemount"


@dataclass(frozen=True, slots=True)
class Mounted:
    """What one ``init_app`` was told.

    Attributes:
        pipelines: What was mounted.
        prefix: Where, starting with a slash.
        principal: Says who asks, where Flask-Login or ``g.user`` do not.
        g: The names in ``flask.g`` that steps find in theirs.
    """

    pipelines: Application
    prefix: str
    principal: Callable[[], Any] | None
    g: tuple[str, ...]


def remember(app: Flask, name: str, mounted: Mounted) -> None:
    """``mounted`` is in ``app`` now, as a blueprint called ``name``."""
    app.extensions.setdefault(EXTENSION, {})[name] = mounted


def mounted_in(app: Flask) -> Mapping[str, Mounted]:
    """What is mounted in ``app``, by the name of the blueprint."""
    mounted: Mapping[str, Mounted] = app.extensions.get(EXTENSION, {})
    return mounted
