"""Who takes part in the engine benchmark, and in what: one small module each, which exposes ``CASES``.

``CASES`` maps the names of ``Case`` to functions that build the graph and give back ``run``, a function, async or not,
that runs it once and returns the value. What a library has no graph for is not among its cases.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CASES", "ENGINES", "Case", "Engine"]


@dataclass(frozen=True, slots=True)
class Engine:
    """One column of the table.

    Attributes:
        name: Its module in this package.
        title: What the table calls it.
        distribution: Whose version is told.
        peer: The requirements file of its own virtual environment, without the suffix; empty for this one.
    """

    name: str
    title: str
    distribution: str
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table.

    Attributes:
        name: Its key in ``CASES``.
        title: What the table calls it.
        expected: What every engine's run must give.
        share: What the time of a run is divided by: the steps, where the cost per step is told.
    """

    name: str
    title: str
    expected: object
    share: int = 1


ENGINES = (
    Engine("ours", "pipemount", "pipemount"),
    Engine("pydantic_graph", "pydantic-graph", "pydantic-graph", "pydantic_graph"),
    Engine("langgraph", "LangGraph", "langgraph", "langgraph"),
    Engine("haystack", "Haystack", "haystack-ai", "haystack"),
    Engine("hamilton", "Hamilton", "apache-hamilton", "hamilton"),
    Engine("prefect", "Prefect", "prefect", "prefect"),
)

CHAINS = (10, 100, 1000, 10000)

CASES = (
    Case("three_async", "three async steps, one after the other", 4),
    Case("side_by_side", "three async steps, side by side", [2, 2, 2]),
    Case("three_sync", "a chain of three sync steps", 4),
    Case("two", "two async steps", 3),
    Case("branch", "the same, the second behind a branch", 3),
    Case("map", "a map of 1,000 items", list(range(1, 1001))),
    *(Case(f"chain_{n}", f"per step, chain of {n:,} async steps", n + 1, n) for n in CHAINS),
    Case("heard", "three async steps, somebody listens (8 events)", 4),
    Case("compile", "compiling six independent `if`s (64 variants)", 64),
)
