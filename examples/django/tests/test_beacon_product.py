"""What the desk did before it had a pipeline, and goes on doing: passes with and without ``BEACON_PIPELINES=off``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from io import StringIO
from typing import Any

import pytest
from desk.models import Queue, SavedReply, Ticket
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from django.urls import reverse
from live import HERE

pytestmark = pytest.mark.django_db


# --------------------------------------------------------------------------------------------- login


@pytest.mark.parametrize("path", ["/", "/tickets/new/", "/tickets/1/"])
def test_a_visitor_is_sent_to_the_login(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (302, f"/login/?next={path}")


def test_signing_in_and_out(client: Client, oscar: User) -> None:
    answer = client.post("/login/", {"username": "oscar", "password": "cowslip", "next": "/tickets/new/"})
    assert (answer.status_code, answer.headers["location"]) == (302, "/tickets/new/")
    assert "Sign out Oscar" in client.get("/").content.decode()
    assert client.post("/logout/").status_code == 302
    assert client.get("/").status_code == 302


@pytest.mark.parametrize(("name", "password"), [("oscar", "wrong"), ("nobody", "cowslip")])
def test_a_wrong_login_is_refused_without_saying_why(client: Client, oscar: User, name: str, password: str) -> None:
    page = client.post("/login/", {"username": name, "password": password}).content.decode()
    assert "That name and password do not go together." in page


def test_forms_need_their_token(oscar: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(oscar)
    assert client.post("/tickets/new/", {"subject": "A", "text": "B"}).status_code == 403
    assert not Ticket.objects.exists()


# ----------------------------------------------------------------------------------------- customers


def test_a_customer_writes_a_ticket(customer: Client, oscar: User) -> None:
    answer = customer.post("/tickets/new/", {"subject": "No <signal>", "text": "Since Monday.\n\nHelp!"}, follow=True)
    page, ticket = answer.content.decode(), Ticket.objects.get()
    assert (ticket.customer, ticket.status, ticket.priority, ticket.queue) == (oscar, "new", 2, None)
    assert "No &lt;signal&gt;" in page
    assert "<p>Help!</p>" in page
    assert "We have your ticket" in page


def test_a_ticket_without_a_text_is_shown_again(customer: Client) -> None:
    answer = customer.post("/tickets/new/", {"subject": "Nothing", "text": ""})
    assert answer.status_code == 422
    assert "This field is required." in answer.content.decode()
    assert not Ticket.objects.exists()


def test_a_customer_sees_their_own_tickets(customer: Client, ticket: Ticket, priya: User) -> None:
    other = Ticket.objects.create(customer=priya, subject="Hers", text="…")
    page = customer.get("/").content.decode()
    assert ticket.subject in page
    assert other.subject not in page
    assert customer.get(other.get_absolute_url()).status_code == 404
    assert customer.post(reverse("reply", args=[other.pk]), {"text": "Mine!"}).status_code == 404


def test_a_customer_sees_no_notes_and_no_priority(customer: Client, ticket: Ticket, marta: User) -> None:
    ticket.answer(marta, "He is in arrears.", internal=True)
    ticket.answer(marta, "We are looking into it.")
    page = customer.get(ticket.get_absolute_url()).content.decode()
    assert "We are looking into it." in page
    assert "arrears" not in page
    assert "Normal" not in page


def test_a_customer_may_not_sort(customer: Client, ticket: Ticket) -> None:
    assert customer.post(reverse("work", args=[ticket.pk]), {"status": "solved", "priority": 4}).status_code == 403
    ticket.refresh_from_db()
    assert ticket.priority == 2


# --------------------------------------------------------------------------------------------- staff


def test_replies_say_whose_turn_it_is(staff: Client, customer: Client, ticket: Ticket, marta: User) -> None:
    path = reverse("reply", args=[ticket.pk])
    staff.post(path, {"text": "Only for us.", "internal": "on"})
    ticket.refresh_from_db()
    assert (ticket.status, ticket.assignee) == ("new", None)
    staff.post(path, {"text": "Which payments?"})
    ticket.refresh_from_db()
    assert (ticket.status, ticket.assignee) == ("waiting", marta)
    customer.post(path, {"text": "Those of March.", "internal": "on"})  # customers have no such field
    ticket.refresh_from_db()
    assert (ticket.status, ticket.assignee) == ("open", marta)
    assert [reply.internal for reply in ticket.replies.all()] == [True, False, False]


def test_an_empty_reply_is_shown_again(staff: Client, ticket: Ticket) -> None:
    assert staff.post(reverse("reply", args=[ticket.pk]), {"text": " "}).status_code == 422
    assert staff.get(reverse("reply", args=[ticket.pk])).status_code == 405
    assert not ticket.replies.exists()


def test_the_staff_sort_a_ticket(staff: Client, ticket: Ticket, marta: User, billing: Queue) -> None:
    sorted_ = {"status": "open", "priority": 4, "queue": billing.pk, "assignee": marta.pk}
    page = staff.post(reverse("work", args=[ticket.pk]), sorted_, follow=True).content.decode()
    ticket.refresh_from_db()
    assert (ticket.status, ticket.priority, ticket.queue, ticket.assignee) == ("open", 4, billing, marta)
    assert "Saved." in page


def test_only_the_staff_can_be_given_a_ticket(staff: Client, ticket: Ticket, oscar: User) -> None:
    answer = staff.post(reverse("work", args=[ticket.pk]), {"status": "open", "priority": 4, "assignee": oscar.pk})
    assert answer.status_code == 422
    ticket.refresh_from_db()
    assert (ticket.priority, ticket.assignee) == (2, None)


@pytest.mark.parametrize(
    ("query", "subjects"),
    [
        ("", ["Urgent", "Late", "Charged twice"]),
        ("?show=mine", ["Late"]),
        ("?show=all&queue=billing", ["Late", "Done"]),
        ("?queue=none", ["Urgent", "Charged twice"]),
        ("?queue=nowhere", []),
    ],
)
def test_the_list_is_filtered_and_the_most_pressing_is_first(
    staff: Client, ticket: Ticket, oscar: User, marta: User, billing: Queue, query: str, subjects: list[str]
) -> None:
    ours: dict[str, Any] = {"customer": oscar, "text": "…", "queue": billing, "assignee": marta}
    Ticket.objects.create(subject="Done", status="solved", **ours)
    Ticket.objects.create(subject="Late", status="open", priority=3, **ours)
    Ticket.objects.create(subject="Urgent", text="…", customer=oscar, priority=4)
    page = staff.get(f"/{query}").content.decode()
    assert re.findall(r'<th scope="row"><a [^>]*>([^<]*)', page) == subjects


def test_the_group_of_the_staff_is_there_and_keeps_what_it_was_given() -> None:
    agents = Group.objects.get(name="Agents")
    assert agents.permissions.filter(codename="work_on_ticket").exists()
    agents.permissions.clear()
    call_command("migrate", verbosity=0)
    assert not agents.permissions.filter(codename="work_on_ticket").exists()


def test_the_admin_is_for_who_may_use_it(staff: Client, admin_client: Client, ticket: Ticket) -> None:
    assert staff.get("/admin/").status_code == 302
    for model in ("ticket", "queue", "savedreply"):
        assert admin_client.get(f"/admin/desk/{model}/").status_code == 200


# -------------------------------------------------------------------------------------- all the rest


def test_the_models_say_what_they_are(ticket: Ticket, marta: User, billing: Queue) -> None:
    reply = ticket.answer(marta, "Yes.")
    saved = SavedReply.objects.create(title="Twice", queue=billing, language="en", text="…")
    assert [str(thing) for thing in (ticket, reply, saved, billing)] == [
        f"#{ticket.pk} Charged twice",
        f"marta on #{ticket.pk} Charged twice",
        "Twice",
        "Billing",
    ]


def test_without_the_pipeline_nothing_of_it_is_imported() -> None:
    program = (
        "import sys, django; django.setup(); import beacon.urls; print({'triage', 'pipemount'} & sys.modules.keys())"
    )
    environment = os.environ | {"BEACON_PIPELINES": "off", "DJANGO_SETTINGS_MODULE": "beacon.settings.testing"}
    options: dict[str, Any] = {"cwd": HERE, "env": environment, "capture_output": True, "text": True, "check": True}
    assert subprocess.run([sys.executable, "-c", program], **options).stdout == "set()\n"


def test_no_migration_is_missing() -> None:
    call_command("makemigrations", "--check", "--dry-run", stdout=StringIO())


@override_settings(DEBUG=True)
def test_seed_fills_an_empty_desk_and_no_other(client: Client) -> None:
    first, second = StringIO(), StringIO()
    call_command("seed", stdout=first)
    assert "7 of them new" in first.getvalue()
    assert Ticket.objects.waiting().count() == 7
    assert all(ticket.replies.exists() for ticket in Ticket.objects.filter(status="solved"))
    assert client.login(username="jonas", password="lighthouse")
    call_command("seed", stdout=second)
    assert "nothing was written" in second.getvalue()


def test_seed_gives_nobody_a_known_password_in_production() -> None:
    with pytest.raises(CommandError, match="BEACON_PASSWORD"):
        call_command("seed")
    assert not User.objects.exists()


def test_style_sheets_are_served_and_nothing_beside(client: Client) -> None:
    answer = client.get("/static/desk/beacon.css")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css")
    assert client.get("/static/desk/beacon.css", headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    for name in ("desk/none.css", "desk", "../manage.py", "desk/../../models.py"):
        assert client.get(f"/static/{name}").status_code in {400, 404}


def test_pages_load_nothing_from_elsewhere(staff: Client, ticket: Ticket) -> None:
    for path in ("/", "/tickets/new/", ticket.get_absolute_url()):
        page = staff.get(path).content.decode()
        assert set(re.findall(r'(?:src|href)="(\w+:)?//', page)) == set()
        assert page.count("<h1") == 1
