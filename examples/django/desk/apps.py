"""The app, and the group that its staff belong to."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

__all__ = ["Desk"]


class Desk(AppConfig):
    """Django's entry to this package."""

    name = "desk"
    verbose_name = "Support desk"

    def ready(self) -> None:
        """Have the group of the staff made wherever the tables are."""
        post_migrate.connect(make_agents, sender=self)


def make_agents(sender: AppConfig, using: str, **options: Any) -> None:
    """Make the group "Agents", whose members work on tickets; groups that are there keep what they have."""
    from django.contrib.auth.management import create_permissions
    from django.contrib.auth.models import Group, Permission

    create_permissions(sender, using=using, verbosity=0)
    agents, made = Group.objects.using(using).get_or_create(name="Agents")
    if made:
        wanted = [
            "work_on_ticket",
            "view_ticket",
            "change_ticket",
            "view_queue",
            "view_savedreply",
            "change_savedreply",
        ]
        agents.permissions.set(Permission.objects.using(using).filter(codename__in=wanted))
