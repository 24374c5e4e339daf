"""Django by hand, under WSGI: a plain view."""

from __future__ import annotations

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from work import Answer, Envelope, answer, process_weather_sync

import contenders.django_site  # noqa: F401  configures Django


@csrf_exempt
def invoke(request: HttpRequest) -> HttpResponse:
    """Validate, call the step, answer."""
    parameters = Envelope.model_validate_json(request.body).parameters
    analysis = process_weather_sync(parameters.city, parameters.temperature)
    content = Answer.model_validate(answer(parameters, analysis)).model_dump_json()
    return HttpResponse(content, content_type="application/json")


urlpatterns = [path("invoke", invoke)]
settings.ROOT_URLCONF = __name__
app = get_wsgi_application()
