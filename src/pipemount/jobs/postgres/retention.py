"""What is forgotten, and when: as the settings say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import OverloadedError
from ...settings import Settings
from .connections import Connections
from .statements import COUNT_UP, with_parts
from .wakeups import Wakeups

__all__ = ["Retention"]

AT_ONCE = 500
"""Jobs that one statement forgets."""

ROOM = 16
"""When there is too much, this part of what may be kept is made free at once."""

_FORGETTING = """
    WITH gone AS (DELETE FROM {schema}.jobs WHERE <which> RETURNING number, id, size)
    , of_events AS (DELETE FROM {schema}.events USING gone WHERE events.job = gone.number)
    , of_steps AS (DELETE FROM {schema}.steps USING gone WHERE steps.job = gone.number)
    , of_keys AS (DELETE FROM {schema}.keys USING gone WHERE keys.job = gone.id)
    SELECT id, size FROM gone
    """


def _forget(which: str) -> str:
    return with_parts(_FORGETTING.replace("<which>", which))


_JOB = _forget("id = %(id)s AND finished IS NOT NULL")

_OLD = _forget(
    """number = ANY (ARRAY(
        SELECT number FROM {schema}.jobs WHERE <is old> LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ))"""
)

_TOO_MANY = _forget(
    """number = ANY (ARRAY(
        SELECT number FROM {schema}.jobs WHERE finished IS NOT NULL ORDER BY keyed, finished, number
        LIMIT least(%(limit)s, greatest(0, (
            SELECT sum(jobs) FROM {schema}.tally WHERE status IN ('succeeded', 'failed', 'cancelled')
        ) - %(max_jobs)s))
        FOR UPDATE SKIP LOCKED
    ))"""
)

_TOO_LARGE = _forget(
    """number = ANY (ARRAY(
        SELECT number FROM (
            SELECT number, sum(size) OVER (ORDER BY keyed, finished, number) - size AS freed
            FROM (
                SELECT number, size, keyed, finished FROM {schema}.jobs WHERE finished IS NOT NULL
                ORDER BY keyed, finished, number LIMIT %(limit)s
            ) AS first_ones
        ) AS oldest
        WHERE freed < %(excess)s
    ))"""
)

_MEASURE = "SELECT coalesce(sum(bytes), 0)::bigint AS used FROM {schema}.tally"


class Retention:
    """Forgets jobs that have ended.

    Attributes:
        used: Bytes that all jobs take. They are reckoned, and measured when they may be too many, for other processes
            write as well.
    """

    def __init__(self, connections: Connections, wakeups: Wakeups, settings: Settings) -> None:
        self._connections, self._wakeups, self._settings = connections, wakeups, settings
        self.used = 0.0

    @property
    def ages(self) -> Mapping[str, float]:
        """How old what has ended becomes."""
        return {"job_ttl": self._settings.job_ttl, "idempotency_ttl": self._settings.idempotency_ttl}

    async def forget(self, job_id: str) -> bool:
        """This job, if it has ended."""
        return bool(await self._forget(_JOB, {"id": job_id}))

    async def sweep(self) -> None:
        """What is too old, and the oldest where there are too many."""
        limits = {**self.ages, "limit": AT_ONCE, "max_jobs": self._settings.max_jobs}
        for statement in (_OLD, _TOO_MANY):
            while await self._forget(statement, limits) == AT_ONCE:
                pass
        await self.count_up()
        await self.measure()

    async def count_up(self) -> None:
        """Make one of many entries of the tally."""
        await self._connections.fetch(COUNT_UP, {})

    async def make_room(self, size: int) -> None:
        """So that ``size`` bytes more may be kept. Raises ``OverloadedError``."""
        most = self._settings.max_job_bytes
        if self.used + size <= most:
            return
        await self.measure()
        room = most - most / ROOM
        while self.used + size > most and await self._forget(
            _TOO_LARGE, {"excess": self.used + size - room, "limit": AT_ONCE}
        ):
            await self.measure()
        if self.used and self.used + size > most:
            raise OverloadedError(retry_after=1)

    async def measure(self) -> None:
        """How much there is."""
        [row] = await self._connections.fetch(_MEASURE, {})
        self.used = row["used"]

    async def _forget(self, statement: str, values: Mapping[str, Any]) -> int:
        gone = await self._connections.fetch(statement, values)
        if gone:
            self._wakeups.changed(*(row["id"] for row in gone))
        return len(gone)
