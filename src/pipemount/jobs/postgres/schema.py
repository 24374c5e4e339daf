"""The tables, and how those of older releases become those of this one."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from ...errors import StoreError
from .connections import Connection
from .statements import in_schema

__all__ = ["MIGRATIONS", "migrate"]

MIGRATIONS: Sequence[str] = (
    """
    CREATE TABLE {schema}.jobs (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id text NOT NULL UNIQUE,
        pipeline text NOT NULL,
        queue text NOT NULL,
        priority integer NOT NULL,
        owner text NOT NULL,
        keyed boolean NOT NULL,
        request text NOT NULL,
        inputs bytea NOT NULL,
        parameters bytea,
        overrides bytea,
        status text NOT NULL,
        created double precision NOT NULL,
        started double precision,
        finished double precision,
        run_at double precision,
        attempt integer NOT NULL DEFAULT 0,
        crashes integer NOT NULL DEFAULT 0,
        run_index integer NOT NULL DEFAULT 0,
        run_name text,
        question text,
        cancel_requested boolean NOT NULL DEFAULT false,
        reason text,
        result bytea,
        execution_time double precision,
        error text,
        last_event bigint NOT NULL DEFAULT 0,
        first_event bigint NOT NULL DEFAULT 1,
        worker text,
        fence bigint NOT NULL DEFAULT 0,
        mark bigint NOT NULL DEFAULT 0,
        lease_until double precision,
        passing bigint NOT NULL DEFAULT 0,
        passing_bytes bigint NOT NULL DEFAULT 0,
        kept bigint NOT NULL DEFAULT 0,
        kept_bytes bigint NOT NULL DEFAULT 0,
        steps_bytes bigint NOT NULL DEFAULT 0,
        size bigint NOT NULL
    ) WITH (fillfactor = 80);
    CREATE INDEX jobs_waiting ON {schema}.jobs (priority DESC, number) WHERE status = 'queued';
    CREATE INDEX jobs_leased ON {schema}.jobs (number) WHERE worker IS NOT NULL;
    CREATE INDEX jobs_ended ON {schema}.jobs (keyed, finished, number) WHERE finished IS NOT NULL;
    CREATE INDEX jobs_owned ON {schema}.jobs (owner, number);
    CREATE TABLE {schema}.events (
        job bigint NOT NULL,
        sequence bigint NOT NULL,
        kind text NOT NULL,
        body bytea NOT NULL,
        PRIMARY KEY (job, sequence)
    );
    CREATE TABLE {schema}.steps (
        job bigint NOT NULL,
        key text NOT NULL,
        output bytea NOT NULL,
        PRIMARY KEY (job, key)
    );
    CREATE TABLE {schema}.keys (
        scope text NOT NULL,
        key text NOT NULL,
        job text NOT NULL,
        PRIMARY KEY (scope, key)
    );
    CREATE INDEX keys_of_job ON {schema}.keys (job);
    """,
    # That a job was given to what carries it to a worker (``Handed``).
    """
    ALTER TABLE {schema}.jobs
        ADD COLUMN handed_fence bigint NOT NULL DEFAULT -1,
        ADD COLUMN handed_again double precision NOT NULL DEFAULT 0,
        ADD COLUMN handed_pause double precision NOT NULL DEFAULT 0;
    """,
    # Whether the worker that has a job has begun it: of one that crashed before only when it was handed over.
    "ALTER TABLE {schema}.jobs ADD COLUMN begun boolean NOT NULL DEFAULT true",
    # How many of its crashes a job had when it last kept something new.
    """
    ALTER TABLE {schema}.jobs ADD COLUMN outlived integer NOT NULL DEFAULT 0;
    """,
    # How many jobs have which status, and their bytes: the sum of what each statement has changed. Nobody waits for
    # another's row; those that are there are added up now and then. And indexes of the youngest first: by ``-number``,
    # as the planner would else go through the whole table in the order of its key where it thinks that it finds enough.
    """
    CREATE TABLE {schema}.tally (status text NOT NULL, jobs bigint NOT NULL, bytes bigint NOT NULL);
    INSERT INTO {schema}.tally SELECT status, count(*), sum(size) FROM {schema}.jobs GROUP BY status;
    CREATE FUNCTION {schema}.count_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO {schema}.tally SELECT status, count(*), sum(size) FROM those GROUP BY status;
        ELSIF TG_OP = 'DELETE' THEN
            INSERT INTO {schema}.tally SELECT status, -count(*), -sum(size) FROM those GROUP BY status;
        ELSE
            INSERT INTO {schema}.tally
            SELECT status, sum(jobs), sum(bytes) FROM (
                SELECT status, 1 AS jobs, size AS bytes FROM those UNION ALL SELECT status, -1, -size FROM earlier
            ) AS changed
            GROUP BY status HAVING sum(jobs) <> 0 OR sum(bytes) <> 0;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER jobs_came AFTER INSERT ON {schema}.jobs
        REFERENCING NEW TABLE AS those FOR EACH STATEMENT EXECUTE FUNCTION {schema}.count_jobs();
    CREATE TRIGGER jobs_changed AFTER UPDATE ON {schema}.jobs
        REFERENCING NEW TABLE AS those OLD TABLE AS earlier FOR EACH STATEMENT EXECUTE FUNCTION {schema}.count_jobs();
    CREATE TRIGGER jobs_went AFTER DELETE ON {schema}.jobs
        REFERENCING OLD TABLE AS those FOR EACH STATEMENT EXECUTE FUNCTION {schema}.count_jobs();
    CREATE INDEX jobs_by_status ON {schema}.jobs (status, (-number));
    CREATE INDEX jobs_by_owner ON {schema}.jobs (owner, status, (-number));
    CREATE INDEX jobs_by_pipeline ON {schema}.jobs (pipeline, (-number));
    DROP INDEX {schema}.jobs_owned;
    """,
    # When a job that nobody has claimed is not begun any more.
    """
    ALTER TABLE {schema}.jobs ADD COLUMN begin_by double precision;
    CREATE INDEX jobs_in_time ON {schema}.jobs (begin_by) WHERE begin_by IS NOT NULL;
    """,
)
"""The first makes version 1 from nothing; each makes the next version. What was released is never changed again."""


async def migrate(connection: Connection, schema: str, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring the tables to the newest version: one process does it, the others wait.

    Raises:
        StoreError: They are newer than this release, or the role may not make them.
    """
    try:
        if await _version(connection, schema) == len(migrations):
            return
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"pipemount {schema}"])
            version = await _version(connection, schema)
            if version > len(migrations):
                raise StoreError(
                    f"the jobs in schema {schema!r} are kept by a newer pipemount (version {version} of the tables,"
                    f" this one knows {len(migrations)}): run that, or name another schema in the URL, ?schema=…"
                )
            await _apply(connection, schema, migrations, version)
    except psycopg.Error as error:
        raise StoreError(
            f"the tables of the jobs cannot be made in schema {schema!r}: the role needs CREATE on the database, or a"
            f" schema of that name that it owns. It said: {' '.join(str(error).split())}"
        ) from error


async def _apply(connection: Connection, schema: str, migrations: Sequence[str], version: int) -> None:
    if version == 0 and not await _exists(connection, schema):
        await connection.execute(in_schema("CREATE SCHEMA {schema}", schema))
    if version == 0:
        await connection.execute(in_schema("CREATE TABLE {schema}.meta (version integer NOT NULL)", schema))
        await connection.execute(in_schema("INSERT INTO {schema}.meta VALUES (0)", schema))
    for migration in migrations[version:]:
        await connection.execute(in_schema(migration, schema))
    await connection.execute(in_schema("UPDATE {schema}.meta SET version = %s", schema), [len(migrations)])


async def _exists(connection: Connection, schema: str) -> bool:
    cursor = await connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema])
    return await cursor.fetchone() is not None


async def _version(connection: Connection, schema: str) -> int:
    """0 where there are no tables yet."""
    tables = "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'meta'"
    if await (await connection.execute(tables, [schema])).fetchone() is None:
        return 0
    found = await (await connection.execute(in_schema("SELECT version FROM {schema}.meta", schema))).fetchone()
    return 0 if found is None else int(found["version"])
