"""Ten thousand steps, one after the other and side by side: they end, and no recursion limit is met."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.graphs import branch, choose, execute, graph, node, of

from pipemount import step
from pipemount.pipelines.snapshot import Collected, Fan
from pipemount.runtime.plan import build_plan

MANY = 10_000


@step
async def plus(x: int) -> int:
    return x + 1


@step
def sync_plus(x: int) -> int:
    return x + 1


@pytest.fixture(autouse=True)
def shallow() -> Iterator[None]:
    """Whatever grew with the number of steps would meet this limit."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.parametrize("function", [plus, sync_plus])
async def test_a_chain(function: Any) -> None:
    nodes = [node("n0", function, x="$x"), *(node(f"n{i}", function, x=of(f"n{i - 1}")) for i in range(1, MANY))]
    body = graph(*nodes, inputs={"x": int}, outputs={"y": of(f"n{MANY - 1}")})

    assert await execute(body, x=0) == {"y": MANY}


@pytest.mark.parametrize("function", [plus, sync_plus])
async def test_a_map(function: Any) -> None:
    body = graph(
        node("items", function, fan=Fan("map", ("x",)), x="$xs"), inputs={"xs": Any}, outputs={"y": of("items")}
    )

    assert await execute(body, xs=range(MANY)) == {"y": list(range(1, MANY + 1))}


async def test_steps_side_by_side_and_what_joins_them() -> None:
    @step
    async def total(xs: list[int]) -> int:
        return sum(xs)

    nodes = [node(f"n{i}", plus, x="$x") for i in range(MANY)]
    body = graph(
        *nodes,
        node("total", total, xs=Collected("list", tuple(of(n.id) for n in nodes))),
        inputs={"x": int},
        outputs={"y": of("total")},
    )

    assert await execute(body, x=1) == {"y": 2 * MANY}


async def test_branches_one_after_the_other() -> None:
    """A row of sixty-three ``elif``, and a row of steps behind it."""
    count = 63
    every = (1 << count + 1) - 1
    branches = [
        branch(
            f"b{i}",
            "==",
            "$x",
            i,
            yes=1 << i,
            no=every & ~((1 << i + 1) - 1),
            decided_by=[f"b{i - 1}"] if i else [],
        )
        for i in range(count)
    ]
    first = choose(*((1 << i, i * 100) for i in range(count + 1)))
    steps = [node("n0", plus, x=first, decided_by=[b.id for b in branches])]
    steps += [node(f"n{i}", plus, x=of(f"n{i - 1}")) for i in range(1, 100)]
    body = graph(*steps, inputs={"x": int}, outputs={"y": of("n99")}, branches=branches, paths=count + 1)

    assert build_plan(body).swift
    assert await execute(body, swiftly=True, x=50) == {"y": 5100}
    assert await execute(body, x=-1) == {"y": 6400}
