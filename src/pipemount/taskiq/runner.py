"""The runner of apps whose jobs Taskiq carries to its workers."""

from __future__ import annotations

from ..jobs.carried import CarriedRunner
from .carrier import TaskiqCarrier

__all__ = ["TaskiqRunner"]


class TaskiqRunner(CarriedRunner[TaskiqCarrier]):
    """Has jobs carried by Taskiq, whose broker stops with the app."""

    engine = "Taskiq carries the jobs of this app: start a worker of Taskiq, taskiq worker …:broker"

    async def stop(self, reason: str) -> None:
        await super().stop(reason)
        await self.carrier.shut_down()
