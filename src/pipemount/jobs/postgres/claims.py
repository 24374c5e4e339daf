"""Statements that claim jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..models import Claim
from .statements import with_parts

__all__ = ["CLAIM", "CLAIMED", "CLAIM_JOB", "wanted"]

CLAIM = with_parts(
    """
    UPDATE {schema}.jobs SET <to a worker>
    WHERE number = ANY (ARRAY(
        SELECT number FROM (
            SELECT number, crashes, row_number() OVER (PARTITION BY crashes > 0 ORDER BY priority DESC, number) AS nth
            FROM (
                SELECT number, priority, crashes FROM {schema}.jobs
                WHERE <is due> AND pipeline = ANY (%(pipelines)s::text[])
                AND (cardinality(%(queues)s::text[]) = 0 OR queue = ANY (%(queues)s::text[]))
                AND owner <> ALL (%(but_of)s::text[]) AND (crashes = 0 OR %(crashed)s > 0)
                ORDER BY priority DESC, number LIMIT %(count)s FOR UPDATE SKIP LOCKED
            ) AS found
        ) AS those WHERE crashes = 0 OR nth <= %(crashed)s
    ))
    RETURNING *
    """
)

CLAIM_JOB = with_parts("UPDATE {schema}.jobs SET <to a worker> WHERE id = %(id)s AND <is due> RETURNING *")

CLAIMED = """
    UPDATE {schema}.jobs SET mark = 0
    WHERE number = ANY (ARRAY(
        SELECT number FROM {schema}.jobs
        WHERE worker = %(worker)s AND mark = ANY (%(marks)s::bigint[])
        AND (%(id)s::text IS NULL OR id = %(id)s)
        ORDER BY priority DESC, number LIMIT %(count)s
    ))
    RETURNING *
    """
"""What claims gave whose answers were lost, each once."""


def wanted(claim: Claim) -> Mapping[str, Any]:
    """What ``CLAIM`` and ``CLAIMED`` are told."""
    return {
        "worker": claim.worker,
        "id": None,
        "pipelines": [*claim.pipelines],
        "queues": [*claim.queues],
        "but_of": [*claim.but_of],
        "count": claim.count,
        "crashed": claim.count if claim.crashed is None else claim.crashed,
    }
