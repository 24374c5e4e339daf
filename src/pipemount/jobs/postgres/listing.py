"""What the database is told to list records: each part in the order of one index."""

from __future__ import annotations

from collections.abc import Iterable

from .statements import with_parts

__all__ = ["list_jobs"]

LISTED_BY = {
    "owner": "owner = %(owner)s AND ",
    "pipeline": "pipeline = %(pipeline)s AND ",
    "before": "-number > -%(before)s::bigint AND ",
}


def list_jobs(by: Iterable[str]) -> str:
    """A page of records, by those of ``LISTED_BY`` that are asked for: others would keep an index from being used.

    Where they are asked for by ``owner`` or ``status``, ``status`` is a list of which each is listed in order.
    """
    asked = {*by}
    if asked <= {"before"}:
        return _ALL.replace("<asked for>", "number < %(before)s AND " if asked else "")
    conditions = "".join(LISTED_BY[name] for name in sorted(asked - {"status"}))
    return (_BY_PIPELINE if asked <= {"before", "pipeline"} else _BY_STATUS).replace("<asked for>", conditions)


_BY_PIPELINE = with_parts(
    """
    SELECT * FROM {schema}.jobs WHERE <asked for><is forgotten> IS NOT TRUE
    ORDER BY -number LIMIT %(limit)s
    """
)

_ALL = _BY_PIPELINE.replace("-number", "number DESC")

_BY_STATUS = with_parts(
    """
    SELECT found.* FROM unnest(%(status)s::text[]) AS wanted (status) CROSS JOIN LATERAL (
        SELECT * FROM {schema}.jobs WHERE jobs.status = wanted.status AND <asked for><is forgotten> IS NOT TRUE
        ORDER BY -number LIMIT %(limit)s
    ) AS found
    ORDER BY -number LIMIT %(limit)s
    """
)
