"""A compiled body does what the same body does as plain Python: the same outputs, the same calls of the same steps."""

from __future__ import annotations

import random
import warnings
from typing import Any

import pytest
from tests.support.bodies import inputs, made, source

from pipemount import CompileError


@pytest.mark.parametrize("start", [0, pytest.param(60, marks=pytest.mark.full)])
@pytest.mark.no_cover
def test_bodies_do_compiled_what_they_do_plain(start: int) -> None:
    compiled = sum(_agrees(seed) for seed in range(start, start + 60))
    assert compiled >= 55, "most bodies compile, or nothing is shown"


@pytest.mark.full
@pytest.mark.parametrize("start", range(1000, 9000, 1000))
def test_many_bodies_do_compiled_what_they_do_plain(start: int) -> None:
    assert sum(_agrees(seed) for seed in range(start, start + 1000)) >= 950


def _agrees(seed: int) -> bool:
    """Whether the body compiles; then it agrees, or the test fails."""
    chance = random.Random(seed)
    text = source(chance)
    with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # `'some' is None`
        both = made(text, f"body_{seed}.py")
    try:
        both.compiled.compile()
    except CompileError as error:
        assert any(words in str(error) for words in ("more ways through its body", "calls no step")), f"{seed}: {error}"
        return False
    for _ in range(4):
        given = inputs(chance)
        plain, compiled = both.run(both.plain, given), both.run(both.compiled, given)
        assert compiled == plain, f"seed {seed}, {given}\n{text}"
    return True


def test_how_warm_the_code_is_changes_nothing() -> None:
    text = "@pipeline\ndef body(a: int):\n    return inc([inc(i) for i in (1, 2) if any(a == n for n in (i, 7))])\n"
    both = made(text, "body_warm.py")
    graphs: list[Any] = [both.compiled.with_options(name="body").compile() for _ in range(30)]
    assert len({graph.fingerprint for graph in graphs}) == 1
