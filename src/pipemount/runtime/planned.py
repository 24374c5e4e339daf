"""The parts of a plan: nodes, branches and outputs, with what the executor needs at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ..pipelines.snapshot import Branch, Fan, Node
from .turn import Argument, Turn
from .values import Getter, Values

__all__ = ["Element", "PlannedBranch", "PlannedFan", "PlannedNode", "PlannedResult"]


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node with what the executor needs at hand.

    Attributes:
        index: Its place among the run's values.
        node: The node of the snapshot.
        waits: Ids of the nodes and branches that must end first.
        paths: The paths that it is on, as bits.
        arguments: What its parameters are bound to.
        turn: What is performed; its name lacks the run's prefix.
        threaded: Whether it runs in the app's threads.
        alone: Whether it must have a thread hop of its own: the loop times it, or calls its hooks.
        swift: Whether a bare call on the loop is all that it takes.
        fan: How it is repeated, if it is; then it is neither threaded nor alone nor swift, whatever its items are.
    """

    index: int
    node: Node
    waits: tuple[str, ...]
    paths: int
    arguments: tuple[Argument, ...]
    turn: Turn
    threaded: bool
    alone: bool
    swift: bool
    fan: PlannedFan | None = None

    @property
    def id(self) -> str:
        """The node's."""
        return self.node.id


@dataclass(frozen=True, slots=True)
class PlannedFan:
    """How a node is repeated.

    Attributes:
        fan: As the snapshot has it.
        over: The arguments that are lists of items; what ``coerce`` validates is one item.
        shared: The other arguments.
        inputs: For a mapped pipeline, its parameters: attribute, name, and the default if there is one.
    """

    fan: Fan
    over: tuple[Argument, ...]
    shared: tuple[Argument, ...]
    inputs: tuple[tuple[str, str, Getter | None], ...]


@dataclass(frozen=True, slots=True)
class PlannedBranch:
    """A branch with what the executor needs at hand.

    Attributes:
        branch: The branch of the snapshot.
        waits: Ids of the nodes and branches that must end first.
        paths: The paths that it is asked on, as bits.
        ask: Asks its condition.
        if_true: The paths that the answer yes leaves, as bits.
        if_false: Those that no leaves.
    """

    branch: Branch
    waits: tuple[str, ...]
    paths: int
    ask: Callable[[Values], bool]
    if_true: int
    if_false: int

    @property
    def id(self) -> str:
        """The branch's."""
        return self.branch.id


class PlannedResult(NamedTuple):
    """An output of the pipeline: its name, where it is from, and the paths that it exists on, as bits."""

    name: str
    get: Getter
    paths: int


Element: TypeAlias = PlannedNode | PlannedBranch
