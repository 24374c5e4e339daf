"""Flask by hand: one route that validates what comes and what goes with the same models."""

from __future__ import annotations

from flask import Flask, Response, request
from work import Answer, Envelope, answer, process_weather_sync

app = Flask(__name__)


@app.post("/invoke")
def invoke() -> Response:
    """Validate, call the step, answer."""
    parameters = Envelope.model_validate_json(request.get_data()).parameters
    analysis = process_weather_sync(parameters.city, parameters.temperature)
    content = Answer.model_validate(answer(parameters, analysis)).model_dump_json()
    return Response(content, mimetype="application/json")
