"""Who waits, and who is next: in turns of the callers, so that one who asks much does not make the others wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Line"]

T = TypeVar("T")


class Line(Generic[T]):
    """Items that wait, each of a caller and of a kind. Who uses it holds a lock.

    The callers have turns. Of one caller's the oldest is next; those of a kind that cannot go on are passed over.
    """

    def __init__(self) -> None:
        self._callers: dict[Hashable, dict[Hashable, deque[tuple[int, T]]]] = {}
        """By caller, the one whose turn it is first; then by kind; with a number that tells the older one."""
        self._number = 0

    def append(self, caller: Hashable, kind: Hashable, item: T) -> None:
        """``item`` waits behind the others of its caller."""
        self._number += 1
        self._callers.setdefault(caller, {}).setdefault(kind, deque()).append((self._number, item))

    def remove(self, caller: Hashable, kind: Hashable, item: T) -> bool:
        """``item`` waits no more; whether it did."""
        lane = self._callers.get(caller, {}).get(kind, deque())
        for waiting in lane:
            if waiting[1] is item:
                lane.remove(waiting)
                self._tidy(caller, kind)
                return True
        return False

    def take(self, fits: Callable[[T], bool]) -> T | None:
        """The next item that ``fits``, of which only the first of each caller and kind is asked."""
        for caller, kinds in self._callers.items():
            heads = [(lane[0][0], kind) for kind, lane in kinds.items() if fits(lane[0][1])]
            if heads:
                _, kind = min(heads, key=lambda head: head[0])
                _, item = kinds[kind].popleft()
                self._callers[caller] = self._callers.pop(caller)  # now it is the others' turn
                self._tidy(caller, kind)
                return item
        return None

    def _tidy(self, caller: Hashable, kind: Hashable) -> None:
        kinds = self._callers[caller]
        if not kinds[kind]:
            del kinds[kind]
        if not kinds:
            del self._callers[caller]
