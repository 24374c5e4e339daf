"""The pages' way to the pipeline: many tickets, one where the browser runs no scripts, and the list of triages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from desk.models import Ticket
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from pipemount import PipemountError
from pipemount.errors import NotFoundError

from .pipelines import pipelines
from .sorting import sort_new_tickets, sort_ticket

__all__ = ["triage_cancel", "triage_new", "triage_one", "triage_retry", "triages"]

SHOWN = 50


@login_required
@permission_required("triage.run_triage", raise_exception=True)
@require_POST
def triage_new(request: HttpRequest) -> HttpResponse:
    """Triage all new tickets and show the list again."""
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
        sort_ticket(number)
    except PipemountError as error:
        messages.error(request, f"It was not sorted: {error}")
    return redirect(ticket)


# -------------------------------------------------------------------------------------------- triages


@login_required
@permission_required("triage.run_triage", raise_exception=True)
@require_safe
def triages(request: HttpRequest) -> HttpResponse:
    """The triages that the user has asked for, the youngest first; to an admin those of everybody."""
    jobs = [job for job in pipelines.list_sync(limit=SHOWN).jobs if job.request.kind == "run"]
    tickets = Ticket.objects.in_bulk([job.parameters["ticket"] for job in jobs])
    rows = [
        {
            "job": job,
            "ticket": tickets.get(job.parameters["ticket"]),
            "began": datetime.fromtimestamp(job.created, UTC),
            "by": job.request.principal.name if job.request.principal else "",
            "can_retry": job.status in ("failed", "cancelled"),
        }
        for job in jobs
    ]
    return render(request, "triage/triages.html", {"rows": rows})


@login_required
@permission_required("triage.run_triage", raise_exception=True)
@require_POST
def triage_cancel(request: HttpRequest, job: str) -> HttpResponse:
    """Stop a triage that has not ended."""
    return _done(request, pipelines.cancel_sync, job, "Stopped.")


@login_required
@permission_required("triage.run_triage", raise_exception=True)
@require_POST
def triage_retry(request: HttpRequest, job: str) -> HttpResponse:
    """Have one that failed or was stopped made anew."""
    return _done(request, pipelines.retry_sync, job, "Begun anew.")


def _done(request: HttpRequest, verb: Callable[[str], Any], job: str, said: str) -> HttpResponse:
    """Do it, if the user may see the triage, and show the list again."""
    try:
        verb(job)
    except NotFoundError as error:
        raise Http404(job) from error
    except PipemountError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, said)
    return redirect("triages")
