"""Flask by hand: one route that validates with the same models and answers with the same fields."""

from __future__ import annotations

from typing import Any

from flask import Flask, request
from work import Envelope, answer, process_weather_sync

app = Flask(__name__)


@app.post("/invoke")
def invoke() -> dict[str, Any]:
    """Validate, call the step, answer."""
    parameters = Envelope.model_validate_json(request.get_data()).parameters
    return answer(parameters, process_weather_sync(parameters.city, parameters.temperature))
