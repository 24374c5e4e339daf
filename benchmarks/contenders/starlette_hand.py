"""What a careful team writes with Starlette alone."""

from __future__ import annotations

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from work import Envelope, answer, process_weather


async def invoke(request: Request) -> Response:
    """Validate, run, answer."""
    parameters = Envelope.model_validate_json(await request.body()).parameters
    analysis = await process_weather(parameters.city, parameters.temperature)
    return Response(to_json(answer(parameters, analysis)), media_type="application/json")


app = Starlette(routes=[Route("/invoke", invoke, methods=["POST"])])
