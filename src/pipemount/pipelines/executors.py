"""Where steps run that do not run in the app's process: what an engine offers for that.

An executor is a value that a step is given, ``@step(executor=Ray(num_cpus=4))``. It names an engine and what each call
takes of it; two that mean the same engine share one connection. Who performs the run keeps the job, its checkpoints
and its events: an engine is lent a call at a time, and never tries again by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from ..errors import ConfigurationError

__all__ = ["Connection", "Hear", "Sending", "StepExecutor", "checked_amounts", "checked_executor"]

Hear: TypeAlias = Callable[[bytes], None]
"""Told what a step says on the way, on the loop that waits for it."""


class Sending(NamedTuple):
    """A call of a step on its way to a worker.

    Attributes:
        name: Of the step, for whoever looks at the engine.
        head: What ``Connection.put`` gave: the function, and what many calls have in common.
        item: The arguments of this call.
    """

    name: str
    head: Any
    item: bytes


class Connection(Protocol):
    """The way to an engine; one per app and engine. All but ``open`` and ``close`` belongs to one event loop."""

    @property
    def alive(self) -> bool:
        """Whether it can still be used; another is opened where it cannot."""

    def open(self) -> None:
        """Connect. In a thread, which may wait. Raises ``ExecutorUnavailableError``."""

    def close(self) -> None:
        """Give up what is under way, and disconnect. In a thread, which may wait."""

    async def slots(self, executor: Any) -> int:
        """How many calls of ``executor`` the engine can run at the same time now; perhaps 0."""

    async def put(self, content: bytes) -> Any:
        """Bring ``content`` to where workers find it: what ``Sending.head`` is then."""

    def perform(self, executor: Any, sending: Sending, hear: Hear) -> Awaitable[bytes]:
        """Have a worker perform a call, once; its outcome, when all that it said was heard.

        Whoever is cancelled here cancels the call, and does not wait for that.

        Raises:
            WorkerGone: The worker ended before the call did.
            ExecutorUnavailableError: The engine cannot be reached any more.
        """


@runtime_checkable
class StepExecutor(Protocol):
    """Where a step runs, as its author says it: frozen, and connected to nothing.

    Attributes:
        engine: The engine's name, ``"ray"``.
        place: Two executors with the same place share a connection.
        settings: What else was said, as JSON can say it; without secrets.
    """

    @property
    def engine(self) -> str:
        """See above."""

    @property
    def place(self) -> Hashable:
        """See above."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """See above."""

    def connection(self) -> Connection:
        """A connection that is not open yet. Raises ``ConfigurationError`` where the engine's library is missing."""


def checked_amounts(amounts: Mapping[str, float], said: str) -> None:
    """What a call takes of what an engine counts. Raises ``ConfigurationError``; ``said``: what the author wrote."""
    if not isinstance(amounts, Mapping):
        raise ConfigurationError(f"{said}={amounts!r}): give a mapping, e.g. {{'licence': 1}}")
    for name, amount in amounts.items():
        if not (isinstance(name, str) and isinstance(amount, int | float) and amount > 0):
            raise ConfigurationError(f"{said}={amounts!r}): amounts above 0")


def checked_executor(executor: Any, affinity: str | None) -> StepExecutor | None:
    """An executor or nothing; a class of such stands for one without options. Raises ``ConfigurationError``."""
    if isinstance(executor, type):
        executor = executor()
    if executor is None:
        return None
    if not isinstance(executor, StepExecutor):
        raise ConfigurationError(f"executor={executor!r}: give an executor, e.g. pipemount.ray.Ray(num_cpus=2)")
    if affinity == "request":
        raise ConfigurationError(
            "affinity='request' wants the thread that asked, executor= another process: choose one"
        )
    return executor
