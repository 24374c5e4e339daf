"""``manage.py triage``: sort all new tickets, for a timer."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pipemount import acting_as

from ...sorting import sort_new_tickets

__all__ = ["Command"]


class Command(BaseCommand):
    """Sort all new tickets."""

    help = "Run the triage pipeline for every new ticket."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How many at most."""
        parser.add_argument("--limit", type=int, default=1000)

    def handle(self, *args: Any, limit: int, **options: Any) -> None:
        """Sort, and end with a status other than 0 if a ticket could not be sorted."""
        with acting_as("timer"):
            done = sort_new_tickets(limit)
        self.stdout.write(f"{done.sorted} sorted, {done.urgent} of them urgent.")
        if done.failed:
            raise CommandError(f"{done.failed} could not be sorted; the log says why.")
