"""The runner of apps whose jobs Django's tasks carry to their workers."""

from __future__ import annotations

from ..jobs.carried import CarriedRunner
from .carrier import DjangoTasksCarrier

__all__ = ["DjangoTasksRunner"]


class DjangoTasksRunner(CarriedRunner[DjangoTasksCarrier]):
    """Has jobs carried by Django's tasks."""

    engine = "Django's tasks carry the jobs of this app: start a worker of theirs, manage.py db_worker"
