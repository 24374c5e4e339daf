"""The pages' way to the pipeline: for many tickets, and for one where the browser runs no scripts."""

from __future__ import annotations

from desk.models import Ticket
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from pipemount import PipemountError, acting_as

from .sorting import sort_new_tickets, sort_ticket

__all__ = ["triage_new", "triage_one"]


@login_required
@permission_required("triage.run_triage", raise_exception=True)
@require_POST
def triage_new(request: HttpRequest) -> HttpResponse:
    """Triage all new tickets, in the name of who asks, and show the list again."""
    with acting_as(request.user):
        done = sort_new_tickets()
    told = ngettext("%d ticket sorted, %d urgent.", "%d tickets sorted, %d urgent.", done.sorted)
    messages.success(request, told % (done.sorted, done.urgent))
    if done.failed:
        messages.error(request, f"{done.failed} could not be sorted; the log says why.")
    return redirect("tickets")


@login_required
@permission_required("triage.run_triage", raise_exception=True)
@require_POST
def triage_one(request: HttpRequest, number: int) -> HttpResponse:
    """Triage one ticket and show it again: what the button does where the page's script does not."""
    ticket = get_object_or_404(Ticket.objects.visible_to(request.user), pk=number)
    try:
        with acting_as(request.user):
            sort_ticket(number)
    except PipemountError as error:
        messages.error(request, f"It was not sorted: {error}")
    return redirect(ticket)
