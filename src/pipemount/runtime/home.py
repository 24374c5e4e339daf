"""Where a runtime lives: on which event loop, in which process."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from typing import Literal, TypeAlias

from ..errors import HomeLoopError, UnavailableError
from . import loops, shutdown
from .lifespans import Lifespans
from .loops import Loop, LoopThread

__all__ = ["Home", "State", "shutting_down"]

State: TypeAlias = Literal["new", "starting", "ready", "failed", "draining", "stopped"]


class Home(ABC):
    """The loop that a runtime lives on: a host's whose lifespan started it, or one in a thread of its own.

    Args:
        name: For logs and the thread's name.

    Attributes:
        state: Where the runtime stands.
        home: The home loop, from the beginning of a start to the end of the stop.
        pid: The process that all of this is true of.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.home: Loop | None = None
        self._own: LoopThread | None = None
        self._inherited: list[object] = []
        self.forget()

    def forget(self) -> None:
        """Begins from nothing, as in a forked child: what the parent process started is the parent's."""
        # The parent's loop shares its selector with us: finalising it here would break it there. So keep it.
        self._inherited.append((self.home, self._own))
        self._lock = threading.Lock()
        self._lifespans = Lifespans()
        self.state: State = "new"
        self.home, self._own, self.pid = None, None, os.getpid()

    @abstractmethod
    async def aclose(self) -> None:
        """Stops the runtime."""

    @abstractmethod
    def close(self) -> None:
        """As ``aclose``, from a thread that waits."""

    def serving_loop(self) -> Loop:
        """The loop for a host that has none, from any thread: the home loop, or the one that will be.

        Raises:
            HomeLoopError: It stands still.
            UnavailableError: The process is exiting.
        """
        self._check_process()
        with self._lock:
            if self.home is not None and not self.home.is_closed():
                return self._running_home(self.home)
            return self._lifespans.running() or self._own_loop()

    def _own_loop(self) -> Loop:
        if self._own is None:
            if shutdown.exiting():
                raise shutting_down()
            try:
                self._own = LoopThread(f"pipemount-{self._name}")
            except RuntimeError as error:
                raise shutting_down() from error
            shutdown.remember(self)
            shutdown.hook_server(self.aclose)
        return self._own.loop

    def _end_own_loop(self) -> LoopThread | None:
        own, self._own = self._own, None
        if own is not None:
            own.stop()
        return own

    def _check_process(self) -> None:
        with self._lock:
            if self.pid != os.getpid():
                self.forget()

    def _reachable_home(self) -> Loop | None:
        """The home loop if it takes calls; runs that were let in before a stop began still do theirs."""
        home = self.home
        if self.state in ("ready", "draining") and self.pid == os.getpid() and home and not home.is_closed():
            return self._running_home(home)
        return None

    def _running_home(self, home: Loop) -> Loop:
        """Refuses to wait for a loop that stands still between two calls of ``run_until_complete``."""
        if self._runs(home):
            return home
        raise HomeLoopError(
            f"the loop that {self._name!r} lives on stands still, and nothing that it is asked would be answered; "
            "ask while it runs, or end the lifespan that was begun on it"
        )

    def _home_is_lost(self) -> bool:
        """Whether the host closed its loop without a word to us."""
        return self.home is not None and self.pid == os.getpid() and self.home.is_closed()

    def _runs(self, home: Loop) -> bool:
        own = self._own is not None and home is self._own.loop  # just begun, it may not call itself running yet
        return home.is_running() or (own and not home.is_closed())

    def _refuse_on_home(self, way_out: str) -> None:
        if self.home is not None and loops.running_loop() is self.home:
            raise HomeLoopError(f"a blocking call on the loop that {self._name!r} lives on waits for ever; {way_out}")


def shutting_down() -> UnavailableError:
    """What is told to those who come when the runtime, or its process, stops."""
    return UnavailableError("shutting down; use another instance", code="draining")
