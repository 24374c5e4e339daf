"""Dask as the place where a step runs, as an author says it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..pipelines.executors import Connection, checked_amounts

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Dask"]


@dataclass(frozen=True, slots=True)
class Dask:
    """Workers of a Dask cluster.

    Attributes:
        scheduler: The address of the scheduler, or a ``Client`` of yours, which stays open. ``None``: what Dask's own
            configuration says, ``DASK_SCHEDULER_ADDRESS``.
        resources: What a call takes of a worker's, as Dask has it: ``{"GPU": 1}``.
        workers: Only these may perform it: addresses, hosts or names; by default any.
        priority: Of calls that wait, those with a higher one are taken first.
        timeout: Seconds that connecting may take.
    """

    scheduler: str | Client | None = None
    resources: Mapping[str, float] = field(default_factory=dict, hash=False)
    workers: tuple[str, ...] = ()
    priority: int = 0
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if isinstance(self.workers, str):
            raise ConfigurationError(f"Dask(workers={self.workers!r}): write a tuple, ({self.workers!r},)")
        if not (isinstance(self.scheduler, str | None) or callable(getattr(self.scheduler, "submit", None))):
            raise ConfigurationError(f"Dask({self.scheduler!r}): the scheduler's address, tcp://host:8786, or a Client")
        if not isinstance(self.priority, int):
            raise ConfigurationError(f"Dask(priority={self.priority!r}): a whole number")
        if not (isinstance(self.timeout, int | float) and self.timeout > 0):
            raise ConfigurationError(f"Dask(timeout={self.timeout!r}): seconds, above 0")
        checked_amounts(self.resources, "Dask(resources")

    @property
    def engine(self) -> str:
        """``"dask"``."""
        return "dask"

    @property
    def place(self) -> Hashable:
        """The scheduler."""
        return self.scheduler

    @property
    def settings(self) -> Mapping[str, Any]:
        """What a call takes; not where the scheduler is."""
        told = {"resources": dict(self.resources), "workers": list(self.workers), "priority": self.priority}
        return {name: value for name, value in told.items() if value}

    def connection(self) -> Connection:
        """A connection that is not open yet. Raises ``ConfigurationError`` without Dask."""
        try:
            from .connection import DaskConnection
        except ImportError as error:
            raise ConfigurationError(
                f'executor=Dask(…) needs Dask ({error}); install it with pip install "pipemount[dask]"'
            ) from error
        return DaskConnection(self.scheduler, self.timeout)
