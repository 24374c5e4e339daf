"""``manage.py seed``: a desk with people, queues, saved replies, solved tickets and tickets that wait."""

from __future__ import annotations

import os
import tomllib
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from ...models import Queue, Reply, SavedReply, Ticket

__all__ = ["Command"]

SAMPLES = Path(__file__).parents[2] / "samples.toml"
PASSWORD = "lighthouse"


class Command(BaseCommand):
    """Fill an empty desk with samples."""

    help = "Fill an empty desk with people, queues, saved replies and tickets, to try it out with."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The password of everybody who is made."""
        parser.add_argument("--password", default=os.environ.get("BEACON_PASSWORD"))

    @transaction.atomic
    def handle(self, *args: Any, password: str | None, **options: Any) -> None:
        """Write the samples; a desk that has tickets is left as it is."""
        if password is None and not settings.DEBUG:
            raise CommandError("set BEACON_PASSWORD: outside development nobody gets a password that is in the manual")
        if Ticket.objects.exists():
            self.stdout.write("The desk has tickets; nothing was written.")
            return
        samples = tomllib.loads(SAMPLES.read_text(encoding="utf-8"))
        people = make_people(samples, password or PASSWORD)
        queues = {slug: Queue.objects.create(slug=slug, name=name) for slug, name in samples["queues"].items()}
        for saved in samples["saved"]:
            SavedReply.objects.create(**saved | {"queue": queues[saved["queue"]]})
        make_tickets(samples, people, queues)
        self.stdout.write(
            f"{Ticket.objects.count()} tickets, {len(samples['waiting'])} of them new. "
            f"Staff: {', '.join(agent['username'] for agent in samples['agent'])}. "
            f"Customers: {', '.join(customer['username'] for customer in samples['customer'])}."
        )


def make_people(samples: dict[str, Any], password: str) -> dict[str, Any]:
    """The users by name; the first of the staff may use the admin."""
    users, agents = get_user_model().objects, Group.objects.get(name="Agents")
    people, hashed = {}, make_password(password)  # once: it takes its time by design
    for number, person in enumerate(samples["agent"] + samples["customer"]):
        first, _, last = person["name"].partition(" ")
        make = users.create_superuser if number == 0 else users.create_user
        user = make(person["username"], first_name=first, last_name=last)
        user.password = hashed
        user.save()
        if person in samples["agent"]:
            user.groups.add(agents)
        people[user.username] = user
    return people


def make_tickets(samples: dict[str, Any], people: dict[str, Any], queues: dict[str, Queue]) -> None:
    """Solved tickets of the last months, the staff taking turns; and those that came in the last hours."""
    now, agents = timezone.now(), [people[agent["username"]] for agent in samples["agent"]]
    for number, sample in enumerate(samples["solved"]):
        agent = agents[number % len(agents)]
        ticket = Ticket.objects.create(
            customer=people[sample["customer"]],
            subject=sample["subject"],
            text=sample["text"],
            queue=queues[sample["queue"]],
            status=Ticket.Status.SOLVED,
            assignee=agent,
        )
        reply = Reply.objects.create(ticket=ticket, author=agent, text=sample["answer"])
        came = now - timedelta(days=14 + 3 * number)
        date(ticket, came, reply, came + timedelta(hours=3))
    for number, sample in enumerate(samples["waiting"]):
        fields = {"subject": sample["subject"], "text": sample["text"]}
        date(Ticket.objects.create(customer=people[sample["customer"]], **fields), now - timedelta(hours=1 + number))


def date(ticket: Ticket, came: Any, reply: Reply | None = None, answered: Any = None) -> None:
    """Write down when it was, past what Django fills in by itself."""
    Ticket.objects.filter(pk=ticket.pk).update(created_at=came, changed_at=answered or came)
    if reply is not None:
        Reply.objects.filter(pk=reply.pk).update(created_at=answered)
