"""What a problem document says of an error (RFC 9457), but for where it happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import PipemountError
from .definition import DefinitionError
from .run import RunError

__all__ = ["members"]


def members(error: PipemountError) -> dict[str, Any]:
    """All members but ``instance``. Of the author's own faults callers learn that there is one, not which."""
    return {
        "type": error.docs_url,
        "title": error.title,
        "status": error.status,
        "detail": _detail(error),
        "code": getattr(error, "detail_code", None) or error.code,
        **_run_members(error),
        **error.extensions,
    }


def _detail(error: PipemountError) -> str:
    return "the pipeline is not well configured; see its log" if isinstance(error, DefinitionError) else str(error)


def _run_members(error: PipemountError) -> Mapping[str, Any]:
    """The members of an invocation's response, for clients that read those."""
    if not isinstance(error, RunError):
        return {}
    return {"success": False, "outputs": None, "error": str(error)}
