"""Jobs in a database, carried by Celery, as an app's author says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigurationError
from ..jobs.alone import Alone
from ..jobs.carried import Carried
from .carrier import CeleryCarrier
from .runner import CeleryRunner

__all__ = ["Celery"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Celery(Carried):
    """Jobs in a database, carried to workers by Celery.

    ::

        PipelineApp(train, jobs=Celery(celery_app, store="postgresql://jobs@db.example/jobs"))

    Attributes:
        app: The Celery application. Of its settings only those count that say where the broker is, and how workers
            work; a result backend is not needed.
        store, resend_after, target, values: As of ``Carried``.
        grace: Seconds that a job has after its time is up, or after it was cancelled; then the process that performs
            it is ended. Only workers with ``--pool prefork`` can do that; give ``None`` for others.
    """

    app: Any = field(kw_only=False)
    grace: float | None = 10.0

    runner = CeleryRunner

    def __post_init__(self) -> None:
        if not callable(getattr(self.app, "send_task", None)):
            raise ConfigurationError(f"Celery({self.app!r}, …): give your Celery application, celery.Celery(…)")
        if self.grace is not None and not (isinstance(self.grace, int | float) and self.grace > 0):
            raise ConfigurationError(f"Celery(grace={self.grace!r}): must be above 0, or None")
        super().__post_init__()

    def make_carrier(self, alone: Alone) -> CeleryCarrier:
        """Celery; nothing is opened yet."""
        return CeleryCarrier(self.app, self.grace)
