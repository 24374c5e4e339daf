"""pydantic-graph's builder, as its documentation shows: steps are async, decisions match, maps end in a join."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

from pydantic_graph import GraphBuilder, StepContext, TypeExpression, reduce_list_append


async def one(context: StepContext[None, None, int]) -> int:
    return context.inputs + 1


def runner(builder: Any, inputs: Any = 1) -> Callable[[], Any]:
    graph = builder.build()

    async def run() -> Any:
        return await graph.run(inputs=inputs)

    return run


def chain(length: int) -> Callable[[], Any]:
    builder = GraphBuilder(name="chain", input_type=int, output_type=int)
    nodes = [builder.start_node, *(builder.step(one, node_id=f"one_{n}") for n in range(length)), builder.end_node]
    builder.add(*(builder.edge_from(a).to(b) for a, b in pairwise(nodes)))
    return runner(builder)


def side_by_side() -> Callable[[], Any]:
    builder = GraphBuilder(name="side", input_type=int, output_type=list[int])
    steps = [builder.step(one, node_id=f"one_{n}") for n in range(3)]
    join = builder.join(reduce_list_append, initial_factory=list)
    builder.add(
        builder.edge_from(builder.start_node).to(*steps),
        builder.edge_from(*steps).to(join),
        builder.edge_from(join).to(builder.end_node),
    )
    return runner(builder)


def branch() -> Callable[[], Any]:
    builder = GraphBuilder(name="branch", input_type=int, output_type=int)
    first, second = builder.step(one, node_id="first"), builder.step(one, node_id="second")
    decision = (
        builder.decision()
        .branch(builder.match(TypeExpression[int], matches=lambda value: value > 0).to(second))
        .branch(builder.match(TypeExpression[int]).to(builder.end_node))
    )
    builder.add(
        builder.edge_from(builder.start_node).to(first),
        builder.edge_from(first).to(decision),
        builder.edge_from(second).to(builder.end_node),
    )
    return runner(builder)


def mapped() -> Callable[[], Any]:
    builder = GraphBuilder(name="map", input_type=list[int], output_type=list[int])
    step = builder.step(one, node_id="one")
    join = builder.join(reduce_list_append, initial_factory=list)
    builder.add(
        builder.edge_from(builder.start_node).map().to(step),
        builder.edge_from(step).to(join),
        builder.edge_from(join).to(builder.end_node),
    )
    graph = runner(builder, list(range(1000)))

    async def run() -> Any:
        return sorted(await graph())  # in the order in which they ended

    return run


CASES: dict[str, Callable[[], Callable[[], Any]]] = {
    "three_async": partial(chain, 3),
    "side_by_side": side_by_side,
    "two": partial(chain, 2),
    "branch": branch,
    "map": mapped,
    **{f"chain_{n}": partial(chain, n) for n in (10, 100, 1000, 10000)},
}
