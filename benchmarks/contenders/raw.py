"""The limit: an ASGI callable that reads the body, validates, awaits the step and dumps. It does nothing else."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json
from work import Envelope, answer, process_weather

validate_json = Envelope.__pydantic_validator__.validate_json


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer whatever is asked with the weather."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    parameters = validate_json(body).parameters
    content = to_json(answer(parameters, await process_weather(parameters.city, parameters.temperature)))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
