"""The type check of edges: does a value of one type always, perhaps or never fit another?

``ok`` and ``never`` are given only where they are certain; everything between is ``coerce``: validated in the run.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

__all__ = ["Fit", "fit"]

Fit: TypeAlias = Literal["ok", "coerce", "never"]


def fit(source: Any, target: Any) -> Fit:
    """How values declared as ``source`` fit a parameter declared as ``target``."""
    if target is Any or source == target:
        return "ok"
    return "coerce"
