"""The pipeline in the desk: its rules, its API behind Django's login, and the product's own code that calls it."""

from __future__ import annotations

import doctest
import json
import threading
import tomllib
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from desk.models import Queue, SavedReply, Ticket
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from triage import assistant, language, topics, urgency
from triage import pipelines as module
from triage.language import guess_language
from triage.models import Finding
from triage.pipelines import learn, pipelines
from triage.topics import Classifier
from triage.urgency import reasons_to_hurry

from pipemount import PipelineError, acting_as
from pipemount.errors import ConfigurationError

SAMPLES = tomllib.loads((Path(__file__).parents[1] / "desk" / "samples.toml").read_text(encoding="utf-8"))
TAUGHT = Classifier.learn((each["queue"], f"{each['subject']}\n{each['text']}") for each in SAMPLES["solved"])


@pytest.fixture(autouse=True)
def taught() -> Iterator[None]:
    """What the pipeline has learnt: the samples. (Its own ``on_init`` sees no test's open transaction.)"""
    with pipelines.override(state=TAUGHT):
        yield


@pytest.fixture
def urgent(oscar: User) -> Ticket:
    text = "Our surgery has had no internet and no telephone since seven, the router blinks. This is an emergency!"
    return Ticket.objects.create(customer=oscar, subject="Please hurry", text=text)


def ask(client: Client, ticket: int, **headers: str) -> Any:
    body = {"parameters": {"ticket": ticket}}
    return client.post("/ai/invoke", body, content_type="application/json", headers=headers)


# --------------------------------------------------------------------------------------------- rules


@pytest.mark.parametrize("sample", SAMPLES["solved"] + SAMPLES["waiting"], ids=lambda sample: sample["subject"])
def test_languages_are_told_apart(sample: dict[str, str]) -> None:
    german, french = ("henrik", "greta"), ("amelie",)
    spoken = "de" if sample["customer"] in german else "fr" if sample["customer"] in french else "en"
    assert guess_language(f"{sample['subject']}\n{sample['text']}") == spoken


def test_what_says_too_little_has_no_language_and_no_topic() -> None:
    assert guess_language("Router?!") is None
    assert TAUGHT.classify("Xyzzy plugh") == (None, 0.0)


def test_a_desk_that_has_solved_nothing_knows_nothing() -> None:
    assert Classifier.learn([]).classify("The invoice was paid twice from my bank account") == (None, 0.0)


def test_most_tickets_find_the_queue_that_people_chose() -> None:
    """Each sample is asked about after learning from the others; the README tells these figures."""
    samples = SAMPLES["solved"]
    right = wrong = 0
    for asked in samples:
        others = [(each["queue"], f"{each['subject']}\n{each['text']}") for each in samples if each is not asked]
        queue, confidence = Classifier.learn(others).classify(f"{asked['subject']}\n{asked['text']}")
        if confidence >= module.SURE:
            right, wrong = right + (queue == asked["queue"]), wrong + (queue != asked["queue"])
    assert (right, wrong, len(samples)) == (22, 3, 34)


@pytest.mark.parametrize("rules", [assistant, language, topics, urgency])
def test_the_examples_of_the_rules(rules: ModuleType) -> None:
    assert doctest.testmod(rules).failed == 0
    assert doctest.testmod(rules).attempted > 0


@pytest.mark.parametrize(
    ("text", "waiting", "reasons"),
    [
        ("It is an EMERGENCY.", 0, 1),
        ("Ich kündige, und nichts geht mehr!", 0, 2),
        ("Toute la rue, tout de suite.", 0, 1),
        ("The courtyard is dark.", 2, 0),
        ("Hello?", 3, 1),
    ],
)
def test_urgency_has_its_reasons(text: str, waiting: int, reasons: int) -> None:
    assert len(reasons_to_hurry(text, waiting=waiting)) == reasons


@pytest.mark.django_db
def test_it_learns_from_tickets_that_the_staff_have_answered(oscar: User, marta: User, billing: Queue) -> None:
    def solved(text: str, *authors: User, **fields: Any) -> None:
        fields = {"status": "solved", "queue": billing, "customer": oscar} | fields
        ticket = Ticket.objects.create(subject="Payment", text=text, **fields)
        for author in authors:
            ticket.replies.create(author=author, text="…")

    solved("an invoice", oscar, marta)
    solved("never answered")
    solved("answered by the customer alone", oscar)
    solved("not sorted", marta, queue=None)
    solved("not solved yet", marta, status="open")
    assert learn() == Classifier({"billing": 1}, {"billing": {"paymen": 1, "invoic": 1}})


# ---------------------------------------------------------------------------------- the staff's button


@pytest.mark.django_db
def test_an_urgent_ticket_is_put_before_the_others(staff: Client, urgent: Ticket) -> None:
    connection = Queue.objects.create(name="Connection", slug="connection")
    answer = ask(staff, urgent.pk)
    assert answer.status_code == 200, answer.content
    outputs = answer.json()["outputs"]
    assert (outputs["priority"], outputs["queue"], outputs["language"]) == ("Urgent", "connection", "en")
    assert outputs["suggestion"] == module.AT_ONCE["en"]
    urgent.refresh_from_db()
    assert (urgent.priority, urgent.queue, urgent.status) == (Ticket.Priority.URGENT, connection, "new")
    assert (urgent.finding.urgent, urgent.finding.asked_by) == (True, "marta")
    assert str(urgent.finding.run_id) == answer.headers["x-run-id"]
    assert str(urgent.finding) == f"Triage of {urgent}"


@pytest.mark.django_db
def test_another_gets_a_queue_and_a_saved_reply(staff: Client, billing: Queue, oscar: User) -> None:
    for spoken, title in [("en", "Change how you pay"), ("en", "Charged twice"), ("de", "Doppelt abgebucht")]:
        SavedReply.objects.create(queue=billing, language=spoken, title=title, text=f"{title}: …")
    text = "I was charged twice for the invoice of March. Please refund the second payment to my bank account."
    ticket = Ticket.objects.create(customer=oscar, subject="Two payments", text=text)
    outputs = ask(staff, ticket.pk).json()["outputs"]
    assert outputs == {
        "priority": "Normal",
        "queue": "billing",
        "language": "en",
        "reasons": [],
        "suggestion": "Charged twice: …",
    }
    page = staff.get(ticket.get_absolute_url()).content.decode()
    assert "Charged twice: …" in page
    assert "Triage again" in page


@pytest.mark.django_db
def test_what_the_staff_have_decided_stays(staff: Client, urgent: Ticket, billing: Queue) -> None:
    Queue.objects.create(name="Connection", slug="connection")
    urgent.queue = billing
    urgent.save()
    assert ask(staff, urgent.pk).json()["outputs"]["queue"] == "connection"
    urgent.refresh_from_db()
    assert urgent.queue == billing


@pytest.mark.django_db
def test_a_ticket_that_says_nothing_is_left_to_people(staff: Client, oscar: User) -> None:
    ticket = Ticket.objects.create(customer=oscar, subject="Xyzzy", text="Plugh.")
    outputs = ask(staff, ticket.pk).json()["outputs"]
    assert outputs == {"priority": "Normal", "queue": None, "language": None, "reasons": [], "suggestion": ""}
    assert "Not sure enough to say" in staff.get(ticket.get_absolute_url()).content.decode()


@pytest.mark.django_db
def test_the_history_of_the_customer_counts(staff: Client, ticket: Ticket, oscar: User, priya: User) -> None:
    for customer, status in [(oscar, "new"), (oscar, "open"), (oscar, "solved"), (priya, "new")]:
        Ticket.objects.create(customer=customer, subject="Another", text="…", status=status)
    assert ask(staff, ticket.pk).json()["outputs"]["reasons"] == []
    Ticket.objects.create(customer=oscar, subject="The third", text="…")
    assert ask(staff, ticket.pk).json()["outputs"]["reasons"] == ["the customer waits for 3 other answers"]


@pytest.mark.django_db
def test_a_ticket_that_is_not_there_is_a_problem(staff: Client) -> None:
    answer = ask(staff, 4711)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["error"] == "there is no ticket 4711"


# ------------------------------------------------------------------------------------------ who may


@pytest.mark.django_db
def test_only_the_staff_may_run_it(client: Client, customer: Client, staff: Client, ticket: Ticket) -> None:
    assert ask(client, ticket.pk).status_code == 401
    assert ask(customer, ticket.pk).status_code == 403
    assert customer.post("/triage/").status_code == 403
    assert client.post("/triage/").status_code == 302
    assert not Finding.objects.exists()
    Group.objects.get(name="Agents").permissions.remove(*permission("run_triage"))
    assert ask(staff, ticket.pk).status_code == 403
    assert "data-triage" not in staff.get(ticket.get_absolute_url()).content.decode()
    assert "Triage new tickets" not in staff.get("/").content.decode()


def permission(codename: str) -> Any:
    from django.contrib.auth.models import Permission

    return Permission.objects.filter(codename=codename)


@pytest.mark.django_db
def test_a_key_is_enough_for_another_program(client: Client, ticket: Ticket, testing_key: str) -> None:
    assert ask(client, ticket.pk, authorization="Bearer wrong").status_code == 401
    assert ask(client, ticket.pk, authorization=f"Bearer {testing_key}").status_code == 200
    assert Finding.objects.get().asked_by == "tests"


@pytest.mark.django_db
def test_a_page_from_elsewhere_cannot_press_the_button(marta: User, ticket: Ticket) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(marta)
    assert ask(client, ticket.pk, origin="https://elsewhere.example").status_code == 403
    assert ask(client, ticket.pk).status_code == 403
    assert not Finding.objects.exists()
    client.get(ticket.get_absolute_url())
    token = client.cookies["csrftoken"].value
    assert ask(client, ticket.pk, **{"x-csrftoken": token}).status_code == 200


@pytest.mark.django_db
def test_the_page_tells_where_the_button_leads(staff: Client, customer: Client, ticket: Ticket) -> None:
    assert reverse("pipemount:invoke") == "/ai/invoke"
    assert reverse("triage_one", args=[ticket.pk]) in staff.get(ticket.get_absolute_url()).content.decode()
    page = staff.get(ticket.get_absolute_url()).content.decode()
    assert f'data-submit="/ai/submit" data-jobs="/ai/jobs" data-ticket="{ticket.pk}"' in page
    assert "Triage" not in customer.get(ticket.get_absolute_url()).content.decode()


def test_no_key_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEACON_KEYS")
    assert module.keys() is None
    monkeypatch.setenv("BEACON_KEYS", "another-program:a key of its own")
    made = module.keys()
    assert made is not None
    assert "basic" not in made.accept
    monkeypatch.setenv("BEACON_KEYS", "")
    with pytest.raises(ConfigurationError):
        module.keys()


# ------------------------------------------------------------------------------------ as it is made


def begin(client: Client, ticket: int, **headers: str) -> Any:
    body = {"parameters": {"ticket": ticket}}
    return client.post("/ai/submit", body, content_type="application/json", headers=headers)


def events(client: Client, job: Any, **headers: str) -> list[dict[str, Any]]:
    """What the stream tells, to its end."""
    answer: Any = client.get(job["stream_url"], headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = b"".join(answer.streaming_content).decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assistant, "PACE", 0.0)


@pytest.mark.django_db(transaction=True)  # a job outlives its request: its steps see what is committed
def test_the_note_is_told_word_by_word_and_again_from_where_somebody_was(
    staff: Client, urgent: Ticket, quick: None
) -> None:
    job = begin(staff, urgent.pk).json()
    told = events(staff, job)
    assert [event["sequence"] for event in told] == list(range(1, len(told) + 1))
    words = [event["data"]["value"] for event in told if event["kind"] == "delta"]
    assert len(words) > 30
    urgent.refresh_from_db()
    assert urgent.finding.note == "".join(words)
    assert (str(urgent.finding.run_id), urgent.finding.asked_by) == (job["job_id"], "marta")
    assert events(staff, job, **{"last-event-id": "20"}) == told[20:]
    assert told[-1]["data"]["outputs"]["priority"] == "Urgent"


@pytest.mark.django_db(transaction=True)
def test_a_triage_is_there_for_whoever_began_it(
    client: Client, staff: Client, colleague: Client, customer: Client, ticket: Ticket, testing_key: str, quick: None
) -> None:
    assert begin(client, ticket.pk).status_code == 401
    assert begin(customer, ticket.pk).status_code == 403
    job = begin(staff, ticket.pk).json()
    unknown = job["poll_url"][:-12] + "0" * 12
    for path in (job["poll_url"], job["stream_url"]):
        assert client.get(path).status_code == 401
        assert customer.get(path).status_code == 403
        assert colleague.get(path).status_code == 404
        assert client.get(path, headers={"authorization": f"Bearer {testing_key}"}).status_code == 404
    assert colleague.get(job["poll_url"]).json()["detail"] == colleague.get(unknown).json()["detail"]
    assert colleague.post(job["poll_url"] + "/cancel").status_code == 404
    assert events(staff, job)[-1]["kind"] == "run_completed"


@pytest.mark.django_db(transaction=True)
def test_the_staff_have_a_list_of_their_triages(
    staff: Client, colleague: Client, customer: Client, client: Client, ticket: Ticket, quick: None
) -> None:
    job = begin(staff, ticket.pk).json()
    assert events(staff, job)[-1]["kind"] == "run_completed"
    failed = begin(staff, 4711).json()
    assert events(staff, failed)[-1]["kind"] == "run_failed"
    page = staff.get("/triages/").content.decode()
    assert f'<a href="{ticket.get_absolute_url()}">Charged twice</a>' in page
    assert "there is no ticket 4711" in page
    assert "Charged twice" not in colleague.get("/triages/").content.decode()
    assert customer.get("/triages/").status_code == 403
    assert client.get("/triages/").status_code == 302

    retry, cancel = (reverse(f"triage_{verb}", args=[failed["job_id"]]) for verb in ("retry", "cancel"))
    assert colleague.post(retry).status_code == colleague.post(cancel).status_code == 404
    assert customer.post(retry).status_code == 403
    assert "Begun anew." in staff.post(retry, follow=True).content.decode()
    assert "the job has failed and cannot be cancelled" in staff.post(cancel, follow=True).content.decode()


@pytest.mark.django_db(transaction=True)
def test_all_staff_see_in_the_admin_what_has_become_of_jobs(
    staff: Client, colleague: Client, ticket: Ticket, quick: None
) -> None:
    User.objects.filter(username="jonas").update(is_staff=True)
    job = begin(staff, ticket.pk).json()
    events(staff, job)
    page = colleague.get(f"/admin/pipemount/job/{job['job_id']}/change/")
    assert page.status_code == 200
    assert "succeeded" in page.content.decode()
    assert 'name="action"' not in page.content.decode()
    assert colleague.post("/admin/pipemount/job/", {"action": "cancel"}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_asked_for_again_with_its_key_it_is_the_same(staff: Client, ticket: Ticket, quick: None) -> None:
    first, again = (begin(staff, ticket.pk, **{"idempotency-key": "0199-of-this-page"}) for _ in range(2))
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert events(staff, again.json())[-1]["kind"] == "run_completed"
    assert begin(staff, ticket.pk, **{"idempotency-key": "0199-of-another"}).json() != first.json()


@pytest.mark.django_db(transaction=True)
def test_a_page_from_elsewhere_can_neither_begin_nor_stop_one(marta: User, ticket: Ticket, quick: None) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(marta)
    assert begin(client, ticket.pk).json()["code"] == "csrf-failed"
    assert client.post(reverse("triage_one", args=[ticket.pk])).status_code == 403
    client.get(ticket.get_absolute_url())
    token = client.cookies["csrftoken"].value
    job = begin(client, ticket.pk, **{"x-csrftoken": token}).json()
    assert client.post(job["poll_url"] + "/cancel").json()["code"] == "csrf-failed"
    assert events(client, job)[-1]["kind"] == "run_completed"


@pytest.mark.django_db
def test_the_button_of_a_page_without_scripts(staff: Client, customer: Client, ticket: Ticket) -> None:
    path = reverse("triage_one", args=[ticket.pk])
    assert customer.post(path).status_code == 403
    assert staff.post(reverse("triage_one", args=[4711])).status_code == 404
    page = staff.post(path, follow=True).content.decode()
    assert "The customer writes" in page
    assert Finding.objects.get().asked_by == "marta"
    with pipelines.override(judge=lambda case: 1 / 0):
        assert "It was not sorted: " in staff.post(path, follow=True).content.decode()


# ------------------------------------------------------------------------------- the product's own code


@pytest.mark.django_db
def test_all_new_tickets_are_sorted_by_one_view(staff: Client, urgent: Ticket, ticket: Ticket, oscar: User) -> None:
    answered = Ticket.objects.create(customer=oscar, subject="Answered", text="…", status="waiting")
    page = staff.post("/triage/", follow=True).content.decode()
    assert "2 tickets sorted, 1 urgent." in page
    assert {finding.asked_by for finding in Finding.objects.all()} == {"marta"}
    assert not Finding.objects.filter(ticket=answered).exists()
    assert "0 tickets sorted" in staff.post("/triage/", follow=True).content.decode()


@pytest.mark.django_db
def test_a_command_sorts_them_as_well(urgent: Ticket, ticket: Ticket) -> None:
    said = StringIO()
    call_command("triage", "--limit", "1", stdout=said)
    call_command("triage", stdout=said)
    assert said.getvalue() == "1 sorted, 1 of them urgent.\n1 sorted, 0 of them urgent.\n"
    assert {finding.asked_by for finding in Finding.objects.all()} == {"timer"}


@pytest.mark.django_db
def test_a_ticket_that_fails_leaves_nothing_and_stops_nobody(
    staff: Client, urgent: Ticket, ticket: Ticket, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(case: module.Case) -> list[str]:
        if "hurry" in case.text:
            raise PipelineError("the rule is broken")
        return []

    with pipelines.override(judge=refuse):
        page = staff.post("/triage/", follow=True).content.decode()
        with pytest.raises(CommandError, match="1 could not be sorted"):
            call_command("triage", stdout=StringIO())
    assert "1 ticket sorted, 0 urgent." in page
    assert "1 could not be sorted" in page
    assert [finding.ticket for finding in Finding.objects.all()] == [ticket]
    assert f"ticket {urgent.pk} was not sorted: the rule is broken" in caplog.text


@pytest.mark.django_db
def test_steps_that_use_the_orm_run_in_the_thread_that_asks(ticket: Ticket) -> None:
    """So they see what it has written and not yet committed, as this very test has."""
    threads: dict[str, int] = {}

    def noted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            threads[name] = threading.get_ident()
            return function(*args, **kwargs)

        return run

    waiting = noted("read", Ticket.objects.waiting)
    with pytest.MonkeyPatch.context() as patch, acting_as("somebody"):
        patch.setattr(Ticket.objects, "waiting", waiting)
        patch.setattr(module, "reasons_to_hurry", noted("judge", reasons_to_hurry))
        result = pipelines.run_sync("triage", ticket=ticket.pk)
    assert result.outputs["priority"] == "Normal"
    assert threads["read"] == threading.get_ident()
    assert threads["judge"] != threading.get_ident()
    assert Finding.objects.get(ticket=ticket).asked_by == "somebody"
