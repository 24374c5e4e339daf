from __future__ import annotations

from django.db import models


class Note(models.Model):
    """What people wrote; ``run_notes`` is the permission to have pipelines look at it."""

    text: models.TextField[str, str] = models.TextField()

    class Meta:
        permissions = (("run_notes", "Can run pipelines on notes"),)
