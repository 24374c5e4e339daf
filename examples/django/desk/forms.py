"""What customers and staff can write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib.auth import get_user_model
from django.db.models import Q

from .models import Reply, Ticket

if TYPE_CHECKING:
    Choice = forms.ModelChoiceField[Any]

__all__ = ["NewTicket", "NoteForm", "ReplyForm", "WorkForm"]


class NewTicket(forms.ModelForm):  # type: ignore[type-arg] # generic for type checkers alone
    """A customer's question."""

    class Meta:
        """Options."""

        model = Ticket
        fields = ("subject", "text")
        widgets = {"text": forms.Textarea({"rows": 8})}


class ReplyForm(forms.ModelForm):  # type: ignore[type-arg] # generic for type checkers alone
    """A customer's reply."""

    class Meta:
        """Options."""

        model = Reply
        fields: tuple[str, ...] = ("text",)
        widgets = {"text": forms.Textarea({"rows": 6})}


class NoteForm(ReplyForm):
    """A reply of the staff, which can be a note among themselves."""

    class Meta(ReplyForm.Meta):
        """Options."""

        fields: tuple[str, ...] = ("text", "internal")


class WorkForm(forms.ModelForm):  # type: ignore[type-arg] # generic for type checkers alone
    """How the staff sort a ticket."""

    class Meta:
        """Options."""

        model = Ticket
        fields = ("status", "priority", "queue", "assignee")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        queue, assignee = cast("Choice", self.fields["queue"]), cast("Choice", self.fields["assignee"])
        queue.empty_label, assignee.empty_label = "Not sorted yet", "Nobody yet"
        assignee.queryset = agents()


def agents() -> Any:
    """Who can have a ticket: the members of the group."""
    users = get_user_model().objects.filter(is_active=True)
    return users.filter(Q(groups__name="Agents")).distinct().order_by("username")
