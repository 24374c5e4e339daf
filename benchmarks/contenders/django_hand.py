"""Django by hand: one async view that validates with the same models and answers with the same fields."""

from __future__ import annotations

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from work import Answer, Envelope, answer, process_weather

import contenders.django_site  # noqa: F401  configures Django


@csrf_exempt
async def invoke(request: HttpRequest) -> HttpResponse:
    """Validate, await the step, answer."""
    parameters = Envelope.model_validate_json(request.body).parameters
    analysis = await process_weather(parameters.city, parameters.temperature)
    content = Answer.model_validate(answer(parameters, analysis)).model_dump_json()
    return HttpResponse(content, content_type="application/json")


urlpatterns = [path("invoke", invoke)]
settings.ROOT_URLCONF = __name__
app = get_asgi_application()
