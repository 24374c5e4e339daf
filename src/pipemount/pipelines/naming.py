"""Names that are given once: ``fetch``, then ``fetch_2``, ``fetch_3`` and so on."""

from __future__ import annotations

__all__ = ["Names"]


class Names:
    """The names that are taken."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def unique(self, wanted: str) -> str:
        """``wanted``, or the first of its numbered forms that is free; taken from now on."""
        name, count = wanted, self._counts.get(wanted, 1)
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._counts[wanted] = count
        self._taken.add(name)
        return name

    def claim(self, name: str) -> bool:
        """Takes ``name`` itself; false where it is taken already."""
        if name in self._taken:
            return False
        self._taken.add(name)
        return True
