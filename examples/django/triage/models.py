"""What the pipeline found out about a ticket; a table of its own, so that the desk's tables stay as they were."""

from __future__ import annotations

from desk.models import Language, Queue, Ticket
from django.db import models

__all__ = ["Finding"]


class Finding(models.Model):
    """The latest run for a ticket."""

    ticket = models.OneToOneField(Ticket, models.CASCADE, related_name="finding")
    language = models.CharField(max_length=2, choices=Language, blank=True)
    queue = models.ForeignKey(Queue, models.SET_NULL, null=True, related_name="+")
    confidence = models.FloatField()
    urgent = models.BooleanField()
    reasons = models.JSONField(default=list)
    suggestion = models.TextField(blank=True)
    note = models.TextField(blank=True)
    asked_by = models.CharField(max_length=150)
    run_id = models.UUIDField()
    found_at = models.DateTimeField(auto_now=True)

    class Meta:
        """Options."""

        permissions = (("run_triage", "Can run the triage pipeline"),)

    def __str__(self) -> str:
        return f"Triage of {self.ticket}"
