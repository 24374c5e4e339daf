"""The app, and what it lets the desk's staff do."""

from __future__ import annotations

from typing import Any

from desk.apps import allow_agents
from django.apps import AppConfig
from django.db.models.signals import post_migrate

__all__ = ["Triage"]


class Triage(AppConfig):
    """Django's entry to this package."""

    name = "triage"

    def ready(self) -> None:
        """Let the staff run it as soon as its table is there."""
        post_migrate.connect(let_agents_run, sender=self)


def let_agents_run(sender: AppConfig, using: str, **options: Any) -> None:
    """Let the group "Agents" run the pipeline."""
    allow_agents(sender, using, "run_triage", "view_finding")
