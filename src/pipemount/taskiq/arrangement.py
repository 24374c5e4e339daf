"""Jobs in a database, carried by Taskiq, as an app's author says it."""

from __future__ import annotations

from dataclasses import dataclass, field

from taskiq import AsyncBroker, InMemoryBroker

from ..errors import ConfigurationError
from ..jobs.alone import Alone
from ..jobs.carried import Carried
from .carrier import TaskiqCarrier
from .runner import TaskiqRunner

__all__ = ["Taskiq"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Taskiq(Carried):
    """Jobs in a database, carried to workers by Taskiq.

    ::

        PipelineApp(train, jobs=Taskiq(broker, store="postgresql://jobs@db.example/jobs"))

    Attributes:
        broker: Any broker of Taskiq that has workers. A result backend is not needed.
        store, resend_after, target, values: As of ``Carried``.
        startup: Whether web processes start the broker, and shut it down, with the app; ``False`` where the host does
            so itself, on the loop that serves.
    """

    broker: AsyncBroker = field(kw_only=False)
    startup: bool = True

    runner = TaskiqRunner

    def __post_init__(self) -> None:
        if not isinstance(self.broker, AsyncBroker):
            raise ConfigurationError(
                f"Taskiq({self.broker!r}, …): give your broker, e.g. taskiq_redis.ListQueueBroker(…)"
            )
        if isinstance(self.broker, InMemoryBroker):
            raise ConfigurationError(
                "Taskiq(InMemoryBroker(), …): it has no workers; leave jobs to the app itself, jobs=Local(…)"
            )
        super().__post_init__()

    def make_carrier(self, alone: Alone) -> TaskiqCarrier:
        """Taskiq; nothing is opened yet."""
        return TaskiqCarrier(self.broker, startup=self.startup)
