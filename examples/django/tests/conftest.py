"""People, queues and a ticket; clients that are signed in as one of the staff and as a customer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk.models import Queue, Ticket
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.test import Client
from live import prepare

# The desk's own tests pass without the pipeline: BEACON_PIPELINES=off leaves out those that are about it.
collect_ignore = (
    [] if apps.is_installed("triage") else ["test_beacon_triage.py", "test_beacon_live.py", "test_beacon_browser.py"]
)


@pytest.fixture(scope="session", autouse=True)
def pipelines_stop() -> Iterator[None]:
    """With the session, and not with the process, when nobody listens to what they log any more."""
    yield
    if apps.is_installed("triage"):
        from triage.pipelines import pipelines

        pipelines.lifecycle.close()


def make_user(name: str, *groups: str, **fields: str) -> User:
    user = User.objects.create_user(name, password="cowslip", first_name=name.title(), **fields)
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


@pytest.fixture
def testing_key() -> str:
    """The key of other programs, see ``beacon.settings.testing``."""
    return os.environ["BEACON_KEYS"].partition(":")[2]


@pytest.fixture
def marta(db: None) -> User:
    """One of the staff."""
    return make_user("marta", "Agents")


@pytest.fixture
def oscar(db: None) -> User:
    """A customer."""
    return make_user("oscar", last_name="Whitby")


@pytest.fixture
def priya(db: None) -> User:
    """Another customer."""
    return make_user("priya")


@pytest.fixture
def billing(db: None) -> Queue:
    return Queue.objects.create(name="Billing", slug="billing")


@pytest.fixture
def ticket(oscar: User) -> Ticket:
    """What Oscar has asked."""
    return Ticket.objects.create(customer=oscar, subject="Charged twice", text="The bank shows two payments.")


@pytest.fixture
def staff(marta: User) -> Client:
    """Marta's browser."""
    return signed_in(marta)


@pytest.fixture
def colleague(db: None) -> Client:
    """Jonas's browser; he is one of the staff, too."""
    return signed_in(make_user("jonas", "Agents"))


@pytest.fixture
def customer(oscar: User) -> Client:
    """Oscar's browser."""
    return signed_in(oscar)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the samples in it, for servers to have copies of."""
    database = tmp_path_factory.mktemp("samples") / "beacon.sqlite3"
    prepare({"DJANGO_SETTINGS_MODULE": "beacon.settings.development", "BEACON_DATABASE": str(database)})
    return database


@pytest.fixture(scope="session")
def live_environment(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], dict[str, str]]:
    """What a server is told: development, and a copy of the samples; ``BEACON_KEYS`` is that of all tests."""

    def make() -> dict[str, str]:
        database = shutil.copy(samples, tmp_path_factory.mktemp("live"))
        return {"DJANGO_SETTINGS_MODULE": "beacon.settings.development", "BEACON_DATABASE": str(database)}

    return make
