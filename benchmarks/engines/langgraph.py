"""LangGraph's ``StateGraph``: a state with one channel, conditional edges, ``Send`` for maps.

Of 10,000 steps one run takes half a minute, so that chain is left out.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send


class Number(TypedDict):
    value: int


class Numbers(TypedDict):
    values: Annotated[list[int], operator.add]


async def one(state: Number) -> Number:
    return {"value": state["value"] + 1}


def sync_one(state: Number) -> Number:
    return {"value": state["value"] + 1}


async def one_of_many(state: Number) -> Numbers:
    return {"values": [state["value"] + 1]}


def line(length: int, node: Any) -> StateGraph[Any]:
    graph = StateGraph(Number)
    for n in range(length):
        graph.add_node(f"one_{n}", node)
        graph.add_edge(f"one_{n - 1}" if n else START, f"one_{n}")
    return graph.add_edge(f"one_{length - 1}", END)


def chain(length: int) -> Callable[[], Any]:
    compiled = line(length, one).compile()
    config: Any = {"recursion_limit": length + 10}

    async def run() -> Any:
        return (await compiled.ainvoke({"value": 1}, config))["value"]

    return run


def three_sync() -> Callable[[], Any]:
    compiled = line(3, sync_one).compile()
    return lambda: compiled.invoke({"value": 1})["value"]


def side_by_side() -> Callable[[], Any]:
    graph = StateGraph(Numbers)

    async def from_start(state: Numbers) -> Numbers:
        return {"values": [2]}

    for name in "abc":
        graph.add_node(name, from_start).add_edge(START, name).add_edge(name, END)
    compiled = graph.compile()

    async def run() -> Any:
        return (await compiled.ainvoke({"values": []}))["values"]

    return run


def branch() -> Callable[[], Any]:
    graph = StateGraph(Number).add_node("first", one).add_node("second", one).add_edge(START, "first")
    graph.add_conditional_edges("first", lambda state: state["value"] > 0, {True: "second", False: END})
    compiled = graph.add_edge("second", END).compile()

    async def run() -> Any:
        return (await compiled.ainvoke({"value": 1}))["value"]

    return run


def mapped() -> Callable[[], Any]:
    graph = StateGraph(Numbers).add_node("one", one_of_many).add_edge("one", END)
    graph.add_conditional_edges(START, lambda state: [Send("one", {"value": n}) for n in range(1000)], ["one"])
    compiled = graph.compile()

    async def run() -> Any:
        return (await compiled.ainvoke({"values": []}))["values"]

    return run


CASES: dict[str, Callable[[], Callable[[], Any]]] = {
    "three_async": partial(chain, 3),
    "side_by_side": side_by_side,
    "three_sync": three_sync,
    "two": partial(chain, 2),
    "branch": branch,
    "map": mapped,
    **{f"chain_{n}": partial(chain, n) for n in (10, 100, 1000)},
}
