"""Fingerprints: the same in every process, another for another pipeline."""

from __future__ import annotations

import os
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import pipemount
from pipemount.pipelines.authoring import PipelineDefinition, Step, step
from pipemount.pipelines.constants import canonical
from pipemount.pipelines.fingerprint import source_version

PROGRAM = """
from pipemount.pipelines.authoring import PipelineDefinition, step

@step
def use(value: object, words: frozenset[str] = frozenset({"x"})) -> str:
    return "a" if value in {"one", "two", "three"} else "b"

def body(text: str = "x"):
    return use({"one", "two", "three", "four"}), use({"a": [text, frozenset({"p", "q", "r"})]})

print(PipelineDefinition(body).compile().fingerprint)
"""


def test_the_same_in_every_process() -> None:
    found = set()
    for seed in ("0", "1", "2"):
        source = str(Path(pipemount.__file__).parent.parent)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": source}
        answer = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
        )
        found.add(answer.stdout.strip())
    (fingerprint,) = found
    assert len(fingerprint) == 64
    assert set(fingerprint) <= set("0123456789abcdef")


@step
def use(value: Any, style: str = "a") -> str:
    return str(value)


def make(constant: Any = 1, *, name: str | None = None, on_init: Any = None, used: Step = use) -> str:
    def body(text: str = "x"):  # type: ignore[no-untyped-def]
        return used([text, constant])

    return PipelineDefinition(body, name=name, on_init=on_init).compile().fingerprint


def test_another_for_another_pipeline() -> None:
    other = step(lambda value: value).with_options(name="use")
    found = [
        make(),
        make(2),
        make("1"),
        make([1]),
        make(name="other"),
        make(on_init="module:function"),
        make(on_init=use.function),
        make(used=use.with_options(timeout=3)),
        make(used=other),
    ]
    assert len(set(found)) == len(found)
    assert make() == make()


def test_versions_without_source() -> None:
    namespace: dict[str, Any] = {}
    exec("def f(x):\n    def g(y):\n        return y in {'a', 'b'}\n    return g", namespace)
    exec("def h(x):\n    def g(y):\n        return y in {'a', 'c'}\n    return g", namespace)
    assert source_version(namespace["f"]) == source_version(namespace["f"])
    assert source_version(namespace["f"]) != source_version(namespace["h"])
    assert source_version(len) != source_version(print)


def test_canonical_values() -> None:
    class Model(BaseModel):
        tags: set[str]

    class Color(Enum):
        RED = "red"

    assert canonical({"a": {3, 1, 2}}) == [["a", [1, 2, 3]]]
    assert canonical((b"a", Color.RED, None)) == ["YQ==", "red", None]
    assert canonical(Model(tags={"b", "a"})) == ["test_canonical_values.<locals>.Model", [["tags", ["a", "b"]]]]
    assert canonical(object()) == canonical(object()) != canonical(object)
