"""The desk in Django's admin: queues, saved replies, tickets."""

from __future__ import annotations

from django.contrib import admin

from .models import Queue, SavedReply, Ticket

__all__ = ["SavedReplyAdmin", "TicketAdmin"]

admin.site.register(Queue)


@admin.register(Ticket)
class TicketAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # generic for type checkers alone
    """Tickets in a table."""

    list_display = ("subject", "customer", "status", "priority", "queue", "assignee")
    list_filter = ("status", "priority", "queue")
    search_fields = ("subject", "text")


@admin.register(SavedReply)
class SavedReplyAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # generic for type checkers alone
    """Saved replies in a table."""

    list_display = ("title", "queue", "language")
    list_filter = ("queue", "language")
