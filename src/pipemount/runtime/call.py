"""What one run is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..types import Principal, Trace

__all__ = ["Call"]


class Call(NamedTuple):
    """One request for a run, its inputs already validated.

    Attributes:
        inputs: What the input schema validated to (for native pipelines the generated model).
        run_id: A UUID.
        run_name: For people.
        state: The ``pipeline_state`` that ``start`` returned.
        timeout: Seconds that the run may take; the deadline is the service's to enforce.
        deadline: The same as a point on ``time.monotonic()``.
        principal: Who asked.
        trace: The caller's trace.
        overrides: ``{node id: {"parameters": {name: value}}}``.
        metadata: What else the service knows of the run.
    """

    inputs: Any
    run_id: str
    run_name: str
    state: Any = None
    timeout: float | None = None
    deadline: float | None = None
    principal: Principal | None = None
    trace: Trace | None = None
    overrides: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = {}
