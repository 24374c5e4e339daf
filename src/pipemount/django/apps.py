"""The Django app: it has no tables, and does nothing but register the system checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

__all__ = ["PipemountConfig"]


class PipemountConfig(AppConfig):
    """``"pipemount.django"`` in ``INSTALLED_APPS``. Starts nothing: every management command gets here."""

    name = "pipemount.django"
    label = "pipemount"
    verbose_name = "Pipelines"

    def ready(self) -> None:
        """Registers the checks; they run when Django runs its own."""
        from . import checks

        register(checks.check_mounts, checks.TAG)
        register(checks.check_settings, checks.TAG)
