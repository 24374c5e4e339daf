"""The pages of the desk."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from .forms import NewTicket, NoteForm, ReplyForm, WorkForm
from .models import Queue, Ticket, may_work

__all__ = ["new", "reply", "ticket", "tickets", "work"]

SHOWN = {"waiting": "Waiting for us", "mine": "Assigned to me", "all": "All tickets"}


@login_required
def tickets(request: HttpRequest) -> HttpResponse:
    """The tickets: all to the staff, sorted by what is next; to a customer their own."""
    visible = Ticket.objects.visible_to(request.user).select_related("queue", "assignee", "customer")
    if not may_work(request.user):
        return render(request, "desk/my_tickets.html", {"tickets": visible.order_by("-created_at")})
    show = request.GET.get("show", "waiting")
    found = _filtered(visible, request, show)
    queue = request.GET.get("queue", "")
    context = {"tickets": found, "queues": Queue.objects.all(), "queue": queue, "show": show, "shown": SHOWN}
    return render(request, "desk/tickets.html", context)


def _filtered(visible: Any, request: HttpRequest, show: str) -> Any:
    if show == "waiting":
        visible = visible.waiting()
    elif show == "mine":
        visible = visible.filter(assignee=request.user).exclude(status=Ticket.Status.SOLVED)
    queue = request.GET.get("queue")
    if queue == "none":
        return visible.filter(queue=None)
    return visible.filter(queue__slug=queue) if queue else visible


@login_required
def new(request: HttpRequest) -> HttpResponse:
    """The form for a new ticket."""
    form = NewTicket(request.POST or None)
    if form.is_valid():
        form.instance.customer = request.user
        ticket = form.save()
        messages.success(request, "Thank you. We have your ticket and will answer here.")
        return redirect(ticket)
    return render(request, "desk/new.html", {"form": form}, status=_status(form))


@login_required
def ticket(request: HttpRequest, number: int) -> HttpResponse:
    """One ticket with its conversation."""
    return _show(request, _ticket(request, number))


@login_required
@require_POST
def reply(request: HttpRequest, number: int) -> HttpResponse:
    """Add to the conversation."""
    found = _ticket(request, number)
    form = _reply_form(request)(request.POST)
    if not form.is_valid():
        return _show(request, found, form)
    found.answer(request.user, form.cleaned_data["text"], internal=form.cleaned_data.get("internal", False))
    return redirect(found)


@login_required
@permission_required("desk.work_on_ticket", raise_exception=True)
@require_POST
def work(request: HttpRequest, number: int) -> HttpResponse:
    """Sort a ticket: status, priority, queue, assignee."""
    found = _ticket(request, number)
    form = WorkForm(request.POST, instance=found)
    if not form.is_valid():
        return _show(request, found, work=form)
    form.save()
    messages.success(request, "Saved.")
    return redirect(found)


def _ticket(request: HttpRequest, number: int) -> Ticket:
    """The ticket, if the user may see it; what they may not see is not there."""
    visible = Ticket.objects.visible_to(request.user).select_related("customer", "queue", "assignee")
    found: Ticket = get_object_or_404(visible, pk=number)
    return found


def _reply_form(request: HttpRequest) -> type[ReplyForm]:
    return NoteForm if may_work(request.user) else ReplyForm


def _show(request: HttpRequest, found: Ticket, form: Any = None, work: Any = None) -> HttpResponse:
    status = _status(form) if form else _status(work)
    context = {
        "ticket": found,
        "replies": found.replies_for(request.user),
        "form": form or _reply_form(request)(),
        "work": work or WorkForm(instance=found),
        "is_agent": may_work(request.user),
        "earlier": found.customer.tickets.exclude(pk=found.pk).order_by("-created_at")[:5],
    }
    return render(request, "desk/ticket.html", context, status=status)


def _status(form: Any) -> int:
    return 422 if form is not None and form.errors else 200
