"""The page's way to the pipeline for many tickets."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from pipemount import acting_as

from .sorting import sort_new_tickets

__all__ = ["triage_new"]


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
