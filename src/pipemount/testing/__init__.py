"""For tests: a pytest plugin, and whether an adapter of your own keeps its promises.

``check_adapter`` needs no test framework, but the extra ``testing``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .conformance import check_adapter
    from .findings import ConformanceError, Finding

__all__ = ["ConformanceError", "Finding", "check_adapter"]

_HOMES = {"ConformanceError": "findings", "Finding": "findings", "check_adapter": "conformance"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: the plugin is imported by every test run."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
