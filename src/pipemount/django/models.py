"""``Job``: what permissions and the admin know of jobs. It has no table; jobs are where ``PipelineApp`` keeps them."""

from __future__ import annotations

from typing import Any

from django.db import models

__all__ = ["Job"]


class Nothing(models.Manager["Job"]):
    """Finds nothing, and asks no database: ``dumpdata`` and others go through the rows of all models."""

    def get_queryset(self) -> Any:
        """No rows."""
        return super().get_queryset().none()


class Job(models.Model):
    """A job of what is mounted in the project, by its id.

    Its permissions are ``pipemount.view_job``, ``pipemount.cancel_job`` and ``pipemount.retry_job``; ``migrate`` makes
    them.
    """

    job_id: models.CharField[str, str] = models.CharField("job", max_length=64, primary_key=True)

    objects = Nothing()

    class Meta:
        """No table is made; ``makemigrations`` finds nothing to do."""

        managed = False
        default_permissions = ("view",)
        permissions = (("cancel_job", "Can cancel job"), ("retry_job", "Can retry job"))

    def __str__(self) -> str:
        return self.job_id
