"""Fitted estimators of scikit-learn."""

from __future__ import annotations

from typing import Any

from .protocol import CompiledPipeline

__all__ = ["compile_estimator"]


def compile_estimator(estimator: Any) -> CompiledPipeline:
    """What the service can run of a fitted estimator."""
    raise NotImplementedError
