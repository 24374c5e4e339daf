"""The app, and what it lets the desk's staff do."""

from __future__ import annotations

from typing import Any

from desk.apps import allow_agents
from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

__all__ = ["Triage"]


class Triage(AppConfig):
    """Django's entry to this package."""

    name = "triage"

    def ready(self) -> None:
        """Let the staff run it as soon as its table is there, and see its jobs."""
        post_migrate.connect(let_agents_run, sender=self)
        post_migrate.connect(let_agents_see_jobs, sender=apps.get_app_config("pipemount"))


def let_agents_run(sender: AppConfig, using: str, **options: Any) -> None:
    """Let the group "Agents" run the pipeline."""
    allow_agents(sender, using, "run_triage", "view_finding")


def let_agents_see_jobs(sender: AppConfig, using: str, **options: Any) -> None:
    """Let them see in the admin what has become of everybody's triages."""
    allow_agents(sender, using, "view_job")
