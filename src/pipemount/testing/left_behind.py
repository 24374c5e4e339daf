"""Whether anything still works for a run that nobody waits for."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from pathlib import Path
from types import FrameType

__all__ = ["Leftovers"]

IDLE = ("concurrent/futures/thread.py", "pipemount/runtime/threads.py", "/queue.py", "/selectors.py", "/threading.py")
"""Where the innermost frame of a thread is that waits for work."""


class Leftovers:
    """Made before the work begins; ``after`` tells what the work left behind. On the running loop."""

    def __init__(self) -> None:
        self._tasks = asyncio.all_tasks()
        self._threads = set(threading.enumerate())

    async def after(self, until: float) -> list[str]:
        """Tasks and threads that came since, and do not come to rest until then (on ``time.monotonic()``)."""
        while left := [*self._new_tasks(), *self._busy_threads()]:
            if time.monotonic() > until:
                break
            await asyncio.sleep(0.01)
        return left

    def _new_tasks(self) -> list[str]:
        return [f"the task {task.get_coro()!r}" for task in asyncio.all_tasks() - self._tasks if not task.done()]

    def _busy_threads(self) -> list[str]:
        frames = sys._current_frames()
        places = {thread: frames.get(thread.ident or 0) for thread in set(threading.enumerate()) - self._threads}
        return [f"a thread at {_place(frame)}" for frame in places.values() if frame is not None and not _idle(frame)]


def _idle(frame: FrameType) -> bool:
    return Path(frame.f_code.co_filename).as_posix().endswith(IDLE)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"
