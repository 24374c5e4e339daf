"""The compiled, frozen form of a pipeline: values only, made by ``compiler``, walked by the executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import TypeAdapter

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .schema import Schema

__all__ = [
    "EVERY_PATH",
    "Access",
    "Binding",
    "Branch",
    "Choice",
    "Collected",
    "Condition",
    "Constant",
    "Edge",
    "Fan",
    "Hook",
    "Hooks",
    "Node",
    "Operator",
    "Output",
    "OutputField",
    "Parameter",
    "ParameterField",
    "Path",
    "ResultField",
    "Retry",
    "Shape",
    "Snapshot",
    "Source",
    "StepKind",
    "StepSpec",
]

# ------------------------------------------------------------------------------------- what a step is

StepKind: TypeAlias = Literal["async", "thread", "loop"]
"""Where a step runs: awaited on the home loop; in the app's thread pool; called on the home loop."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When and how often a failed step is attempted again.

    Attributes:
        attempts: Attempts in all, the first included; at least 1.
        delay: Seconds before the second attempt.
        backoff: Factor by which the delay grows with each further attempt.
        max_delay: Seconds that a delay never exceeds.
        jitter: Share of the delay, 0 to 1, that is drawn at random and added.
        on: Exception classes that are retried; others fail the step at once.
    """

    attempts: int = 3
    delay: float = 0.0
    backoff: float = 2.0
    max_delay: float = 60.0
    jitter: float = 0.0
    on: tuple[type[BaseException], ...] = (Exception,)

    def __post_init__(self) -> None:
        faults = {
            "attempts must be a whole number of at least 1": not isinstance(self.attempts, int) or self.attempts < 1,
            "delay must be 0 s or more": not _is_number(self.delay) or not self.delay >= 0,
            "backoff must be above 0": not _is_number(self.backoff) or not self.backoff > 0,
            "max_delay must be 0 s or more": not _is_number(self.max_delay) or not self.max_delay >= 0,
            "jitter must be between 0 and 1": not _is_number(self.jitter) or not 0 <= self.jitter <= 1,
            "on must be a tuple of exception classes": not _are_exceptions(self.on),
        }
        if wrong := [fault for fault, is_wrong in faults.items() if is_wrong]:
            raise ConfigurationError(f"Retry: {'; '.join(wrong)}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _are_exceptions(classes: object) -> bool:
    return isinstance(classes, tuple) and all(isinstance(c, type) and issubclass(c, BaseException) for c in classes)


@dataclass(frozen=True, slots=True)
class Hook:
    """A function, or the ``"module:function"`` that names one, and the arguments it is called with."""

    target: Callable[..., Any] | str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hooks:
    """Hooks of a pipeline or of a step; a step has no ``on_init`` and no ``on_cleanup``."""

    on_init: Hook | None = None
    on_cleanup: Hook | None = None
    on_start: Hook | None = None
    on_success: Hook | None = None
    on_failure: Hook | None = None
    on_end: Hook | None = None


@dataclass(frozen=True, slots=True)
class ParameterField:
    """A parameter of a step or of a pipeline.

    Attributes:
        name: As the author wrote it and callers send it.
        attribute: Its key in ``vars()`` of the validated input model; differs from ``name`` only where
            pydantic reserves the name.
        annotation: Its resolved type, ``Annotated`` metadata included.
        required: Whether it has no default.
        default: The default, where ``required`` is false.
    """

    name: str
    attribute: str
    annotation: Any
    required: bool
    default: Any = None


@dataclass(frozen=True, slots=True)
class OutputField:
    """A named output of a step, and the type it was declared with."""

    name: str
    annotation: Any


@dataclass(frozen=True, slots=True)
class StepSpec:
    """A step as its author declared it.

    Attributes:
        function: What is called: plain, ``async``, generator or async generator function.
        name: The function's name unless the author gave another.
        kind: Where it runs.
        generator: Whether it yields deltas.
        collects: Whether a generator's output is the list of all it yielded, as for async generators and for
            sync ones whose annotation names no return value; otherwise the output is what it returns.
        parameters: In the order of the signature, the context parameter left out.
        outputs: One, or several where the return annotation is a tuple.
        context_parameter: Name of the parameter annotated ``StepContext``, if there is one.
        version: SHA-256 of the function's source, or of its bytecode where there is no source.
    """

    function: Callable[..., Any]
    name: str
    kind: StepKind
    generator: bool
    parameters: tuple[ParameterField, ...]
    outputs: tuple[OutputField, ...]
    context_parameter: str | None = None
    retry: Retry | None = None
    timeout: float | None = None
    hooks: Hooks = Hooks()
    public_errors: tuple[type[BaseException], ...] = ()
    error_statuses: Mapping[type[BaseException], int] = field(default_factory=dict)
    collects: bool = False
    version: str = ""
    doc: str = ""


# -------------------------------------------------------------------------------- where a value is from


@dataclass(frozen=True, slots=True)
class Access:
    """One hop into a value: ``.key`` or ``[key]``."""

    kind: Literal["attribute", "item"]
    key: str | int


@dataclass(frozen=True, slots=True)
class Constant:
    """A value written in the pipeline's body; no request can change it, and no run: each is handed a copy.

    Attributes:
        value: Validated against the parameter that it is bound to.
    """

    value: Any


@dataclass(frozen=True, slots=True)
class Parameter:
    """A pipeline parameter, or a field inside it."""

    name: str
    path: tuple[Access, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """A step's output, or a field inside it.

    Attributes:
        node: Id of the node that makes it.
        index: Position in the tuple that the step returns, or ``None`` for a step with one output.
        path: Hops into that value.
    """

    node: str
    index: int | None = None
    path: tuple[Access, ...] = ()


@dataclass(frozen=True, slots=True)
class Collected:
    """A list, tuple or dict written in the body with references inside.

    Attributes:
        kind: Which of the three.
        items: Its values, in order.
        keys: Its keys, for a dict; empty otherwise.
    """

    kind: Literal["list", "tuple", "dict"]
    items: tuple[Source, ...]
    keys: tuple[Any, ...] = ()


EVERY_PATH = -1
"""The bits of a set of paths: bit *i* stands for ``Snapshot.paths[i]``, and all of them for every path."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that differs with the path that a run takes.

    Attributes:
        options: Sets of paths, as bits, and where the value is from on each; the sets share no path.
    """

    options: tuple[tuple[int, Source], ...]


Source: TypeAlias = Constant | Parameter | Output | Collected | Choice


# ------------------------------------------------------------------------------------------- the graph


@dataclass(frozen=True, slots=True)
class Binding:
    """How a step's parameter gets its value.

    Attributes:
        parameter: The step's own name for it.
        source: Where the value comes from.
        coerce: Validates the value at run time where the types alone do not prove the edge; ``None``
            where they do.
    """

    parameter: str
    source: Source
    coerce: TypeAdapter[Any] | None = None


@dataclass(frozen=True, slots=True)
class Fan:
    """How a node is repeated, once per item; its values are lists, in the order of the items.

    Attributes:
        kind: ``map`` takes the lists side by side, which must be of one length; ``product`` every combination.
        over: The parameters whose values are lists of items, in the order of the call.
        max_concurrency: How many items may run at the same time; ``None`` for no limit but the threads'.
    """

    kind: Literal["map", "product"]
    over: tuple[str, ...]
    max_concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One step call of the body.

    Attributes:
        id: Unique in the snapshot: the step's name, ``name_2`` …, the author's ``id=``, or
            ``pipeline/step`` for an inlined pipeline.
        step: What is called; for a map of a pipeline only its name, parameters and outputs.
        bindings: Parameters bound in the body; the others take the function's own default. What a ``Fan`` goes over
            is bound to the whole list, and ``coerce`` validates one item.
        after: Ids of nodes that must end first though no data flows.
        needs: Ids of all nodes that must end first on any path, by data or by ``after``.
        file: Source file of the call.
        line: Its line number.
        fan: How it is repeated, if it is.
        body: The pipeline that is run for each item of a ``Fan``, in the place of ``step.function``.
        paths: The paths that it is on, as bits. On others it is never run, and counts as ended.
        decided_by: Ids of the branches that decide whether it runs and on what; they must be answered first.
    """

    id: str
    step: StepSpec
    bindings: tuple[Binding, ...]
    after: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    file: str = ""
    line: int = 0
    fan: Fan | None = None
    body: Snapshot | None = None
    paths: int = EVERY_PATH
    decided_by: tuple[str, ...] = ()

    @property
    def unbound(self) -> tuple[ParameterField, ...]:
        """Parameters left to the function's default; what a request's ``steps`` may override."""
        bound = {binding.parameter for binding in self.bindings}
        return tuple(p for p in self.step.parameters if p.name not in bound)


@dataclass(frozen=True, slots=True)
class Edge:
    """A dependency between two nodes, for drawing and describing.

    Attributes:
        source: Node id, or ``""`` for the pipeline's parameters.
        target: Node id, or ``""`` for the pipeline's outputs.
        label: The parameter or output that the data becomes; empty for ``after``.
        verdict: ``ok`` or ``coerce`` for data, ``after`` for order alone.
        conditional: Whether the edge exists on some paths only.
    """

    source: str
    target: str
    label: str = ""
    verdict: Literal["ok", "coerce", "after"] = "ok"
    conditional: bool = False


Operator: TypeAlias = Literal["truth", "==", "<", "<=", ">", ">=", "in", "is"]


@dataclass(frozen=True, slots=True)
class Condition:
    """What a branch asks.

    Attributes:
        operator: ``truth`` asks ``bool(left)``; the others compare, with Python's meaning, ``left`` and ``right``.
        left: The left operand.
        right: The right operand; ``None`` for ``truth``.
    """

    operator: Operator
    left: Source
    right: Source | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """A recorded decision of the body, asked at most once in a run.

    Attributes:
        id: Unique in the snapshot, and no node's: ``branch``, ``branch_2`` ….
        condition: What is asked.
        text: The condition as the author would write it, e.g. ``units == 'F'``.
        when_true: Ids of the nodes and branches that run because of the answer yes.
        when_false: Of those because of the answer no.
        paths_true: The paths, as bits, on which the answer is yes.
        paths_false: Those on which it is no. On others it is not asked, and counts as ended.
        needs: Ids of the nodes whose outputs are asked about, on any path.
        decided_by: Ids of the branches that must be answered first.
        file: Source file of the decision.
        line: Its line number.
    """

    id: str
    condition: Condition
    text: str = ""
    when_true: tuple[str, ...] = ()
    when_false: tuple[str, ...] = ()
    paths_true: int = 0
    paths_false: int = 0
    needs: tuple[str, ...] = ()
    decided_by: tuple[str, ...] = ()
    file: str = ""
    line: int = 0

    @property
    def paths(self) -> int:
        """The paths on which it is asked, as bits."""
        return self.paths_true | self.paths_false


Path: TypeAlias = tuple[tuple[str, bool], ...]
"""One way through the body: the branches that are asked on it, by id, and their answers."""

Shape: TypeAlias = Literal["value", "tuple", "dict", "none"]
"""The form of the body's return statement; in-process calls answer in it."""


@dataclass(frozen=True, slots=True)
class ResultField:
    """A named output of the pipeline.

    Attributes:
        name: Its key in the outputs.
        source: Where it is from.
        annotation: Its type.
        optional: Whether it is left out on some paths.
        paths: The paths that it exists on, as bits.
    """

    name: str
    source: Source
    annotation: Any
    optional: bool = False
    paths: int = EVERY_PATH


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An immutable, checked, drawable pipeline.

    Attributes:
        name: The pipeline's name.
        doc: Its docstring, dedented.
        parameters: In the order of the signature.
        nodes: In topological order; equal ranks in the order of the body.
        edges: Between nodes, from ``""`` (parameters) and to ``""`` (outputs).
        branches: Recorded decisions, each after those that it is decided by.
        results: Outputs in the order of the return statement.
        shape: The form of the return statement.
        input: Schema of the parameters: validates to an instance of the generated model, whose
            ``vars()`` are keyed by ``ParameterField.attribute``.
        output: Schema of the outputs: a JSON object keyed by ``ResultField.name``.
        overrides: Schema of a request's ``steps`` member: validates to
            ``{node id: {"parameters": {name: value}}}``, only what was sent.
        hooks: Of the pipeline.
        fingerprint: SHA-256, 64 hexadecimal digits, over canonical JSON of topology, schemas and step versions.
        paths: The ways through the body; empty where there are no branches.
    """

    name: str
    doc: str
    parameters: tuple[ParameterField, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    branches: tuple[Branch, ...]
    results: tuple[ResultField, ...]
    shape: Shape
    input: Schema
    output: Schema
    overrides: Schema
    hooks: Hooks
    fingerprint: str
    paths: tuple[Path, ...] = ()
