"""Compiled graphs of LangGraph, and workflows of its functional API, behind the seam.

Importing this package imports LangGraph; the registry does so only for an object of LangGraph's.
"""

from __future__ import annotations

from .pipeline import LangGraphPipeline, compile_graph

__all__ = ["LangGraphPipeline", "compile_graph"]
