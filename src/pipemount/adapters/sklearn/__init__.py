"""Fitted estimators of scikit-learn. ``PipelineApp(model)`` is enough; ``compile_estimator`` has the options."""

from .estimator import EstimatorPipeline, compile_estimator

__all__ = ["EstimatorPipeline", "compile_estimator"]
