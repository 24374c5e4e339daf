"""What schemathesis is told to do with each request before it is sent."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import schemathesis

from pipemount.http.headers import IDEMPOTENCY_KEY

KEY = re.compile(IDEMPOTENCY_KEY)


@schemathesis.hook
def before_call(context: object, case: Any, kwargs: object) -> None:
    """A key of its own for each request that has a valid one: schemathesis makes few keys, and all kinds of bodies."""
    headers = case.headers or {}
    for name in [name for name in headers if name.lower() == "idempotency-key" and KEY.fullmatch(str(headers[name]))]:
        headers[name] = f'"{uuid4()}"'
    if "job_id" in (case.path_parameters or {}):
        # Starlette's mounts take no line break in a path: there the host answers itself.
        case.path_parameters["job_id"] = re.sub("\n|%0A", "", str(case.path_parameters["job_id"])) or "none"
