"""The compiled, frozen form of a pipeline: values only, made by ``compiler``, walked by the executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import TypeAdapter

from .specs import Hooks, ParameterField, StepSpec

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
    "Node",
    "Operator",
    "Output",
    "Parameter",
    "Path",
    "ResultField",
    "Shape",
    "Snapshot",
    "Source",
]

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
