"""What a pipeline says of itself, before anything is run."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import re
from collections import Counter
from typing import Any

from ..adapters.protocol import CompiledPipeline, GraphView, PipelineInfo, overrides_of
from ..errors import ConfigurationError, InvalidInputsError
from ..http.routes import check_name
from ..pipelines.schema import Schema
from .subject import Subject

__all__ = ["CAPABILITIES", "check_graph", "check_info", "check_inputs", "check_members", "check_outputs", "validator"]

CAPABILITIES = frozenset({"step-events", "deltas", "cancel:task", "cancel:between-steps", "batch", "resume"})
FIDELITIES = ("exact", "superset", "opaque")
FINGERPRINT = re.compile(r"[0-9a-f]{64}")
MEMBERS = {"info": PipelineInfo, "graph": GraphView, "input": Schema, "output": Schema, "capabilities": frozenset}
NOT_INPUTS: tuple[Any, ...] = (None, 3, "text", [], [[]], {"": None}, {"\0": {"\0": [None]}})


def check_members(subject: Subject, pipeline: Any) -> None:
    """Each member is there, of its type."""
    for name, kind in MEMBERS.items():
        _check_member(subject, pipeline, name, kind)
    for name in ("start", "stop"):
        if not inspect.iscoroutinefunction(getattr(pipeline, name, None)):
            subject.find(f"{name!r} is no coroutine function", f"Write `async def {name}(self, …)`")
    stream = getattr(pipeline, "stream", None)
    if not callable(stream) or inspect.iscoroutinefunction(stream):
        subject.find("'stream' is no generator", "Write `async def stream(self, call)` that yields, a Result last")
    run = getattr(pipeline, "run", None)
    if run is not None and not inspect.iscoroutinefunction(run):
        subject.find("'run' is no coroutine function", "Write `async def run(self, call)`, or leave it out")
    unknown = sorted(set(getattr(pipeline, "capabilities", ())) - CAPABILITIES, key=str)
    if unknown:
        subject.find(
            f"unknown capabilities: {', '.join(unknown)}", f"Declare some of {', '.join(sorted(CAPABILITIES))}"
        )


def _check_member(subject: Subject, pipeline: Any, name: str, kind: type) -> None:
    if not hasattr(pipeline, name):
        subject.find(f"{name!r} is missing", f"Give the pipeline {name!r}, a {kind.__name__}")
    elif not isinstance(value := getattr(pipeline, name), kind):
        subject.find(f"{name!r} is of type {type(value).__name__}", f"Make it a {kind.__name__}")


def check_info(subject: Subject, one: CompiledPipeline, other: CompiledPipeline) -> None:
    """Who the pipeline is, and that compiling it again makes nobody else of it."""
    for member in dataclasses.fields(PipelineInfo):
        value = getattr(one.info, member.name)
        if not isinstance(value, str):
            subject.find(f"info.{member.name} is of type {type(value).__name__}", "Make it a str")
        elif not value and member.name != "doc":
            subject.find(f"info.{member.name} is empty", "Tell callers what they reach")
    _check_name(subject, str(one.info.name))
    if not FINGERPRINT.fullmatch(str(one.info.fingerprint)):
        subject.find("the fingerprint is not 64 hexadecimal digits", "Take sha256(…).hexdigest()")
    if one.info.fingerprint != other.info.fingerprint:
        subject.find(
            "compiling twice gives two fingerprints",
            "Hash what decides the outputs in a fixed order; leave out id(), times and hash() of texts",
        )
    if one is other:
        subject.find("`make` gives the same object twice", "Compile anew in `make`: each app starts and stops its own")


def _check_name(subject: Subject, name: str) -> None:
    try:
        check_name(name)
    except ConfigurationError as error:
        subject.find(str(error), "Make a name of it that can stand in a path")


def check_graph(subject: Subject, graph: GraphView) -> None:
    """The graph can be drawn."""
    ids = [node.id for node in graph.nodes]
    if not all(ids):
        subject.find("a node has no id", "Give each node one; an empty text stands for inputs and outputs")
    for twice in _repeated(ids):
        subject.find(f"two nodes are called {twice!r}", "Give each node an id of its own")
    for source, target, _ in _repeated((edge.source, edge.target, edge.label) for edge in graph.edges):
        subject.find(f"the edge from {source!r} to {target!r} is there twice", "Tell each edge once")
    ends = {end for edge in graph.edges for end in (edge.source, edge.target)}
    for unknown in sorted(ends - {"", *ids}):
        subject.find(
            f"an edge names {unknown!r}, which is no node",
            "Name nodes by their ids; an empty text stands for inputs and outputs",
        )
    if graph.fidelity not in FIDELITIES:
        subject.find(f"the fidelity {graph.fidelity!r} is unknown", f"Say one of {', '.join(FIDELITIES)}")


def _repeated(values: Any) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def validator(subject: Subject, schema: Schema, which: str) -> Any:
    """What judges values by the pipeline's own JSON Schema; ``None`` and a finding where it is not valid itself."""
    try:
        from jsonschema import Draft202012Validator, SchemaError
    except ImportError as error:
        raise ConfigurationError("the checks need jsonschema; install pipemount[testing]") from error
    try:
        document = json.loads(json.dumps(schema.json_schema(), allow_nan=False))
        Draft202012Validator.check_schema(document)
    except SchemaError as error:
        subject.find(f"the {which} schema is no JSON Schema of draft 2020-12: {error.message}", "Correct the schema")
    except Exception as error:  # pydantic's, or the adapter's own code
        subject.find(
            f"the {which} type has no JSON Schema: {type(error).__name__}",
            "Use types that pydantic has a schema for, or annotate them with WithJsonSchema",
        )
    else:
        return Draft202012Validator(document)  # formats are annotations: a naive datetime is one of pydantic's
    return None


def check_inputs(subject: Subject, pipeline: CompiledPipeline) -> None:
    """Good inputs pass, bad ones are refused as the caller's fault."""
    judge = validator(subject, pipeline.input, "input")
    for inputs in subject.good:
        _check_good(subject, pipeline, judge, inputs)
    for inputs in subject.bad:
        if _refused(subject, pipeline.input, inputs) is False:
            subject.find(f"the bad inputs {inputs!r} are accepted", "Declare types narrow enough to refuse them")
    for inputs in NOT_INPUTS:
        _refused(subject, pipeline.input, inputs)
    if (overrides := overrides_of(pipeline)) is not None:
        validator(subject, overrides, "overrides")


def _check_good(subject: Subject, pipeline: CompiledPipeline, judge: Any, inputs: Any) -> None:
    given = copy.deepcopy(dict(inputs))
    if _refused(subject, pipeline.input, given):
        subject.find(f"the good inputs {inputs!r} are refused", "Declare types wide enough for them")
    if given != inputs:
        subject.find("validating changes what it is given", "Validate into a new object")
    if judge is not None and (fault := next(judge.iter_errors(inputs), None)) is not None:
        subject.find(
            f"the input schema refuses the good inputs {inputs!r}: {fault.message}",
            "Let the JSON Schema say what the validator does",
        )


def _refused(subject: Subject, schema: Schema, inputs: Any) -> bool | None:
    try:
        schema.validate(inputs)
    except InvalidInputsError:
        return True
    except Exception as error:  # which is what is looked for
        subject.find(
            f"validating {inputs!r} raises {type(error).__name__}",
            "Refuse with InvalidInputsError: in validators of pydantic raise ValueError",
        )
        return None
    return False


def check_outputs(subject: Subject, pipeline: CompiledPipeline, judge: Any, outputs: Any) -> Any:
    """``outputs`` as JSON values, which the output schema must know; ``None`` where they cannot be dumped."""
    try:
        dumped = pipeline.output.dump(outputs)
    except Exception as error:  # whatever the adapter's serialisers do
        subject.find(f"the outputs cannot be dumped: {error}", "Convert them, or declare the type that they have")
        return None
    if judge is not None and (fault := next(judge.iter_errors(dumped), None)) is not None:
        subject.find(
            f"the outputs do not fit the output schema: {fault.message}",
            "Make the Schema with mode='serialization', and annotate what the serialisers return",
        )
    return dumped
