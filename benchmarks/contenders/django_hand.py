"""Django by hand: one async view that validates with the same models and answers with the same fields."""

from __future__ import annotations

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from work import Envelope, answer, process_weather

import contenders.django_site  # noqa: F401  configures Django


@csrf_exempt
async def invoke(request: HttpRequest) -> JsonResponse:
    """Validate, await the step, answer."""
    parameters = Envelope.model_validate_json(request.body).parameters
    return JsonResponse(answer(parameters, await process_weather(parameters.city, parameters.temperature)))


urlpatterns = [path("invoke", invoke)]
settings.ROOT_URLCONF = __name__
app = get_asgi_application()
