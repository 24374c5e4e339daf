"""What a call from the team's own code says beside the pipeline's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ConfigurationError
from .pipelines.options import checked_count, checked_key, checked_queue, checked_timeout
from .pipelines.steps import KEEP

__all__ = ["PLAIN", "Terms"]

_TEN_YEARS = 10 * 366 * 86400.0
_MOST = 2**31  # of what databases call an integer


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a call says beside the pipeline's inputs.

    Attributes:
        timeout: Seconds that the run may take, the wait for its place included; by default the app's limit. Within
            another run it never goes beyond the end of that.
        run_name: For people; may hold ``{date}``, ``{time}`` and ``{run_id}``.
        principal: On whose behalf, if not on that of whoever is acting: a ``Principal``, a name, a user, ``None``.
        steps: Overrides of steps' own default parameters: ``{"describe": {"parameters": {"unit": "F"}}}``.
        wait: Whether to wait for a place where all are taken; ``False`` raises ``OverloadedError`` at once.
        queue, priority, delay, max_attempts, expires, idempotency_key: Of a job; see ``PipelineApp.calling``.
    """

    timeout: float | None = None
    run_name: str | None = None
    principal: Any = KEEP
    steps: Mapping[str, Any] | None = None
    wait: bool = True
    queue: str = "default"
    priority: int = 0
    delay: float | None = None
    max_attempts: int = 1
    expires: float | None = None
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        checked_timeout(self.timeout)
        checked_key(self.idempotency_key)
        checked_queue(self.queue)
        if type(self.priority) is bool or not isinstance(self.priority, int) or not -_MOST <= self.priority < _MOST:
            raise ConfigurationError(f"priority={self.priority!r}: must be a whole number, of 32 bits")
        if self.delay is not None and not (isinstance(self.delay, int | float) and 0 <= self.delay < _TEN_YEARS):
            raise ConfigurationError(f"delay={self.delay!r}: seconds, not negative, and less than ten years")
        if checked_count(self.max_attempts, "max_attempts") >= _MOST:
            raise ConfigurationError(f"max_attempts={self.max_attempts!r}: must be a whole number of 32 bits")
        self._check_expires()
        self._check_run_name()

    def _check_expires(self) -> None:
        said, least = self.expires, self.delay or 0.0
        if said is not None and not (isinstance(said, int | float) and least < said < _TEN_YEARS):
            raise ConfigurationError(
                f"expires={said!r}: seconds from now on, more than 0 and than the delay, and less than ten years"
            )

    def _check_run_name(self) -> None:
        name: object = self.run_name or ""
        if not isinstance(name, str) or any("\ud800" <= letter <= "\udfff" for letter in name):
            raise ConfigurationError(f"run_name={name!r}: a text that can be written down")
        try:
            name.format(date="", time="", run_id="")
        except (IndexError, KeyError, ValueError, AttributeError):
            raise ConfigurationError(
                f"run_name={self.run_name!r}: braces may hold date, time or run_id; others are doubled"
            ) from None

    @property
    def of_a_job(self) -> bool:
        """Whether they say what only a job can be told."""
        return self.idempotency_key is not None or self.job != ("default", 0, None, 1, None)

    @property
    def job(self) -> tuple[str, int, float | None, int, float | None]:
        """When and how a job is to be run."""
        return self.queue, self.priority, self.delay, self.max_attempts, self.expires


PLAIN = Terms()
