"""The lifespans that hold a runtime up, counted by the loop that each runs on."""

from __future__ import annotations

from .loops import Loop

__all__ = ["Lifespans"]


class Lifespans:
    """Open lifespans. Not thread-safe: the lifecycle's lock guards it.

    Attributes:
        waiting: How many of them wait for a start, and raise what it raises.
    """

    def __init__(self) -> None:
        self._loops: list[Loop] = []
        self.waiting = 0

    def enter(self, loop: Loop) -> None:
        """One begins on ``loop``, and waits for the start."""
        self._loops.append(loop)
        self.waiting += 1

    def leave(self, loop: Loop, home: Loop | None) -> bool:
        """One ends; whether it was the last that held the runtime up.

        That is the last of all, and the last on the home loop, as a host's loop does not outlive its lifespans.
        """
        if loop not in self._loops:
            return False
        self._loops.remove(loop)
        return loop not in self._loops if loop is home else not self._loops

    def running(self) -> Loop | None:
        """A loop that a start can be made on."""
        return next((loop for loop in self._loops if loop.is_running()), None)

    def drop_closed(self) -> None:
        """Forgets the lifespans of hosts that closed their loop without a word."""
        self._loops = [loop for loop in self._loops if not loop.is_closed()]
