"""What the database is told when jobs end: several at once, or one that nobody performs by itself."""

from __future__ import annotations

import re

from .statements import with_parts

__all__ = ["END", "ENDED", "END_UNHELD"]

_ENDING = """
    WITH held AS (
        UPDATE {schema}.jobs SET <ends>, <grows>, <to nobody> WHERE <which> <returning its log>
    ), told AS (<new events>), of_steps AS (
        DELETE FROM {schema}.steps USING held WHERE steps.job = held.number
    )
    SELECT * FROM held
    """


def _of_several(part: str) -> str:
    """A part of a statement that is about one job, about several: what was told of each is a column of ``told``."""
    return re.sub(r"%\((\w+)\)s", r"told.new_\1", with_parts(part))


ENDED = {
    **{"id": "text", "fence": "bigint", "status": "text", "result": "bytea", "execution_time": "double precision"},
    **{"run_index": "bigint", "run_name": "text", "error": "text", "reason": "text", "crashed": "bigint"},
    **{"mark": "bigint", "last": "bigint", "first": "bigint", "grown": "bigint", "passing": "bigint"},
    **{"passing_bytes": "bigint", "kept": "bigint", "kept_bytes": "bigint"},
}
"""What is told of each job that ends, and of which type it is."""

END = with_parts(
    f"""
    WITH held AS (
        UPDATE {{schema}}.jobs SET {_of_several("<ends>, <grows>, <to nobody>")}
        FROM unnest({", ".join(f"%({name})s::{kind}[]" for name, kind in ENDED.items())})
            AS told ({", ".join(f"new_{name}" for name in ENDED)})
        WHERE {_of_several("<is held, or was when this was told>")}
        RETURNING id, number, last_event, passing, passing_bytes, kept, kept_bytes
    ), told AS (
        INSERT INTO {{schema}}.events (job, sequence, kind, body)
        SELECT held.number, event.sequence, event.kind, event.body FROM held JOIN unnest(
            %(jobs)s::text[], %(sequences)s::bigint[], %(kinds)s::text[], %(bodies)s::bytea[]
        ) AS event (job, sequence, kind, body) ON event.job = held.id
        ON CONFLICT DO NOTHING
    ), of_steps AS (
        DELETE FROM {{schema}}.steps USING held WHERE steps.job = held.number
    )
    SELECT * FROM held
    """  # noqa: S608 - words of our own
)
"""Several at once."""

END_UNHELD = with_parts(
    _ENDING.replace(
        "<which>",
        "id = %(id)s AND status IN ('queued', 'suspended') AND last_event = %(last)s - 1 AND %(fence)s = fence",
    )
)
