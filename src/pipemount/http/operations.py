"""What the OpenAPI document says of each endpoint, as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..types import JsonObject
from .parameters import AFTER, BATCH_TIMEOUT, KEY, LAST_EVENT_ID, MODE, OF_JOBS

__all__ = ["OPERATIONS", "OWN", "REASONS", "REQUEST_ID", "RUN_ID", "TEXT", "Operation", "Reply"]

JSON, HTML, STREAM = "application/json", "text/html", "text/event-stream"
TEXTS = ("application/openmetrics-text", "text/plain")

TEXT: JsonObject = {"type": "string"}
REQUEST_ID: JsonObject = {"X-Request-ID": {"description": "The request's own, echoed if it came.", "schema": TEXT}}
RUN_ID: JsonObject = {"X-Run-ID": {"description": "The run, where one exists.", "schema": TEXT}}
RECORD: JsonObject = {"Location": {"description": "The job's record.", "schema": TEXT}}
PAGE: JsonObject = {"Location": {"description": "The docs page.", "schema": TEXT}}
AGAIN: JsonObject = {
    "Idempotency-Replayed": {"description": "An earlier request with this key did the work.", "schema": TEXT}
}

REASONS: Mapping[int, str] = {
    400: "Not what HTTP or JSON allow, or two credentials in one request.",
    401: "No key, or a wrong one.",
    403: "The key lacks the permission, or a page of another origin asks.",
    404: "There is no such job, or it is somebody else's.",
    405: "The method is not allowed here.",
    406: "None of the accepted media types can be produced.",
    408: "The body did not come in time.",
    409: "The job, or the first request with this Idempotency-Key, is not in a state that allows it.",
    410: "The events that the reader would go on with are not kept any more.",
    411: "The body came in chunks, to a server that does not take them.",
    413: "The body is over the app's limit.",
    415: "The body is not declared as JSON.",
    421: "The app does not answer for this host.",
    422: "The inputs fail the schema; nothing was executed.",
    429: "All places are taken, or a caller's quota is used up.",
    500: "A step raised, or an output does not fit its type.",
    502: "A step raised what its author mapped to this status.",
    503: "Starting, draining or stopped.",
    504: "The deadline passed; the run was cancelled.",
}

ANY = (400, 401, 403, 405, 421, 500, 503)
READ = (*ANY, 406)
SEND = (*READ, 408, 411, 413, 415, 422)
OWN = frozenset({"Request", "Response", "Batch", "Results"})
"""Schemas that each pipeline has its own of."""


class Reply(NamedTuple):
    """What an operation answers when it does what it was asked for.

    Attributes:
        description: One sentence.
        content: Schemas by media type: one of the components by its name, or the schema itself.
        headers: Beside those that every answer has.
        links: Endpoints that go on with what was answered.
    """

    description: str
    content: Mapping[str, str | JsonObject] = {}
    headers: Mapping[str, JsonObject] = {}
    links: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """What the document says of an endpoint.

    Attributes:
        summary: One line.
        replies: By status.
        problems: Statuses of problems.
        takes: The schema of its body: a component by its name, or the schema itself; ``""`` where it takes none.
        parameters: Beside those of the path.
        runs: Whether a run's own failure may be the answer.
    """

    summary: str
    replies: Mapping[int, Reply]
    problems: Sequence[int] = READ
    takes: str | JsonObject = ""
    parameters: Sequence[JsonObject] = ()
    runs: bool = False


def _told(schema: str | JsonObject) -> Mapping[int, Reply]:
    return {200: Reply("As asked.", {JSON: schema})}


ACCEPTED = Reply(
    "The job was accepted.", {JSON: "Accepted"}, RUN_ID | RECORD | AGAIN, ("job", "events", "cancel", "delete")
)
OPERATIONS: Mapping[str, Operation] = {
    "index": Operation("What is served here", {**_told("Index"), 307: Reply("A browser is sent on.", {}, PAGE)}),
    "ready": Operation("Whether pipelines can run", _told("Health")),
    "live": Operation("Whether the process answers", _told("Health")),
    "openapi": Operation("This document", _told({"type": "object"})),
    "docs": Operation("This document, for people", {200: Reply("A page.", {HTML: TEXT})}),
    "pipelines": Operation("The pipelines of this app", _told("PipelineList")),
    "status": Operation("Where the app stands, and how it is set", _told("Status")),
    "metrics": Operation(
        "Counts and durations, for machines to collect",
        {200: Reply("As asked.", {JSON: "Metrics"} | dict.fromkeys(TEXTS, TEXT))},
    ),
    "info": Operation("Everything about the pipeline", _told("Info")),
    "schema": Operation("JSON Schemas of the pipeline", _told("Schemas")),
    "invoke": Operation(
        "Run the pipeline and wait",
        {200: Reply("The run completed.", {JSON: "Response", STREAM: {}}, RUN_ID | AGAIN), 202: ACCEPTED},
        (*SEND, 409, 429, 502, 504),
        takes="Request",
        parameters=(MODE, KEY),
        runs=True,
    ),
    "submit": Operation(
        "Accept a job, to be run as soon as there is a place",
        {202: ACCEPTED},
        (*SEND, 429),
        takes="Request",
        parameters=(KEY,),
    ),
    "batch": Operation(
        "Run the pipeline for each of a list",
        {200: Reply("A result for each, in its place.", {JSON: "Results"}, RUN_ID | AGAIN)},
        (*SEND, 409, 429, 504),
        takes="Batch",
        parameters=(BATCH_TIMEOUT, KEY),
        runs=True,
    ),
    "jobs": Operation("The jobs that you may see, the youngest first", _told("JobList"), (*READ, 422), "", OF_JOBS),
    "job": Operation("All that is known of a job", _told("JobRecord"), (*READ, 404)),
    "delete": Operation("Forget a job that has ended", {204: Reply("It is forgotten.")}, (*READ, 404, 409)),
    "cancel": Operation("End a job early", _told("JobRecord"), (*READ, 404, 409)),
    "resume": Operation(
        "Answer what a suspended job asks",
        _told("JobRecord"),
        (*READ, 404, 408, 409, 411, 413, 415, 422),
        {"description": "Any JSON: the answer."},
    ),
    "retry": Operation(
        "Have a new job made of one that failed or was cancelled",
        {202: ACCEPTED},
        (*READ, 404, 409, 422, 429),
        parameters=(KEY,),
    ),
    "events": Operation(
        "What happens in a job, as it happens",
        {
            200: Reply("The events.", {STREAM: {}}, RUN_ID),
            204: Reply("The reader has all events; it need not come back."),
        },
        (*READ, 404, 410, 422, 429),
        parameters=(AFTER, LAST_EVENT_ID),
    ),
    "tokens": Operation(
        "Sign a token for one job",
        {201: Reply("The token, and the links that carry it.", {JSON: "TokenResponse"})},
        (*SEND, 404),
        takes="TokenRequest",
    ),
}
