"""Money for people."""

from __future__ import annotations

__all__ = ["in_euros"]


def in_euros(cents: int) -> str:
    """``€ 1,234.50``."""
    return f"€ {cents / 100:,.2f}"
