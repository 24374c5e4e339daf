"""The way to Celery's broker, over a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from kombu.exceptions import OperationalError

from ..jobs.carried import UNTIL_STARTED
from ..jobs.sending import RUN_JOB, Letter

__all__ = ["CeleryCarrier"]

AT_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
"""Of a connection, so that it says at once that it cannot be made: when to try again is our matter."""


class CeleryCarrier:
    """Celery, as a ``Carrier``.

    Args:
        app: The Celery application.
        grace: Seconds that a job has after its time is up; then the process of a prefork worker that performs it ends
            itself. One that cannot is ended by the worker, which counts the time that ``on_init`` may take as well.
    """

    broker = "Celery's broker"

    def __init__(self, app: Any, grace: float | None) -> None:
        self.app, self.grace = app, grace
        self._connection: Any = None

    @property
    def passing(self) -> tuple[type[BaseException], ...]:
        connection = self._connection
        known = () if connection is None else (*connection.connection_errors, *connection.channel_errors)
        return (OperationalError, OSError, *known)

    def begin(self) -> None:
        self._connection = None

    def send(self, letter: Letter) -> None:
        options: dict[str, Any] = {} if letter.queue is None else {"queue": letter.queue}
        self.app.send_task(
            RUN_JOB,
            args=(letter.job_id, letter.pipeline),
            task_id=letter.job_id,
            connection=self._connected(),
            time_limit=None if self.grace is None else UNTIL_STARTED + letter.seconds + self.grace,
            expires=None,
            ignore_result=True,
            retry=False,
            add_to_parent=False,
            **options,
        )

    def end(self, job_id: str) -> None:
        """Have the process ended that performs this job."""
        revoke: Callable[..., Any] = self.app.control.revoke
        revoke(job_id, terminate=True, signal="SIGKILL", connection=self._connected())

    def hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it may be broken in any way
                connection.release()

    def _connected(self) -> Any:
        if self._connection is None:
            self._connection = self.app.connection_for_write(heartbeat=0, transport_options=AT_ONCE)
        return self._connection
