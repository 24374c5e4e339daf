from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django_tasks_db.models import DBTaskResult

from pipemount.django_tasks.performing import run_job

from .pipelines import pipelines


@csrf_exempt
def again(request: HttpRequest, job_id: str, pipeline: str) -> HttpResponse:
    """A message as the app would send it."""
    task = run_job.using(queue_name="pipelines")
    task.enqueue(job_id, pipeline, "tests.django_tasks.site.pipelines:pipelines")
    return HttpResponse()


@csrf_exempt
def flush(request: HttpRequest) -> HttpResponse:
    """All messages that nobody has taken are gone."""
    count, _ = DBTaskResult.objects.filter(status="READY").delete()
    return HttpResponse(str(count))


urlpatterns = [
    path("again/<job_id>/<pipeline>", again),
    path("flush", flush),
    path("", include(pipelines.django_urls())),
]
