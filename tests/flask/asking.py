"""How these tests ask."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

EMPTY: dict[str, Any] = {"parameters": {}}


def invoke(client: FlaskClient, path: str = "/ai/invoke", **headers: str) -> TestResponse:
    return client.post(path, json=EMPTY, headers={name.replace("_", "-"): value for name, value in headers.items()})


def output(response: TestResponse) -> Any:
    assert response.status_code == 200, response.text
    assert response.json is not None
    return response.json["outputs"]["output"]


def base_of(info: TestResponse) -> str:
    """Where the links of ``/info`` begin."""
    assert info.json is not None
    base, _, rest = info.json["urls"]["invoke"].partition("/pipelines/")
    assert rest == "caller/invoke"
    return str(base)
