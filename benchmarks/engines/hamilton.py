"""Hamilton's drivers, over functions named by what they give. It has no branch at run time."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ["HAMILTON_TELEMETRY_ENABLED"] = "false"

from hamilton import ad_hoc_utils, async_driver, driver
from hamilton.htypes import Collect, Parallelizable


def functions(length: int, *, awaited: bool) -> Any:
    """A module with ``value_1`` … that take ``value_0`` …"""
    word = "async def" if awaited else "def"
    source = "".join(
        f"{word} value_{n}(value_{n - 1}: int) -> int:\n    return value_{n - 1} + 1\n" for n in range(1, length + 1)
    )
    return ad_hoc_utils.module_from_source(source)


def chain(length: int) -> Callable[[], Any]:
    module = functions(length, awaited=True)
    made: list[Any] = []

    async def run() -> Any:
        if not made:
            made.append(await async_driver.Builder().with_modules(module).build())
        return (await made[0].execute([f"value_{length}"], inputs={"value_0": 1}))[f"value_{length}"]

    return run


def three_sync() -> Callable[[], Any]:
    made = driver.Builder().with_modules(functions(3, awaited=False)).build()
    return lambda: made.execute(["value_3"], inputs={"value_0": 1})["value_3"]


def side_by_side() -> Callable[[], Any]:
    source = "".join(f"async def {name}(value: int) -> int:\n    return value + 1\n" for name in "abc")
    module = ad_hoc_utils.module_from_source(source)
    made: list[Any] = []

    async def run() -> Any:
        if not made:
            made.append(await async_driver.Builder().with_modules(module).build())
        return list((await made[0].execute(["a", "b", "c"], inputs={"value": 1})).values())

    return run


def mapped() -> Callable[[], Any]:
    def item(values: list[int]) -> Parallelizable[int]:
        yield from values

    def one(item: int) -> int:
        return item + 1

    def outputs(one: Collect[int]) -> list[int]:
        return list(one)

    module = ad_hoc_utils.create_temporary_module(item, one, outputs)
    made = driver.Builder().with_modules(module).enable_dynamic_execution(allow_experimental_mode=True).build()
    return lambda: made.execute(["outputs"], inputs={"values": list(range(1000))})["outputs"]


CASES: dict[str, Callable[[], Callable[[], Any]]] = {
    "three_async": partial(chain, 3),
    "side_by_side": side_by_side,
    "three_sync": three_sync,
    "two": partial(chain, 2),
    "map": mapped,
    **{f"chain_{n}": partial(chain, n) for n in (10, 100, 1000, 10000)},
}
