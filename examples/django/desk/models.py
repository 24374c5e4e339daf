"""Tickets and what is said in them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.urls import reverse

__all__ = ["Language", "Queue", "Reply", "SavedReply", "Ticket", "may_work"]


def may_work(user: Any) -> bool:
    """Whether ``user`` is one of the staff, who see and answer every ticket."""
    return bool(user.has_perm("desk.work_on_ticket"))


class Language(models.TextChoices):
    """What the desk can answer in."""

    ENGLISH = "en", "English"
    GERMAN = "de", "German"
    FRENCH = "fr", "French"


class Queue(models.Model):
    """A pile of tickets that the same people look after."""

    name = models.CharField(max_length=40, unique=True)
    slug = models.SlugField(unique=True)

    class Meta:
        """Options."""

        ordering = ("name",)

    def __str__(self) -> str:
        return str(self.name)


class TicketQuerySet(models.QuerySet["Ticket"]):
    """What can be asked about tickets."""

    def visible_to(self, user: Any) -> TicketQuerySet:
        """All of them to the staff, to a customer their own."""
        return self.all() if may_work(user) else self.filter(customer=user)

    def waiting(self) -> TicketQuerySet:
        """Those that wait for an answer of ours."""
        return self.filter(status__in=[Ticket.Status.NEW, Ticket.Status.OPEN])


class Ticket(models.Model):
    """What a customer has asked, and how far we are with it."""

    class Status(models.TextChoices):
        """Whose turn it is."""

        NEW = "new", "New"
        OPEN = "open", "Open"
        WAITING = "waiting", "Waiting for the customer"
        SOLVED = "solved", "Solved"

    class Priority(models.IntegerChoices):
        """The higher, the sooner."""

        LOW = 1, "Low"
        NORMAL = 2, "Normal"
        HIGH = 3, "High"
        URGENT = 4, "Urgent"

    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="tickets")
    subject = models.CharField(max_length=120)
    text = models.TextField("what happened", max_length=5000)
    status = models.CharField(max_length=10, choices=Status, default=Status.NEW)
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.NORMAL)
    queue = models.ForeignKey(Queue, models.SET_NULL, null=True, blank=True, related_name="tickets")
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="assigned_tickets"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = TicketQuerySet.as_manager()

    class Meta:
        """Options."""

        ordering = ("-priority", "created_at")
        permissions = (("work_on_ticket", "Can see, answer, sort and assign every ticket"),)

    def __str__(self) -> str:
        return f"#{self.pk} {self.subject}"

    def get_absolute_url(self) -> str:
        """The page of the ticket."""
        return str(reverse("ticket", args=[self.pk]))

    def replies_for(self, user: Any) -> models.QuerySet[Reply]:
        """The conversation; notes among the staff are kept from customers."""
        replies = self.replies.select_related("author")
        return replies if may_work(user) else replies.filter(internal=False)

    @transaction.atomic
    def answer(self, author: Any, text: str, *, internal: bool = False) -> Reply:
        """Add a reply; whoever did not write it is next. Who answers a ticket that nobody has takes it."""
        reply = self.replies.create(author=author, text=text, internal=internal)
        if internal:
            return reply
        if author.pk == self.customer_id:
            self.status = self.Status.OPEN
        else:
            self.status = self.Status.WAITING
            self.assignee = self.assignee or author
        self.save()
        return reply


class Reply(models.Model):
    """One message in a ticket's conversation."""

    ticket = models.ForeignKey(Ticket, models.CASCADE, related_name="replies")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="replies")
    text = models.TextField("your reply", max_length=5000)
    internal = models.BooleanField("a note that the customer does not see", default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Options."""

        ordering = ("created_at", "pk")
        verbose_name_plural = "replies"

    def __str__(self) -> str:
        return f"{self.author} on {self.ticket}"


class SavedReply(models.Model):
    """A text that the staff write often; nobody's name and nobody's account is in it."""

    title = models.CharField(max_length=80)
    queue = models.ForeignKey(Queue, models.CASCADE, related_name="saved_replies")
    language = models.CharField(max_length=2, choices=Language)
    text = models.TextField()

    class Meta:
        """Options."""

        ordering = ("queue", "language", "title")
        verbose_name_plural = "saved replies"

    def __str__(self) -> str:
        return str(self.title)
