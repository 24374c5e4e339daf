"""Jobs in Django's admin: looked at by who may view them, cancelled and retried by who may, changed by nobody.

There is no table behind them, so both pages are views of our own, in the admin's templates, behind its login.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from ..errors import NotFoundError, PipemountError
from ..http.application import Application
from ..job_verbs import OWN, Calls
from ..jobs.models import ENDED, STATUSES, Page
from ..jobs.models import Job as Record
from ..terms import Terms
from ..types import Principal
from .job_pages import Told, as_row, choices, facts, told, values
from .jobs import find_job
from .models import Job
from .mounts import mounted_pipelines

__all__ = ["JobAdmin"]

EVENTS = 200
"""Events of a job that are shown, of the last ones."""

FILTERS = ("mount", "status", "pipeline", "cursor")
DONE = {"cancel": "Cancelled, or asked to end", "retry": "Retried, each as a new job"}


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for type checkers alone
    """The list and the page of a job. ``view_job`` opens them; ``cancel_job`` and ``retry_job`` bring the actions."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Jobs are submitted to pipelines."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are what happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are forgotten by and by."""
        return False

    # ----------------------------------------------------------------------------------------- pages

    def changelist_view(self, request: HttpRequest, extra_context: Mapping[str, Any] | None = None) -> HttpResponse:
        """The jobs of one mount, the youngest first, and what may be done with those that are chosen."""
        self._check(request)
        if request.method == "POST":
            self._act(request, request.POST.getlist("_selected_action"))
            return HttpResponseRedirect(request.get_full_path())
        apps = mounted_pipelines()
        asked = {name: value for name in FILTERS if (value := request.GET.get(name))}
        if apps and asked.get("mount") not in apps:
            asked["mount"] = next(iter(apps))
        app = apps.get(asked.get("mount", ""))
        page = Page((), None) if app is None else self._page(request, app, asked)
        context = {
            "title": "Jobs",
            "rows": [as_row(job) for job in page.jobs],
            "filters": [] if app is None else list(choices(asked, list(app.pipelines), list(apps))),
            "next": None if page.cursor is None else "?" + urlencode(asked | {"cursor": page.cursor}),
            "first": "?" + urlencode({**asked, "cursor": ""}) if asked.get("cursor") else None,
            "in_memory": app is not None and not app.jobs.store.durable,
        }
        return self._answer(request, "change_list", {**context, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Mapping[str, Any] | None = None
    ) -> HttpResponse:
        """All that is known of a job, and its last events."""
        self._check(request)
        if request.method == "POST":
            self._act(request, [object_id])
            return HttpResponseRedirect(request.get_full_path())
        try:
            app, job = find_job(mounted_pipelines(), lambda app: _asking(app).get_sync(object_id))
            events = _last_events(app, job)
        except NotFoundError as error:
            raise Http404(str(error)) from None
        except PipemountError as error:
            messages.error(request, f"The job cannot be shown: {error}")
            return HttpResponseRedirect(reverse("admin:pipemount_job_changelist", current_app=self.admin_site.name))
        context = {
            "title": f"Job {job.id}",
            "job": job,
            "facts": list(facts(job)),
            "values": list(values(job)),
            "events": events,
            "left_out": job.last_event - len(events),
            "in_memory": not app.jobs.store.durable,
        }
        return self._answer(request, "change_form", {**context, **(extra_context or {})}, job)

    def _check(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _page(self, request: HttpRequest, app: Application, asked: Mapping[str, str]) -> Page:
        """What there is; of a store that cannot be reached, nothing, and a message."""
        status = [one for one in STATUSES if one == asked.get("status")]
        try:
            return _asking(app).list_sync(*status, pipeline=asked.get("pipeline"), cursor=asked.get("cursor"))
        except PipemountError as error:
            messages.error(request, f"The jobs cannot be listed: {error}")
            return Page((), None)

    def _answer(
        self, request: HttpRequest, template: str, context: Mapping[str, Any], job: Record | None = None
    ) -> HttpResponse:
        allowed = [verb for verb in DONE if self._may(request, verb) and (job is None or _can(verb, job))]
        request.current_app = self.admin_site.name
        more = {**self.admin_site.each_context(request), "opts": self.opts, "verbs": allowed, "media": self.media}
        return TemplateResponse(request, f"admin/pipemount/job/{template}.html", {**more, **context})

    # --------------------------------------------------------------------------------------- actions

    def _may(self, request: HttpRequest, verb: str) -> bool:
        user: Any = request.user
        return bool(user.has_perm(f"{self.opts.app_label}.{verb}_job"))

    def _act(self, request: HttpRequest, ids: Sequence[str]) -> None:
        """Do what was chosen with each; what cannot be done is told, and keeps nothing else from it."""
        verb = request.POST.get("action", "")
        if verb not in DONE:
            messages.warning(request, "No action selected.")
            return
        if not self._may(request, verb):
            raise PermissionDenied
        done = [one for one in ids if self._perform(request, verb, one)]
        if done:
            messages.success(request, f"{DONE[verb]}: {len(done)}.")
        elif not ids:
            messages.warning(request, "No job was selected.")

    def _perform(self, request: HttpRequest, verb: str, job_id: str) -> bool:
        who = Principal(request.user.get_username(), frozenset({"admin"}), "django")
        verbs = {
            "cancel": lambda app: _asking(app, who).cancel_sync(job_id),
            "retry": lambda app: _asking(app).retry_sync(job_id),  # in the name of whose it is
        }
        try:
            _, job = find_job(mounted_pipelines(), verbs[verb])
        except PipemountError as error:
            messages.error(request, f"Job {job_id}: {error}")
            return False
        said = f"Retried as {job.id}." if verb == "retry" else "Asked to cancel."
        self.log_change(request, Job(job_id=job_id), said)
        return True


def _asking(app: Application, who: Principal = OWN) -> Calls:
    return Calls(app, Terms(principal=who))


def _can(verb: str, job: Record) -> bool:
    return job.status not in ENDED if verb == "cancel" else job.status in ("failed", "cancelled")


def _last_events(app: Application, job: Record) -> list[Told]:
    """Those that there are now; what comes later is not waited for."""
    after = max(job.last_event - EVENTS, job.first_event - 1, 0)
    found: list[Told] = []
    if after < job.last_event:
        with closing(_asking(app).events_sync(job, after=after)) as events:
            for event in events:
                found.append(told(event))
                if event.sequence >= job.last_event:
                    break
    return found
