"""The bodies of the HTTP contract: what an invocation sends, what it gets, and what a failure looks like.

The request is one pydantic model per pipeline, so that one ``validate_json`` checks the envelope, the inputs and the
overrides in a single pass. The response models are never instantiated (the service writes its bytes itself); they say
what is answered, for the OpenAPI document and ``/schema``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired, TypeAlias, Union

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints, TypeAdapter, create_model
from typing_extensions import TypedDict

from ..adapters.protocol import CompiledPipeline, overrides_of
from ..pipelines.flooding import guarded
from ..pipelines.schema import Schema

__all__ = [
    "MIN_TIMEOUT",
    "RUN_NAME_PLACEHOLDERS",
    "CaptureOverride",
    "InvocationProblem",
    "ItemProblem",
    "Problem",
    "RunMetadata",
    "ValidationProblem",
    "batch_model",
    "request_model",
    "response_model",
]

RUN_NAME_PLACEHOLDERS = ("{date}", "{time}", "{run_id}")
RUN_NAME_PATTERN = r"^([^{}]|\{date\}|\{time\}|\{run_id\})*$"

MIN_TIMEOUT = 0.05  # seconds; with less a caller would always be answered 504, and blame the app
MAX_EXPIRES = 10 * 366 * 86400.0

RunName: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=RUN_NAME_PATTERN)]
NoSteps: TypeAlias = Annotated[dict[str, Any], Field(max_length=0)]


class CaptureOverride(BaseModel):
    """How much of this run is recorded; only as far as the app allows."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["full", "sampled", "errors_only", "metadata", "none"]


def request_model(name: str, compiled: CompiledPipeline, *, max_timeout: float | None = None) -> Schema:
    """The body of ``POST …/invoke`` for one pipeline.

    Args:
        name: The pipeline's name in the app.
        compiled: Its ``input`` becomes the field ``parameters``, its ``overrides`` the field ``steps``.
        max_timeout: The most seconds that a request may ask for; more is 422.

    Returns:
        A schema that validates to a dict with ``parameters`` (what the input schema validates to) and those of
        ``steps``, ``run_name``, ``timeout``, ``expires``, ``capture_override`` and ``skip_artifact_materialization``
        that were sent.
    """
    overrides = overrides_of(compiled)
    steps = overrides.annotation if overrides else NoSteps
    timeout = Annotated[float, Field(ge=MIN_TIMEOUT, le=max_timeout, allow_inf_nan=False, strict=True)]
    expires = Annotated[float, Field(ge=MIN_TIMEOUT, le=MAX_EXPIRES, allow_inf_nan=False, strict=True)]
    members: dict[str, Any] = {
        "parameters": Annotated[compiled.input.annotation, Field(description="The pipeline's inputs.")],
        "steps": _optional(steps, "Overrides of steps' own default parameters, by step id."),
        "run_name": _optional(RunName, f"A name for people; may hold {', '.join(RUN_NAME_PLACEHOLDERS)}."),
        "timeout": _optional(timeout, "Seconds after which the run is cancelled."),
        "expires": _optional(expires, "Seconds in which the run is to be begun; later it is not, and has failed."),
        "capture_override": _optional(CaptureOverride, "How much of this run is recorded."),
        "skip_artifact_materialization": NotRequired[
            Annotated[bool, Field(strict=True, description="Accepted for compatibility; outputs are in memory anyway.")]
        ],
    }
    make: Any = TypedDict  # type checkers know literal ones only; validating into a dict is faster than into a model
    envelope = make(f"{name}_Request", members)
    envelope.__pydantic_config__ = ConfigDict(extra="forbid")
    envelope.__doc__ = f"What to run the pipeline {name} with."
    envelope.__module__ = __name__
    adapter = TypeAdapter(envelope)
    adapter.validator = guarded(adapter.validator, adapter.core_schema)
    return Schema(envelope, adapter)


def _optional(annotation: Any, description: str) -> Any:
    return NotRequired[Annotated[annotation | None, Field(description=description)]]


def batch_model(name: str, compiled: CompiledPipeline, limit: int) -> Schema:
    """The body of ``POST …/batch``: a list of a pipeline's inputs. What cannot be run is told in its place."""
    item: Any = Union[compiled.input.annotation, Any]  # noqa: UP007 - annotations may be of kinds that know no "|"
    items = Annotated[list[item], Field(max_length=limit)]
    doc = f"Inputs of runs of the pipeline {name}; another value is answered with a problem in its place."
    model = create_model(f"{name}_Batch", __base__=RootModel[items], __doc__=doc, __module__=__name__)
    return Schema(model, TypeAdapter(model))


class RunMetadata(BaseModel):
    """Which run of what answered; the names are those that ZenML's clients read."""

    deployment_id: str = Field(description="Identifies this app's process.")
    deployment_name: str
    snapshot_id: str = Field(description="The pipeline's fingerprint.")
    snapshot_name: str | None
    pipeline_name: str
    run_id: str
    run_index: int
    run_name: str
    parameters_used: dict[str, Any] = Field(description="The inputs as validated, defaults included.")


def response_model(name: str, compiled: CompiledPipeline) -> Schema:
    """The body of a successful invocation of one pipeline; failures are problems, never this."""
    fields: dict[str, Any] = {
        "success": (Literal[True], ...),
        "outputs": (compiled.output.annotation, ...),
        "execution_time": (float, Field(ge=0, allow_inf_nan=False, description="Seconds.")),
        "metadata": (RunMetadata, ...),
        "error": (None, ...),
    }
    doc = f"What a completed run of the pipeline {name} answers."
    model = create_model(f"{name}_Response", __doc__=doc, __module__=__name__, **fields)
    return Schema(model, TypeAdapter(model), "serialization")


class Problem(BaseModel):
    """A failure (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="The page that explains this kind of failure.", json_schema_extra={"format": "uri"})
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    code: str = Field(description="Kebab-case; for machines to branch on.")
    instance: str = Field(description="The path that was asked for.")


class Fault(BaseModel):
    """One fault of the inputs; the value itself is never echoed."""

    loc: list[str | int]
    msg: str
    type: str


class ValidationProblem(Problem):
    """Inputs that fail the schema; nothing was executed."""

    errors: list[Fault]


class InvocationProblem(Problem):
    """A run that did not complete, in the fields of an invocation's response as well."""

    success: Literal[False]
    outputs: None
    error: str
    run_id: str | None
    step: str | None


class ItemProblem(Problem):
    """Why one item of a batch has no outputs, in the fields of an invocation's response as well.

    Its ``instance`` is its place in the list, as a fragment: ``#/3``.
    """

    success: Literal[False]
    outputs: None
    error: str


# ----------------------------------------------------------------------- what the other routes answer


class Health(BaseModel):
    """Whether the app answers, or can run pipelines."""

    model_config = ConfigDict(extra="allow")

    status: str


class RouteEntry(BaseModel):
    """One route of the index."""

    path: str
    methods: list[str]
    url: str


class Index(BaseModel):
    """What is served here."""

    pipelines: list[str]
    routes: list[RouteEntry]


class TokenResponse(BaseModel):
    """A token for one job, and the links that carry it."""

    token: str = Field(description="What `?token=` takes.")
    job_id: str
    permission: Literal["read", "cancel"]
    expires_at: datetime
    urls: dict[str, str] = Field(description="By what is there: `job`, `events`, `cancel`, `websocket`.")


class PipelineEntry(BaseModel):
    """One pipeline of the app, and where it is."""

    name: str
    description: str
    fingerprint: str
    urls: dict[str, str]


class PipelineList(BaseModel):
    """The pipelines of the app."""

    pipelines: list[PipelineEntry]


class Schemas(BaseModel):
    """JSON Schemas (draft 2020-12) of a pipeline."""

    input: dict[str, Any]
    output: dict[str, Any]
    steps: dict[str, Any] = Field(description="Of a request's member of this name.")


class Framework(BaseModel):
    """What the pipeline was written with."""

    name: str
    version: str


class Auth(BaseModel):
    """Whether a key is needed, and how it may be presented."""

    enabled: bool
    schemes: list[str]


class Port(BaseModel):
    """An input or an output; optional where callers or runs may leave it out."""

    name: str
    optional: bool


class Layout(BaseModel):
    """Where the graph is drawn, in pixels from the top left corner."""

    width: float
    height: float
    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]


class Graph(BaseModel):
    """The pipeline as nodes and edges; ``""`` stands for the inputs as a source and for the outputs as a target."""

    fidelity: Literal["exact", "superset", "opaque"]
    inputs: list[Port]
    outputs: list[Port]
    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]
    settings: dict[str, Any]
    layout: Layout


class KeptJobs(BaseModel):
    """What becomes of jobs."""

    durable: bool = Field(description="Whether they outlive the process that accepted them.")
    runner: Literal["local", "external"] = Field(description="Whether this process performs them, or only others do.")


class Info(BaseModel):
    """Everything about a pipeline that a client can know."""

    name: str
    description: str
    version: str
    fingerprint: str
    framework: Framework
    capabilities: list[str]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    graph: Graph
    auth: Auth
    jobs: KeptJobs
    urls: dict[str, str]


class Sample(BaseModel):
    """One value of a counter or a gauge."""

    labels: dict[str, str]
    value: float


class Observed(BaseModel):
    """One value of a histogram."""

    labels: dict[str, str]
    count: int
    sum: float = Field(description="Of all that was observed.")
    buckets: dict[str, int] = Field(description="How many were observed up to a bound, by bound.")


class Metric(BaseModel):
    """Samples of one name."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    samples: list[Sample | Observed]


class Metrics(BaseModel):
    """What the process has counted since it started."""

    metrics: list[Metric]


class Percentiles(BaseModel):
    """Seconds that runs took, of the last 1,024 of each pipeline; null before the first."""

    p50: float | None
    p95: float | None
    p99: float | None


class Limits(BaseModel):
    """The most runs that may be under way, and that may wait for a place."""

    active: int
    queued: int


class Concurrency(Percentiles):
    """What runs and what waits."""

    active: int = Field(description="Places that are taken.")
    cancelling: int = Field(description="Of these, by runs that have ended but for a function in a thread.")
    queued: int
    limits: Limits
    rejected: int = Field(description="Requests that were answered 429.")


class PipelineStatus(Percentiles):
    """How one pipeline fares."""

    fingerprint: str
    active: int
    runs: dict[str, int] = Field(description="That ended, by result.")


class Status(BaseModel):
    """Where the app stands in this process, and how it is set."""

    state: Literal["new", "starting", "ready", "failed", "draining", "stopped"]
    draining: bool = Field(description="Whether the process was told to stop.")
    started: float | None = Field(description="When pipelines could be run, Unix time.")
    uptime: float | None = Field(description="Seconds since.")
    pipemount: str = Field(description="The version of pipemount.")
    concurrency: Concurrency
    jobs: dict[str, int] | None = Field(description="That are known, by status; null where they are not at hand.")
    streams: int = Field(description="Streams of events that are open.")
    pipelines: dict[str, PipelineStatus]
    auth: Auth
    settings: dict[str, Any]
