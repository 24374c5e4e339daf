"""Haystack's ``Pipeline`` of components; a branch is a component with two outputs. It has no map."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

from haystack import Pipeline, component


@component
class One:
    @component.output_types(value=int)
    def run(self, value: int) -> dict[str, int]:
        return {"value": value + 1}

    @component.output_types(value=int)
    async def run_async(self, value: int) -> dict[str, int]:
        return {"value": value + 1}


@component
class Fork:
    @component.output_types(yes=int, no=int)
    def run(self, value: int) -> dict[str, int]:
        return {"yes": value} if value > 0 else {"no": value}

    @component.output_types(yes=int, no=int)
    async def run_async(self, value: int) -> dict[str, int]:
        return {"yes": value} if value > 0 else {"no": value}


def line(length: int) -> Any:
    graph = Pipeline()
    for n in range(length):
        graph.add_component(f"one_{n}", One())
        if n:
            graph.connect(f"one_{n - 1}.value", f"one_{n}.value")
    return graph


def runner(graph: Any, data: Any, *last: str) -> Callable[[], Any]:
    async def run() -> Any:
        outputs = await graph.run_async(data)
        found = [outputs[name]["value"] for name in last]
        return found if len(found) > 1 else found[0]

    return run


def chain(length: int) -> Callable[[], Any]:
    return runner(line(length), {"one_0": {"value": 1}}, f"one_{length - 1}")


def side_by_side() -> Callable[[], Any]:
    graph = Pipeline()
    for name in "abc":
        graph.add_component(name, One())
    return runner(graph, {name: {"value": 1} for name in "abc"}, *"abc")


def three_sync() -> Callable[[], Any]:
    graph = line(3)
    return lambda: graph.run({"one_0": {"value": 1}})["one_2"]["value"]


def branch() -> Callable[[], Any]:
    graph = Pipeline()
    for name, made in (("first", One()), ("fork", Fork()), ("second", One())):
        graph.add_component(name, made)
    graph.connect("first.value", "fork.value")
    graph.connect("fork.yes", "second.value")
    return runner(graph, {"first": {"value": 1}}, "second")


CASES: dict[str, Callable[[], Callable[[], Any]]] = {
    "three_async": partial(chain, 3),
    "side_by_side": side_by_side,
    "three_sync": three_sync,
    "two": partial(chain, 2),
    "branch": branch,
    **{f"chain_{n}": partial(chain, n) for n in (10, 100, 1000)},
}
