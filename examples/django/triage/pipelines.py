"""The triage pipeline: reads a ticket through the ORM, finds out what it is about, and writes that down.

Steps that use the ORM have ``affinity="request"``: they run in the thread that handles the request, on its connection,
and so within its transaction. The others need no database, and run in the app's own threads.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from desk.models import Queue, Reply, SavedReply, Ticket
from django.conf import settings
from django.db import models, transaction
from pydantic import BaseModel

from pipemount import AuthKeys, Local, PipelineApp, PipelineError, Settings, StepContext, pipeline, step

from . import assistant
from .language import Language, guess_language
from .models import Finding
from .topics import Classifier, telling_words
from .urgency import reasons_to_hurry

__all__ = ["pipelines", "triage"]

logger = logging.getLogger("triage")

SURE = 0.6
"""How likely a queue must be for a ticket to be put into it."""

AT_ONCE = {
    "en": "We have put your message before all others. One of us is looking into it now and will write here.",
    "de": "Wir haben Ihre Nachricht allen anderen vorgezogen. Wir kümmern uns jetzt darum und melden uns hier.",
    "fr": "Nous avons placé votre message avant tous les autres. Nous nous en occupons et répondrons ici.",
}


class Case(BaseModel):
    """What is known about a ticket before it is sorted."""

    text: str
    waiting: int


class Topic(BaseModel):
    """The queue that a ticket belongs to, if one is likely enough."""

    queue: str | None
    confidence: float


Reasons = Annotated[list[str], "reasons"]

# -------------------------------------------------------------------------------------------- state


def learn() -> Classifier:
    """Learn from every ticket that was solved and sorted, and that one of the staff has answered."""
    by_staff = Reply.objects.filter(ticket=models.OuterRef("pk")).exclude(author=models.OuterRef("customer"))
    solved = Ticket.objects.filter(models.Exists(by_staff), status=Ticket.Status.SOLVED, queue__isnull=False)
    examples = solved.values_list("queue__slug", "subject", "text")
    classifier = Classifier.learn((queue, f"{subject}\n{text}") for queue, subject, text in examples)
    logger.info("on_init: triage has learnt from %d solved tickets", sum(classifier.tickets.values()))
    return classifier


def forget(classifier: Classifier) -> None:
    """Say goodbye; what holds a file or a connection would let go of it here."""
    logger.info("on_cleanup: what was learnt about %d queues is released", len(classifier.tickets))


# -------------------------------------------------------------------------------------------- steps


@step(affinity="request")
def read(ticket: int, context: StepContext) -> Case:
    """The ticket, and how many others of its customer wait for an answer."""
    logger.info("triage %s: ticket %d is read", context.run_id, ticket)
    found = Ticket.objects.filter(pk=ticket).first()
    if found is None:
        raise PipelineError(f"there is no ticket {ticket}", status=404, code="no-ticket")
    others = Ticket.objects.waiting().filter(customer=found.customer_id).exclude(pk=ticket)
    return Case(text=f"{found.subject}\n{found.text}", waiting=others.count())


@step
def tell_language(case: Case) -> Language | None:
    """Which language it is in."""
    return guess_language(case.text)


@step
def find_topic(case: Case, context: StepContext) -> Topic:
    """Ask what was learnt; a guess is left out."""
    classifier: Classifier = context.pipeline_state
    queue, confidence = classifier.classify(case.text)
    logger.info("triage %s: the queue is %s, %.0f %% sure", context.run_id, queue, 100 * confidence)
    return Topic(queue=queue if confidence >= SURE else None, confidence=confidence)


@step
def judge(case: Case) -> Reasons:
    """Why it is urgent, if it is."""
    return reasons_to_hurry(case.text, waiting=case.waiting)


@step
def soothe(language: Language | None) -> Annotated[str, "suggestion"]:
    """What to write at once where somebody cannot wait."""
    return AT_ONCE[language or "en"]


@step(affinity="request")
def suggest(case: Case, topic: Topic, language: Language | None) -> Annotated[str, "suggestion"]:
    """The saved reply of this queue and language that has most words in common with the ticket; or none."""
    said = telling_words(case.text)
    saved = SavedReply.objects.filter(queue__slug=topic.queue, language=language or "en")
    ranked = sorted(saved, key=lambda reply: len(said & telling_words(f"{reply.title} {reply.text}")), reverse=True)
    return ranked[0].text if ranked else ""


@step
async def explain(
    case: Case, topic: Topic, language: Language | None, reasons: list[str], context: StepContext
) -> AsyncIterator[str]:
    """Have the assistant write a note for whoever opens the ticket; each word is told when it comes."""
    logger.info("triage %s: the note is begun", context.run_id)
    note = assistant.compose(
        text=case.text, waiting=case.waiting, queue=topic.queue, language=language, reasons=reasons
    )
    async for word in assistant.write(note, watched=context.heard):
        yield word


@step(affinity="request")
def file(
    ticket: int,
    topic: Topic,
    language: Language | None,
    reasons: list[str],
    suggestion: str,
    words: list[str],
    context: StepContext,
) -> Annotated[str, "priority"]:
    """Write it all down: into the ticket what nobody has decided yet, and the whole finding beside it."""
    with transaction.atomic():
        found = Ticket.objects.select_for_update().get(pk=ticket)
        queue = Queue.objects.filter(slug=topic.queue).first()
        found.queue = found.queue or queue
        if reasons:
            found.priority = Ticket.Priority.URGENT
        found.save()
        finding = {
            "language": language or "",
            "queue": queue,
            "confidence": topic.confidence,
            "urgent": bool(reasons),
            "reasons": reasons,
            "suggestion": suggestion,
            "note": "".join(words),
            "asked_by": context.principal.name if context.principal else "",
            "run_id": context.run_id,
        }
        Finding.objects.update_or_create(ticket=found, defaults=finding)
    logger.info("triage %s: ticket %d is sorted", context.run_id, ticket)
    return str(found.get_priority_display())


@pipeline(on_init=learn, on_cleanup=forget)
def triage(ticket: int) -> dict[str, Any]:
    """Sort a ticket: language, queue, urgency, a reply to start from and a note for the staff."""
    case = read(ticket)
    language, topic, reasons = tell_language(case), find_topic(case), judge(case)
    suggestion = soothe(language) if reasons else suggest(case, topic, language)
    words = explain(case, topic, language, reasons)
    return {
        "priority": file(ticket, topic, language, reasons, suggestion, words),
        "queue": topic.queue,
        "language": language,
        "reasons": reasons,
        "suggestion": suggestion,
    }


# --------------------------------------------------------------------------------------------- app


def keys() -> AuthKeys | None:
    """The keys in ``BEACON_KEYS`` for other programs; without it only the staff who are signed in may call.

    HTTP Basic is left out: where a session has ended, its challenge would have the browser ask the staff for a key.
    """
    if "BEACON_KEYS" not in os.environ:
        return None
    return AuthKeys.from_env("BEACON_KEYS", accept=("bearer", "api-key"))


# A page that has lost its stream comes back after a second; nobody needs more streams than a few tabs have; and a
# server that is to stop does not wait for long, as the next one goes on with what it has cut short.
# Under WSGI a stream takes a thread as long as it is open: of the 32 in README.md, eight are left to the pages.
SETTINGS = Settings(stream_retry=1.0, max_streams=8, max_open_streams=24, cleanup_timeout=1.0, job_ttl=7 * 24 * 3600.0)

pipelines = PipelineApp(triage, auth=keys(), settings=SETTINGS, jobs=Local(settings.TRIAGE_JOBS))
