"""The OpenAPI 3.1 document: the route table, written for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..adapters.protocol import CompiledPipeline
from ..settings import Settings
from ..types import JsonObject
from .components import SHARED, component_schemas, ref
from .describe import link
from .parameters import KEY, PARAMETERS, parameters_of
from .routes import Route

__all__ = ["SECURITY_SCHEMES", "build_openapi", "operation", "operation_id"]

SECURITY_SCHEMES: Mapping[str, JsonObject] = {
    "basic": {"type": "http", "scheme": "basic", "description": "The key's name and the key; the name may be empty."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The key."},
    "api-key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The key."},
}

SUMMARIES = {
    "index": "What is served here",
    "ready": "Whether pipelines can run",
    "live": "Whether the process answers",
    "openapi": "This document",
    "docs": "This document, for people",
    "pipelines": "The pipelines of this app",
    "status": "Where the app stands, and how it is set",
    "metrics": "Counts and durations, for machines to collect",
    "events": "What happens in a job, as it happens",
    "invoke": "Run the pipeline and wait",
    "submit": "Accept a job, to be run as soon as there is a place",
    "jobs": "The jobs that you may see, the youngest first",
    "job": "All that is known of a job",
    "delete": "Forget a job that has ended",
    "cancel": "End a job early",
    "batch": "Run the pipeline for each of a list",
    "info": "Everything about the pipeline",
    "schema": "JSON Schemas of the pipeline",
    "tokens": "Sign a token for one job",
}
BODIES = {
    "index": "Index",
    "ready": "Health",
    "live": "Health",
    "pipelines": "PipelineList",
    "status": "Status",
    "metrics": "Metrics",
    "info": "Info",
    "schema": "Schemas",
    "tokens": "TokenResponse",
    "submit": "Accepted",
    "jobs": "JobList",
    "job": "JobRecord",
    "cancel": "JobRecord",
}
TAKES = {"tokens": "TokenRequest"}
"""Bodies of requests that are the same in every app."""
REASONS = {
    400: "Not JSON, or two credentials in one request.",
    401: "No key, or a wrong one.",
    403: "The key lacks the permission.",
    404: "There is no such job, or it is somebody else's.",
    405: "The method is not allowed here.",
    406: "None of the accepted media types can be produced.",
    409: "The job, or the first request with this Idempotency-Key, is not in a state that allows it.",
    410: "The events that the reader would go on with are not kept any more.",
    413: "The body is over the app's limit.",
    415: "The body is not declared as JSON.",
    422: "The inputs fail the schema; nothing was executed.",
    429: "All places are taken.",
    500: "A step raised, or an output does not fit its type.",
    501: "Understood, but not available in this version.",
    502: "A step raised what its author mapped to this status.",
    503: "Starting, draining or stopped.",
    504: "The deadline passed; the run was cancelled.",
}
READ_STATUSES = (400, 401, 403, 405, 406, 500, 503)
JOB_STATUSES = tuple(sorted((*READ_STATUSES, 404)))
INVOKE_STATUSES = tuple(status for status in REASONS if status not in (404, 410))
RUN_ONLY = (501, 502, 504)
STATUSES = {
    "invoke": INVOKE_STATUSES,
    "batch": tuple(status for status in INVOKE_STATUSES if status not in (501, 502)),
    "submit": tuple(status for status in INVOKE_STATUSES if status not in RUN_ONLY),
    "jobs": tuple(sorted((*READ_STATUSES, 422))),
    "job": JOB_STATUSES,
    "delete": tuple(sorted((*JOB_STATUSES, 409))),
    "cancel": tuple(sorted((*JOB_STATUSES, 409))),
    "tokens": (400, 401, 403, 404, 405, 406, 413, 415, 422, 500, 503),
    "events": (*READ_STATUSES, 404, 410, 422, 429),
}
SUCCESS = {"tokens": 201, "submit": 202, "delete": 204}
RUN_STATUSES = (409, 500, 502, 503, 504)

PROBLEM, STREAM = "application/problem+json", "text/event-stream"
TEXT: JsonObject = {"type": "string"}
REQUEST_ID: JsonObject = {"X-Request-ID": {"description": "The request's own, echoed if it came.", "schema": TEXT}}
RUN_ID: JsonObject = {"X-Run-ID": {"description": "The run, where one exists.", "schema": TEXT}}
LOCATION: JsonObject = {"Location": {"description": "The docs page.", "schema": TEXT}}
JOB_LOCATION: JsonObject = {"Location": {"description": "The job's record.", "schema": TEXT}}
STATUS_HEADERS: Mapping[int, JsonObject] = {
    401: {"WWW-Authenticate": {"description": "The accepted schemes.", "schema": TEXT}},
    405: {"Allow": {"description": "The methods that are allowed.", "schema": TEXT}},
    429: {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}},
    503: {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}},
}
REQUESTS = {"invoke": "Request", "submit": "Request", "batch": "Batch"}
"""Bodies of requests that each pipeline has its own of."""


def build_openapi(
    pipelines: Mapping[str, CompiledPipeline],
    routes: Sequence[Route],
    *,
    settings: Settings,
    schemes: Sequence[str],
    base: str,
) -> JsonObject:
    """The document of an app.

    Args:
        pipelines: By their names in the app.
        routes: From ``build_routes``; those not ``documented`` are left out.
        settings: Of the app.
        schemes: How a key may be presented, of ``basic``, ``bearer`` and ``api-key``; empty where none is needed.
        base: The mount as the caller sees it, not encoded.
    """
    paths: dict[str, JsonObject] = {}
    for route in routes:
        if route.documented:
            item = operation(route, pipelines, open_to_all=not schemes or route.permission is None)
            paths.setdefault(route.path, {})[route.methods[0].lower()] = item
    components: JsonObject = {"schemas": component_schemas(pipelines, settings)}
    document: JsonObject = {"openapi": "3.1.0", "info": _info(pipelines, settings), "paths": paths}
    if schemes:
        components["securitySchemes"] = {_camel(scheme): SECURITY_SCHEMES[scheme] for scheme in schemes}
        document["security"] = [{_camel(scheme): []} for scheme in schemes]
    document["servers"] = [{"url": link(base, "") or "/"}]
    document["tags"] = [{"name": name, **_described(pipeline.info.doc)} for name, pipeline in pipelines.items()]
    return document | {"components": components}


def operation(route: Route, pipelines: Mapping[str, CompiledPipeline], *, open_to_all: bool) -> JsonObject:
    """What the document says about a route's first method (HEAD is as GET, RFC 9110, section 9.3.2)."""
    if route.openapi is not None:
        own = {"operationId": route.name, "summary": route.path, "tags": [SHARED], **route.openapi}
        return own | {"security": []} if open_to_all else own
    title = SUMMARIES[route.endpoint]
    described: JsonObject = {
        "operationId": operation_id(route),
        "summary": f"{title}: {route.pipeline}" if route.pipeline else title,
        "tags": [route.pipeline or SHARED],
        "responses": _responses(route, open_to_all=open_to_all),
    }
    if open_to_all:
        described["security"] = []
    if found := parameters_of(route):
        described["parameters"] = found
    if route.endpoint == "invoke" and route.pipeline:
        described |= _described(pipelines[route.pipeline].info.doc)
    if (body := REQUESTS.get(route.endpoint)) and route.pipeline:
        described["requestBody"] = _json_body(ref(route.pipeline, body))
    elif body := TAKES.get(route.endpoint):
        described["requestBody"] = _json_body(ref(SHARED, body))
    return described


def _json_body(schema: JsonObject) -> JsonObject:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def operation_id(route: Route) -> str:
    """Unique in a document: the pipeline and the endpoint; routes that share an endpoint add their path."""
    own = route.pipeline or SHARED
    return f"{own}_{route.endpoint}" + ("_health" if route.known_as == "/health" else "")


def _info(pipelines: Mapping[str, CompiledPipeline], settings: Settings) -> JsonObject:
    title = settings.title or ", ".join(pipelines)
    doc = settings.description or (next(iter(pipelines.values())).info.doc if len(pipelines) == 1 else "")
    return {"title": title, "version": settings.version, **_described(doc)}


def _described(doc: str) -> JsonObject:
    return {"description": doc} if doc else {}


def _camel(scheme: str) -> str:
    return {"api-key": "apiKey"}.get(scheme, scheme)


# ---------------------------------------------------------------------------------------- responses


def _responses(route: Route, *, open_to_all: bool) -> JsonObject:
    invoke = route.endpoint in ("invoke", "batch")
    statuses = STATUSES.get(route.endpoint, READ_STATUSES)
    responses = {str(SUCCESS.get(route.endpoint, 200)): _success(route)}
    if route.endpoint == "invoke":
        responses["202"] = _accepted()
    if route.endpoint == "index":
        responses["307"] = {"description": "A browser is sent to the docs page.", "headers": REQUEST_ID | LOCATION}
    if route.endpoint == "events":
        responses["204"] = {"description": "The reader has all events; it need not come back.", "headers": REQUEST_ID}
    for status in statuses:
        if not (open_to_all and status in (401, 403)):
            responses[str(status)] = _problem(status, invoke=invoke)
    if KEY in PARAMETERS.get(route.endpoint, ()):
        both = {"anyOf": [ref(SHARED, "ValidationProblem"), ref(SHARED, "Problem")]}
        responses["422"]["content"] = {PROBLEM: {"schema": both}}
    if route.endpoint == "invoke":
        responses["default"] = _problem(None, invoke=True)
    return responses


def _accepted() -> JsonObject:
    """With links to what can be done with the job then."""
    found = {"job_id": "$response.body#/job_id"}
    links = {name: {"operationId": f"{SHARED}_{name}", "parameters": found} for name in ("job", "cancel", "delete")}
    return {
        "description": "The job was accepted.",
        "headers": REQUEST_ID | RUN_ID | JOB_LOCATION,
        "content": {"application/json": {"schema": ref(SHARED, "Accepted")}},
        "links": links,
    }


def _success(route: Route) -> JsonObject:
    if route.endpoint == "submit":
        return _accepted()
    if route.endpoint == "delete":
        return {"description": "The job is forgotten.", "headers": REQUEST_ID}
    if route.endpoint == "docs":
        return {"description": "A page.", "headers": REQUEST_ID, "content": {"text/html": {"schema": TEXT}}}
    if route.endpoint == "invoke" and route.pipeline:
        content: JsonObject = {"application/json": {"schema": ref(route.pipeline, "Response")}, STREAM: {}}
        return {"description": "The run completed.", "headers": REQUEST_ID | RUN_ID, "content": content}
    if route.endpoint == "batch" and route.pipeline:
        item = {"anyOf": [ref(route.pipeline, "Response"), ref(SHARED, "ItemProblem")]}
        content = {"application/json": {"schema": {"type": "array", "items": item}}}
        described = "A result for each, in its place: what its run gave, or why it has none."
        return {"description": described, "headers": REQUEST_ID | RUN_ID, "content": content}
    if route.endpoint == "events":
        return {"description": "The events.", "headers": REQUEST_ID | RUN_ID, "content": {STREAM: {}}}
    body = BODIES.get(route.endpoint)
    content = {"application/json": {"schema": ref(SHARED, body) if body else {"type": "object"}}}
    if route.endpoint == "metrics":
        content |= {"application/openmetrics-text": {"schema": TEXT}, "text/plain": {"schema": TEXT}}
    return {"description": "As asked.", "headers": REQUEST_ID, "content": content}


def _problem(status: int | None, *, invoke: bool) -> JsonObject:
    """A failure's response; ``None`` stands for the statuses that a pipeline's author chose."""
    headers = REQUEST_ID | (STATUS_HEADERS.get(status, {}) if status else {}) | (RUN_ID if invoke else {})
    return {
        "description": REASONS[status] if status else "A step chose this status.",
        "headers": headers,
        "content": {PROBLEM: {"schema": _problem_schema(status, invoke=invoke)}},
    }


def _problem_schema(status: int | None, *, invoke: bool) -> JsonObject:
    if not invoke:
        return ref(SHARED, "ValidationProblem" if status == 422 else "Problem")
    if status == 422:
        return {"anyOf": [ref(SHARED, "ValidationProblem"), ref(SHARED, "InvocationProblem")]}
    if status is None or status in RUN_STATUSES:
        return {"anyOf": [ref(SHARED, "InvocationProblem"), ref(SHARED, "Problem")]}
    return ref(SHARED, "Problem")
