"""The pipeline of tests to which it does not matter what a pipeline does."""

from __future__ import annotations

from typing import Any

from pipemount import pipeline, step

__all__ = ["double", "doubled"]


@step
def double(number: int) -> int:
    return 2 * number


@pipeline
def doubled(number: int) -> Any:
    return double(number)
