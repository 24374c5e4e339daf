"""What the database is told. Each statement is a transaction, so that a verb is one journey and one commit.

Of several common table expressions of a statement each sees the tables as they were before it; rows that one of them
locks or changes tell the others what to do. Times are the database's, in seconds since the epoch.
"""

from __future__ import annotations

import re

__all__ = [
    "APPEND",
    "ARE_DUE",
    "CANCEL",
    "CANCELLED_OF",
    "COUNTS",
    "COUNT_UP",
    "EXPIRED",
    "FIND_KEYED",
    "GET",
    "GIVE_BACK",
    "NEXT_TO_EXPIRE",
    "NOW",
    "PRUNE",
    "READ_ENTRIES",
    "READ_EVENTS",
    "READ_STEPS",
    "RENEW",
    "REQUEUE",
    "RESUME",
    "SAVE_STEP",
    "STATES",
    "SUBMIT",
    "SUBMIT_KEYED",
    "SUSPEND",
    "TAKE_BACK",
    "TELL",
    "UNCLAIMED",
    "UNSAVABLE",
    "in_schema",
    "with_parts",
]


def in_schema(text: str, schema: str) -> bytes:
    """``text`` as a statement about the tables in ``schema``, which is a plain name: the address has seen to that."""
    return " ".join(text.split()).replace("{schema}", f'"{schema}"').encode()


def with_parts(text: str) -> str:
    """``text`` with what the statements share."""
    while (made := re.sub("<([a-z, ]+)>", lambda found: _PARTS.get(found[1], found[0]), text)) != text:
        text = made
    return text


_PARTS = {
    "now": "extract(epoch FROM now())::double precision",
    "new job": """
        INSERT INTO {schema}.jobs (<columns of a new job>, begin_by, created, status)
        SELECT
            %(id)s, %(pipeline)s, %(queue)s, %(priority)s, %(owner)s, %(keyed)s, %(request)s,
            %(inputs)s::bytea, %(parameters)s::bytea, %(overrides)s::bytea,
            %(run_at)s::double precision, %(size)s, <now> + %(begin_by)s::double precision, <now>, 'queued'
        """,
    "columns of a new job": """
        id, pipeline, queue, priority, owner, keyed, request, inputs, parameters, overrides, run_at, size
        """,
    "to a worker": """
        status = 'running', worker = %(worker)s, fence = fence + 1, attempt = attempt + 1, started = <now>,
        begin_by = NULL,
        begun = (crashes = 0), lease_until = <now> + %(lease)s, mark = %(mark)s
        """,
    "is due": """
        status = 'queued' AND (run_at IS NULL OR run_at <= <now>) AND (begin_by IS NULL OR begin_by > <now>)
        """,
    "next pause": """
        least(%(longest)s, 2 * CASE WHEN handed_fence = fence THEN handed_pause ELSE %(patience)s END)
        """,
    "given once more": """
        handed_fence = fence, handed_pause = <next pause>, handed_again = <now> + <next pause>
        """,
    "is held": "id = %(id)s AND fence = %(fence)s AND worker IS NOT NULL",
    # What was told before and cut short is told again under the same mark.
    "is held, or was when this was told": """
        id = %(id)s AND fence = %(fence)s AND (worker IS NOT NULL OR (mark = %(mark)s AND status = %(status)s))
        """,
    "is lost": """
        worker IS NOT NULL AND lease_until < <now>
        AND pg_postmaster_start_time() < now() - make_interval(secs => %(lease)s)
        """,
    "crashes": "crashes = crashes + CASE WHEN mark = %(mark)s THEN 0 ELSE %(crashed)s END",
    "crashed when begun": "CASE WHEN begun THEN 1 ELSE 0 END",
    "is not its fault": "crashes - outlived + 1 < %(crashes)s",
    "to nobody": "worker = NULL, lease_until = NULL",
    "waits again": """
        status = 'queued', run_at = NULL, <to nobody>
        """,
    # The events that are told again after a cut connection are there: they are not counted again.
    "if new": "CASE WHEN last_event < %(last)s THEN 1 ELSE 0 END *",
    "grows": """
        last_event = greatest(last_event, %(last)s), first_event = greatest(first_event, %(first)s),
        passing = passing + <if new> %(passing)s, passing_bytes = passing_bytes + <if new> %(passing_bytes)s,
        kept = kept + <if new> %(kept)s, kept_bytes = kept_bytes + <if new> %(kept_bytes)s
        """,
    "ends": """
        status = %(status)s, finished = greatest(<now>, started, created), result = %(result)s,
        execution_time = %(execution_time)s, run_index = %(run_index)s, run_name = %(run_name)s, error = %(error)s,
        question = NULL, begin_by = NULL, reason = %(reason)s, <crashes>, mark = %(mark)s, steps_bytes = 0,
        size = size + CASE WHEN mark = %(mark)s THEN 0 ELSE %(grown)s END - steps_bytes
        """,
    "with a step": "size = size + <more>, steps_bytes = steps_bytes + <more>",
    "more": """
        length(%(output)s::bytea) - coalesce(
            (SELECT length(output) FROM {schema}.steps WHERE job = number AND key = %(key)s), 0
        )
        """,
    "returning its log": """
        RETURNING number, last_event, passing, passing_bytes, kept, kept_bytes
        """,
    "new events": """
        INSERT INTO {schema}.events (job, sequence, kind, body)
        SELECT held.number, told.*
        FROM held, unnest(%(sequences)s::bigint[], %(kinds)s::text[], %(bodies)s::bytea[]) AS told
        ON CONFLICT DO NOTHING
        """,
    # As "is forgotten", so that the index of ended jobs is used.
    "is old": "keyed = ANY (ARRAY[false, true]) AND finished IS NOT NULL AND <is forgotten>",
    "is forgotten": """(
        finished < <now> - %(job_ttl)s AND (NOT keyed OR created < <now> - %(idempotency_ttl)s)
        )""",
}

# ---------------------------------------------------------------------------------------------- records

SUBMIT = with_parts(
    """
    INSERT INTO {schema}.jobs (<columns of a new job>, begin_by, created, status)
    SELECT <columns of a new job>, <now> + expires, <now>, 'queued' FROM unnest(
        %(id)s::text[], %(pipeline)s::text[], %(queue)s::text[], %(priority)s::integer[], %(owner)s::text[],
        %(keyed)s::boolean[], %(request)s::text[], %(inputs)s::bytea[], %(parameters)s::bytea[], %(overrides)s::bytea[],
        %(run_at)s::double precision[], %(size)s::bigint[], %(begin_by)s::double precision[]
    ) AS told (<columns of a new job>, expires)
    ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING id, created
    """
)
"""Several at once; ``begin_by`` is told as of a job that came at 0: the seconds that it has."""

SUBMIT_KEYED = with_parts(
    """
    WITH mine AS (
        INSERT INTO {schema}.keys AS known (scope, key, job) VALUES (%(scope)s, %(key)s, %(id)s)
        ON CONFLICT (scope, key) DO UPDATE SET job = excluded.job
        WHERE known.job = excluded.job OR EXISTS (
            SELECT FROM {schema}.jobs
            WHERE id = known.job AND finished IS NOT NULL AND created < <now> - %(idempotency_ttl)s
        )
        RETURNING 1
    )
    <new job> FROM mine ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING created
    """
)
"""Nothing where the key stands for another job. A job that was made meanwhile is not seen here: so it has not ended."""

FIND_KEYED = """
    SELECT jobs.* FROM {schema}.keys JOIN {schema}.jobs ON jobs.id = keys.job
    WHERE keys.scope = %(scope)s AND keys.key = %(key)s
    """

GET = with_parts("SELECT * FROM {schema}.jobs WHERE id = %(id)s AND <is forgotten> IS NOT TRUE")

COUNTS = with_parts(
    """
    WITH gone AS (SELECT status, count(*) AS jobs FROM {schema}.jobs WHERE <is old> GROUP BY status)
    SELECT status, (sum(jobs) - coalesce((SELECT jobs FROM gone WHERE gone.status = tally.status), 0))::bigint AS jobs,
        count(*) AS entries
    FROM {schema}.tally GROUP BY status
    """
)

COUNT_UP = """
    WITH gone AS (DELETE FROM {schema}.tally RETURNING status, jobs, bytes)
    INSERT INTO {schema}.tally SELECT status, sum(jobs), sum(bytes) FROM gone GROUP BY status
    """
"""One entry of the tally for each status. Two at the same time are well: each adds up what it takes away."""

# ----------------------------------------------------------------------------------------------- leases

# The array is made first and once: whatever the planner thinks of the limit, the rows are found by their numbers.
HAND_OVER = with_parts("UPDATE {schema}.jobs SET worker = %(worker)s, begun = true WHERE <is held> RETURNING id")

UNCLAIMED = with_parts(
    """
    UPDATE {schema}.jobs SET <given once more>
    WHERE number = ANY (ARRAY(
        SELECT number FROM {schema}.jobs WHERE <is due> AND CASE
            WHEN handed_fence = fence THEN handed_again
            WHEN fence = 0 AND run_at IS NULL THEN created + %(patience)s
            ELSE 0
        END <= <now>
        ORDER BY number LIMIT %(count)s FOR UPDATE SKIP LOCKED
    ))
    RETURNING *
    """
)
"""As ``Handed`` has it."""

NEXT_TO_EXPIRE = with_parts("SELECT min(begin_by) - <now> AS seconds FROM {schema}.jobs WHERE begin_by IS NOT NULL")

EXPIRED = with_parts(
    "SELECT * FROM {schema}.jobs WHERE begin_by IS NOT NULL AND begin_by <= <now> ORDER BY begin_by LIMIT %(count)s"
)

ARE_DUE = with_parts("SELECT EXISTS (SELECT FROM {schema}.jobs WHERE <is due>) AS due")

RENEW = with_parts(
    """
    UPDATE {schema}.jobs SET lease_until = <now> + %(lease)s
    FROM unnest(%(ids)s::text[], %(fences)s::bigint[]) AS held (id, fence)
    WHERE jobs.id = held.id AND jobs.fence = held.fence AND worker IS NOT NULL
    RETURNING jobs.id, jobs.fence, cancel_requested
    """
)

REQUEUE = with_parts(
    """
    WITH held AS (
        UPDATE {schema}.jobs
        SET status = %(status)s, run_at = %(run_at)s, <to nobody>, <crashes>, mark = %(mark)s,
            attempt = attempt - CASE
                WHEN mark = %(mark)s THEN 0 WHEN %(cut_short)s THEN 1 WHEN begun OR %(crashed)s > 0 THEN 0 ELSE 1
            END,
            size = size + <if new> %(grown)s, <grows>
        WHERE <is held, or was when this was told> AND NOT cancel_requested
        AND (%(crashed)s = 0 OR <is not its fault> OR mark = %(mark)s)
        <returning its log>
    ), told AS (<new events>)
    SELECT * FROM held
    """
)

SUSPEND = with_parts(
    """
    WITH held AS (
        UPDATE {schema}.jobs
        SET status = %(status)s, question = %(question)s, <to nobody>, mark = %(mark)s,
            size = size + <if new> %(grown)s, <grows>
        WHERE <is held, or was when this was told> AND NOT cancel_requested
        <returning its log>
    ), told AS (<new events>)
    SELECT * FROM held
    """
)

RESUME = with_parts(
    """
    WITH resumed AS (
        UPDATE {schema}.jobs
        SET status = 'queued', question = NULL, run_at = NULL, mark = %(mark)s, <with a step>,
            attempt = attempt - CASE WHEN mark = %(mark)s THEN 0 ELSE 1 END
        WHERE id = %(id)s
        AND (status = 'suspended' AND question = %(question)s OR status = 'queued' AND mark = %(mark)s)
        RETURNING number
    )
    INSERT INTO {schema}.steps (job, key, output) SELECT number, %(key)s, %(output)s::bytea FROM resumed
    ON CONFLICT (job, key) DO UPDATE SET output = excluded.output
    RETURNING 1
    """
)

GIVE_BACK = with_parts(
    """
    UPDATE {schema}.jobs SET attempt = attempt - 1, <waits again>
    WHERE worker = %(worker)s AND NOT cancel_requested
    RETURNING id
    """
)

CANCELLED_OF = "SELECT * FROM {schema}.jobs WHERE worker = %(worker)s AND cancel_requested"

NOW = with_parts("SELECT <now> AS now")

TAKE_BACK = with_parts(
    """
    UPDATE {schema}.jobs SET crashes = crashes + <crashed when begun>,
        attempt = attempt - CASE WHEN begun THEN 0 ELSE 1 END, <waits again>
    WHERE number = ANY (ARRAY(
        SELECT number FROM {schema}.jobs
        WHERE <is lost> AND NOT cancel_requested AND (NOT begun OR <is not its fault>)
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id
    """
)
"""None for the length of a lease after the server's start: its workers could not renew theirs while it was away."""

UNSAVABLE = with_parts(
    "SELECT * FROM {schema}.jobs WHERE <is lost> AND (cancel_requested OR begun AND NOT <is not its fault>)"
)

# ------------------------------------------------------------------------------------- what leases write

SAVE_STEP = with_parts(
    """
    WITH held AS (
        UPDATE {schema}.jobs SET <with a step>, outlived = CASE
            WHEN EXISTS (SELECT FROM {schema}.steps WHERE job = number AND key = %(key)s) THEN outlived ELSE crashes
        END
        WHERE <is held> RETURNING number
    )
    INSERT INTO {schema}.steps (job, key, output) SELECT number, %(key)s, %(output)s::bytea FROM held
    ON CONFLICT (job, key) DO UPDATE SET output = excluded.output
    RETURNING 1
    """
)

READ_STEPS = with_parts(
    "SELECT key, output FROM {schema}.steps WHERE job = (SELECT number FROM {schema}.jobs WHERE <is held>)"
)

APPEND = with_parts(
    """
    WITH held AS (
        UPDATE {schema}.jobs SET size = size + <if new> %(grown)s, <grows> WHERE <is held> <returning its log>
    ), told AS (<new events>)
    SELECT * FROM held
    """
)

CANCEL = """
    UPDATE {schema}.jobs SET status = 'cancelling', cancel_requested = true, reason = %(reason)s
    WHERE id = %(id)s AND status = 'running' RETURNING 1
    """

# ----------------------------------------------------------------------------------------------- events

READ_EVENTS = """
    SELECT sequence, kind, body FROM {schema}.events
    WHERE job = (SELECT number FROM {schema}.jobs WHERE id = %(id)s) AND sequence > %(after)s
    ORDER BY sequence LIMIT %(limit)s
    """

READ_ENTRIES = """
    SELECT sequence, kind, length(body) AS size FROM {schema}.events WHERE job = %(number)s ORDER BY sequence
    """

PRUNE = """
    WITH pruned AS (DELETE FROM {schema}.events WHERE job = %(number)s AND sequence = ANY (%(sequences)s::bigint[]))
    UPDATE {schema}.jobs
    SET first_event = greatest(first_event, %(first)s), size = size - %(freed)s, passing = %(passing)s,
        passing_bytes = %(passing_bytes)s, kept = %(kept)s, kept_bytes = %(kept_bytes)s
    WHERE number = %(number)s
    """

STATES = """
    SELECT id, last_event, finished IS NOT NULL AS ended FROM {schema}.jobs WHERE id = ANY (%(ids)s::text[])
    """

TELL = "SELECT set_config('synchronous_commit', 'off', true), pg_notify(%(channel)s, %(message)s)"
"""A message is not worth a wait for the disk."""
