"""Jobs carried by Django's tasks: a project in a web process, and ``manage.py db_worker``."""

from __future__ import annotations

import pytest
from tests.support.carried_jobs import Flushed, Killed, Performed

pytestmark = pytest.mark.server

pytest.importorskip("django_tasks_db", reason="not installed: django-tasks-db")


@pytest.mark.full
class TestFlushed(Flushed):
    """In the project's own database."""


class TestPerformed(Performed):
    """What comes to the worker of this module."""


@pytest.mark.full
class TestKilled(Killed):
    """The last tests: the worker of the others is killed."""
