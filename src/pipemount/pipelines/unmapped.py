"""``unmapped(x)``: in a map, a value that every item is handed as it is."""

from __future__ import annotations

from typing import Any

__all__ = ["Unmapped", "unmapped"]


class Unmapped:
    """What ``unmapped`` returns; only ``map`` and ``product`` look inside, and nothing can serialise it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def unmapped(value: Any) -> Any:
    """Marks an argument of ``step.map(…)`` that is no list of items: each item is handed the whole of it.

    Example:
        >>> from pipemount import step, unmapped
        >>> @step
        ... def scale(number: int, factor: int) -> int:
        ...     return number * factor
        >>> scale.map([1, 2, 3], unmapped(10))
        [10, 20, 30]
    """
    return Unmapped(value)
