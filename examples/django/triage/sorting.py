"""Tickets are sorted from the product's own code: no HTTP in between."""

from __future__ import annotations

import logging
from typing import NamedTuple

from desk.models import Ticket
from django.db import transaction

from pipemount import PipemountError

from .pipelines import pipelines

__all__ = ["Sorted", "sort_new_tickets", "sort_ticket"]

logger = logging.getLogger("triage")


class Sorted(NamedTuple):
    """How many tickets were sorted, how many of them are urgent, and how many could not be sorted."""

    sorted: int
    urgent: int
    failed: int


def sort_new_tickets(limit: int = 50) -> Sorted:
    """Triage what is new and was not triaged before, the oldest first; a ticket that fails is told in the log.

    Each ticket has its own transaction: its row is locked first, so that nobody sorts it at the same time, and a run
    that fails leaves nothing behind. The steps see all that, because they run in this very thread.
    """
    urgent = []
    numbers = Ticket.objects.filter(status=Ticket.Status.NEW, finding=None).order_by("created_at")
    chosen = list(numbers.values_list("pk", flat=True)[:limit])
    for number in chosen:
        try:
            urgent.append(sort_ticket(number))
        except PipemountError as error:
            logger.warning("ticket %d was not sorted: %s", number, error)
    return Sorted(len(urgent), sum(urgent), len(chosen) - len(urgent))


def sort_ticket(number: int) -> bool:
    """Triage one ticket that there is, whole or not at all; whether it is urgent. Raises ``PipemountError``."""
    with transaction.atomic():
        Ticket.objects.select_for_update().get(pk=number)
        result = pipelines.run_sync("triage", ticket=number)
    return bool(result.outputs["reasons"])
