"""The app, and the group that its staff belong to."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

__all__ = ["Desk", "allow_agents"]

WANTED = ("work_on_ticket", "view_ticket", "change_ticket", "view_queue", "view_savedreply", "change_savedreply")


class Desk(AppConfig):
    """Django's entry to this package."""

    name = "desk"
    verbose_name = "Support desk"

    def ready(self) -> None:
        """Have the group of the staff made wherever the tables are."""
        post_migrate.connect(make_agents, sender=self)


def make_agents(sender: AppConfig, using: str, **options: Any) -> None:
    """Let the group "Agents" work on tickets."""
    allow_agents(sender, using, *WANTED)


def allow_agents(app: AppConfig, using: str, *codenames: str) -> None:
    """Give the group "Agents" permissions of ``app`` when they first exist; what is taken away later stays away."""
    from django.contrib.auth.management import create_permissions
    from django.contrib.auth.models import Group, Permission

    known = Permission.objects.using(using).filter(content_type__app_label=app.label, codename__in=codenames)
    if known.exists():
        return
    create_permissions(app, using=using, verbosity=0)
    agents, _ = Group.objects.using(using).get_or_create(name="Agents")
    agents.permissions.add(*known.all())
