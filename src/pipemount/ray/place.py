"""Ray as the place where a step runs, as an author says it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigurationError
from ..pipelines.executors import Connection, checked_amounts

__all__ = ["Ray"]


@dataclass(frozen=True, slots=True)
class Ray:
    """Workers of a Ray cluster, or of this machine.

    A process has one connection to Ray: what it has already, e.g. by ``ray.init(…)`` of yours, is used and left open.

    Attributes:
        address: Of the cluster: ``"auto"``, ``"host:port"``, ``"ray://host:port"``. ``None``: the cluster that
            ``RAY_ADDRESS`` names, else workers on this machine, which end with the app.
        num_cpus: What a call takes, as of every Ray task.
        num_gpus: The same.
        memory: Bytes that it takes.
        resources: What it takes of resources of your own: ``{"licence": 1}``.
        runtime_env: What its workers are given, e.g. ``{"working_dir": "."}`` or ``{"pip": [...]}``.
        grace: Seconds that a call has to end after it was cancelled; then its worker is ended.
    """

    address: str | None = None
    num_cpus: float = 1
    num_gpus: float = 0
    memory: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict, hash=False)
    runtime_env: Mapping[str, Any] = field(default_factory=dict, hash=False)
    grace: float = 5.0

    def __post_init__(self) -> None:
        amounts: tuple[object, ...] = (self.num_cpus, self.num_gpus, 1 if self.memory is None else self.memory)
        if not all(isinstance(amount, int | float) and amount >= 0 for amount in amounts) or self.memory == 0:
            raise ConfigurationError(f"{self!r}: amounts are numbers, not negative; of memory more than none")
        checked_amounts(self.resources, "Ray(resources")
        if not isinstance(self.runtime_env, Mapping):
            raise ConfigurationError(f"Ray(runtime_env={self.runtime_env!r}): give a mapping, e.g. {{'pip': […]}}")
        if not (isinstance(self.grace, int | float) and self.grace >= 0):
            raise ConfigurationError(f"Ray(grace={self.grace!r}): seconds, 0 or more")
        if self.address is not None and not (isinstance(self.address, str) and self.address):
            raise ConfigurationError(f"Ray(address={self.address!r}): 'auto', 'host:6379' or 'ray://host:10001'")

    @property
    def engine(self) -> str:
        """``"ray"``."""
        return "ray"

    @property
    def place(self) -> Hashable:
        """The cluster."""
        return self.address

    @property
    def settings(self) -> Mapping[str, Any]:
        """What a call takes; neither where the cluster is nor what workers are given."""
        told = {"num_gpus": self.num_gpus, "memory": self.memory, "resources": dict(self.resources)}
        return {"num_cpus": self.num_cpus, **{name: value for name, value in told.items() if value}}

    @property
    def demands(self) -> dict[str, Any]:
        """Options of the Ray task."""
        given = {"runtime_env": dict(self.runtime_env)} if self.runtime_env else {}
        return {**self.settings, **given}

    def connection(self) -> Connection:
        """A connection that is not open yet. Raises ``ConfigurationError`` without Ray."""
        try:
            from .connection import RayConnection
        except ImportError as error:
            raise ConfigurationError(
                f'executor=Ray(…) needs Ray ({error}); install it with pip install "pipemount[ray]"'
            ) from error
        return RayConnection(self.address)
