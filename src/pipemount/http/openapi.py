"""The OpenAPI 3.1 document: the route table, written for machines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..adapters.protocol import CompiledPipeline
from ..settings import Settings
from ..types import JsonObject
from .components import SHARED, component_schemas, ref
from .describe import link
from .operations import OPERATIONS, OWN, REASONS, REQUEST_ID, RUN_ID, TEXT, Operation, Reply
from .parameters import JOB_ID, KEY
from .routes import PARAMETER, Route
from .tokens import PLACES

__all__ = ["SECURITY_SCHEMES", "build_openapi", "operation", "operation_id", "security_of"]

SECURITY_SCHEMES: Mapping[str, JsonObject] = {
    "basic": {"type": "http", "scheme": "basic", "description": "The key's name and the key; the name may be empty."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The key."},
    "api-key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The key."},
    "token": {"type": "apiKey", "in": "query", "name": "token", "description": "From `POST /tokens`, for one job."},
}

PROBLEM = "application/problem+json"
SECONDS: JsonObject = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}}
STATUS_HEADERS: Mapping[int, JsonObject] = {
    401: {"WWW-Authenticate": {"description": "The accepted schemes.", "schema": TEXT}},
    405: {"Allow": {"description": "The methods that are allowed.", "schema": TEXT}},
    429: SECONDS,
    503: SECONDS,
}
RUN_STATUSES = (409, 500, 502, 503, 504)


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
    documented = [route for route in routes if route.documented]
    there = {route.endpoint for route in documented}
    for route in documented:
        item = operation(route, pipelines, schemes, there)
        paths.setdefault(route.path, {})[route.methods[0].lower()] = item
    components: JsonObject = {"schemas": component_schemas(pipelines, settings)}
    document: JsonObject = {"openapi": "3.1.0", "info": _info(pipelines, settings), "paths": paths}
    if schemes:
        components["securitySchemes"] = {_camel(name): SECURITY_SCHEMES[name] for name in (*schemes, "token")}
        document["security"] = _either(schemes)
    document["servers"] = [{"url": link(base, "") or "/"}]
    document["tags"] = [{"name": name, **_described(pipeline.info.doc)} for name, pipeline in pipelines.items()]
    return document | {"components": components}


def operation(
    route: Route, pipelines: Mapping[str, CompiledPipeline], schemes: Sequence[str], there: Collection[str]
) -> JsonObject:
    """What the document says about a route's first method (HEAD is as GET, RFC 9110, section 9.3.2).

    Args:
        route: The route.
        pipelines: By their names in the app.
        schemes: As for ``build_openapi``.
        there: The endpoints that the document has.
    """
    security = {} if (asked := security_of(route, schemes)) == schemes else {"security": _either(asked)}
    if route.openapi is not None:
        return {"operationId": route.name, "summary": route.path, "tags": [SHARED], **route.openapi, **security}
    known = OPERATIONS[route.endpoint]
    described: JsonObject = {
        "operationId": operation_id(route),
        "summary": f"{known.summary}: {route.pipeline}" if route.pipeline else known.summary,
        "tags": [route.pipeline or SHARED],
        "responses": _responses(route, known, schemes, there),
        **security,
    }
    if parameters := [*([JOB_ID] if PARAMETER in route.path else []), *known.parameters]:
        described["parameters"] = parameters
    if route.endpoint == "invoke" and route.pipeline:
        described |= _described(pipelines[route.pipeline].info.doc)
    if known.takes:
        body = {"application/json": {"schema": _schema(route, known.takes)}}
        described["requestBody"] = {"required": True, "content": body}
    return described


def security_of(route: Route, schemes: Sequence[str]) -> Sequence[str]:
    """How a request for ``route`` may say who sends it; nothing where it need not."""
    if not schemes or route.permission is None:
        return ()
    return [*schemes, "token"] if _takes_token(route) else schemes


def _takes_token(route: Route) -> bool:
    return route.permission is not None and (route.endpoint, route.methods[0]) in PLACES


def _either(schemes: Sequence[str]) -> list[JsonObject]:
    return [{_camel(scheme): []} for scheme in schemes]


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


def _responses(route: Route, known: Operation, schemes: Sequence[str], there: Collection[str]) -> JsonObject:
    asked = security_of(route, schemes)
    impossible = {401} if not asked and not _takes_token(route) else set()
    if route.permission is None:
        impossible.add(403)
    responses = {str(status): _reply(route, reply, there) for status, reply in known.replies.items()}
    responses |= {str(status): _problem(status, known) for status in sorted({*known.problems} - impossible)}
    return responses | {"default": _problem(None, known)} if known.takes == "Request" and known.runs else responses


def _reply(route: Route, reply: Reply, there: Collection[str]) -> JsonObject:
    told: JsonObject = {"description": reply.description, "headers": {**REQUEST_ID, **reply.headers}}
    if reply.content:
        told["content"] = {kind: {"schema": _schema(route, schema)} for kind, schema in reply.content.items()}
    if links := [name for name in reply.links if name in there]:
        found = {"job_id": "$response.body#/job_id"}
        told["links"] = {name: {"operationId": f"{SHARED}_{name}", "parameters": found} for name in links}
    return told


def _schema(route: Route, schema: str | JsonObject) -> JsonObject:
    if not isinstance(schema, str):
        return schema
    return ref(route.pipeline if route.pipeline and schema in OWN else SHARED, schema)


def _problem(status: int | None, known: Operation) -> JsonObject:
    """A failure's response; ``None`` stands for the statuses that a pipeline's author chose."""
    return {
        "description": REASONS[status] if status else "A step chose this status.",
        "headers": REQUEST_ID | (STATUS_HEADERS.get(status, {}) if status else {}) | (RUN_ID if known.runs else {}),
        "content": {PROBLEM: {"schema": _problem_schema(status, known)}},
    }


def _problem_schema(status: int | None, known: Operation) -> JsonObject:
    problem = ref(SHARED, "Problem")
    if status == 422:
        found = ref(SHARED, "ValidationProblem")
        return {"anyOf": [found, problem]} if KEY in known.parameters else found
    if known.runs and (status is None or status in RUN_STATUSES):
        return {"anyOf": [ref(SHARED, "InvocationProblem"), problem]}
    return problem
