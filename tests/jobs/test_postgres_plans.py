"""What PostgreSQL does with the statements of a store in which there are many jobs: it looks, and does not search."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests.support.services import shared_postgres

from pipemount import Settings
from pipemount.errors import StoreError
from pipemount.jobs.models import STATUSES, Claim, JobEvent, JobQuery, JobRequest, Outcome

psycopg = pytest.importorskip("psycopg")
connections = pytest.importorskip("pipemount.jobs.postgres.connections")
store = pytest.importorskip("pipemount.jobs.postgres.store")
Gathering = pytest.importorskip("pipemount.jobs.postgres.gathering").Gathering

JOBS = 5000
SETTINGS = Settings(max_jobs=10 * JOBS, max_job_bytes=2**40, job_ttl=3600)


def asked(number: int) -> JobRequest:
    return JobRequest(job_id=f"new-{number}", pipeline="work", fingerprint="", inputs=b"{}")


@pytest.fixture
async def full() -> AsyncIterator[tuple[Any, str]]:
    """A store with many jobs of a hundred callers: most have succeeded, some wait, few failed; and its schema."""
    url = shared_postgres().new_schema()
    kept = store.PostgresStore(url, SETTINGS)
    await kept.open()
    try:
        await kept.submit(asked(0))
        schema = url.partition("?schema=")[2]
        await asyncio.to_thread(fill, schema)
        yield kept, schema
    finally:
        await kept.close()


def fill(schema: str) -> None:
    with psycopg.connect(shared_postgres().url, autocommit=True) as connection:
        columns = "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = 'jobs'"
        names = [row[0] for row in connection.execute(columns, [schema]) if row[0] != "number"]
        made = {
            "id": "'job-' || n",
            "owner": "'key:' || (n % 100)",
            "status": "CASE WHEN n % 1000 = 0 THEN 'failed' WHEN n % 20 = 1 THEN 'queued' ELSE 'succeeded' END",
            "finished": "CASE WHEN n % 20 = 1 THEN NULL ELSE first.created END",
        }
        connection.execute(
            f"INSERT INTO {schema}.jobs ({', '.join(names)}) "
            f"SELECT {', '.join(made.get(name, f'first.{name}') for name in names)} "
            f"FROM (SELECT * FROM {schema}.jobs LIMIT 1) AS first, generate_series(1, {JOBS}) AS series (n)"
        )
        connection.execute(f"ANALYZE {schema}.jobs")


@contextmanager
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[bytes, Any]]]:
    """The statements that are told in the block, with their values."""
    found: list[tuple[bytes, Any]] = []
    execute = psycopg.AsyncConnection.execute

    async def noted(self: Any, query: Any, params: Any = None, **options: Any) -> Any:
        if isinstance(query, bytes) and params and b"pg_notify" not in query:
            found.append((query, params))
        return await execute(self, query, params, **options)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.AsyncConnection, "execute", noted)
        yield found


async def expired(kept: Any) -> None:
    await kept.submit(replace(asked(2), expires=0.001))
    await asyncio.sleep(0.02)
    await kept.expire()
    assert (await kept.get("new-2")).status == "failed"


VERBS: dict[str, Callable[[Any], Any]] = {
    "get": lambda kept: kept.get("job-7"),
    "list": lambda kept: kept.list(JobQuery()),
    "list of one": lambda kept: kept.list(JobQuery(owner="key:1")),
    "list of one, some": lambda kept: kept.list(JobQuery(owner="key:1", status=("failed",))),
    "list of those that failed": lambda kept: kept.list(JobQuery(status=("failed", "cancelled"))),
    "list of a pipeline": lambda kept: kept.list(JobQuery(pipeline="none")),
    "next page": lambda kept: kept.list(JobQuery(cursor="100", status=("succeeded",))),
    "count": lambda kept: kept.counts(),
    "submit": lambda kept: kept.submit(asked(1)),
    "claim": lambda kept: kept.claim(Claim("w", ["work"], 3)),
    "sweep": lambda kept: kept.sweep(),
    "rescue": lambda kept: kept.rescue(),
    "leave": lambda kept: kept.leave("w"),
    "expire": lambda kept: expired(kept),
}


BY_INDEX = {
    "list of one": "jobs_by_owner",
    "list of one, some": "jobs_by_owner",
    "list of those that failed": "jobs_by_status",
    "list of a pipeline": "jobs_by_pipeline",
    "next page": "jobs_by_status",
    "claim": "jobs_waiting",
}
"""Along another one, as the table's own, they might pass all that they do not want."""


@pytest.mark.parametrize("verb", VERBS)
async def test_no_verb_searches_all_jobs(full: tuple[Any, str], monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    kept, _ = full
    with told(monkeypatch) as statements:
        await VERBS[verb](kept)
    assert statements
    connection = await kept._connections.connect()
    try:
        for statement, values in statements:
            rows = await (await connection.execute(b"EXPLAIN " + statement, values)).fetchall()
            plan = "\n".join(row["QUERY PLAN"] for row in rows)
            assert "Seq Scan on jobs" not in plan, plan
            assert BY_INDEX.get(verb, "") in plan, plan
    finally:
        await connection.close()


async def test_the_tally_is_what_is_there(full: tuple[Any, str], monkeypatch: pytest.MonkeyPatch) -> None:
    kept, schema = full
    monkeypatch.setattr(store, "ENTRIES", 12)
    made = await asyncio.gather(*(kept.submit(asked(number)) for number in range(1, 30)))
    leases = await kept.claim(Claim("w", ["work"], 12))
    await asyncio.gather(*(kept.finish(lease, Outcome(status="succeeded", result=b"1" * 50)) for lease in leases[:7]))
    assert await kept.requeue(leases[7], None, [JobEvent(1, "run_started", b"{}")])
    await kept.request_cancel(made[20].job.id, "enough")
    assert await kept.delete(made[20].job.id)
    await kept.leave("w")
    for _ in range(2):
        assert dict(await kept.counts()) == await there(kept, schema, "count(*)")
        assert await there(kept, schema, "sum(size)") == await there(kept, schema, "sum(bytes)", "tally")
    entries = await there(kept, schema, "count(*)", "tally")
    assert set(entries.values()) == {1}, "there were more, so they were added up"
    await asyncio.gather(kept.sweep(), kept.sweep(), kept.counts())
    assert dict(await kept.counts()) == await there(kept, schema, "count(*)")


async def there(kept: Any, schema: str, what: str, table: str = "jobs") -> dict[str, int]:
    rows = await kept._connections.fetch(f"SELECT status, {what} AS found FROM {{schema}}.{table} GROUP BY status", {})
    return {row["status"]: int(row["found"]) for row in rows if row["found"] and row["status"] in STATUSES}


async def test_what_comes_at_the_same_time_shares_a_statement(
    full: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, _ = full
    with told(monkeypatch) as statements:
        await asyncio.gather(*(kept.submit(asked(number)) for number in range(1, 60)))
    assert len(statements) <= 3
    leases = await kept.claim(Claim("w", ["work"], 40))
    events = [[JobEvent(1, "run_started", b"{}"), JobEvent(2, "run_completed", b"%d" % n)] for n in range(40)]
    with told(monkeypatch) as statements:
        ended = await asyncio.gather(
            *(
                kept.finish(lease._replace(fence=lease.fence + (number == 3)), Outcome(status="succeeded"), each)
                for number, (lease, each) in enumerate(zip(leases, events, strict=True))
            )
        )
    assert [number for number, one in enumerate(ended) if not one] == [3], "who has lost its lease is told, alone"
    assert len(statements) <= 3
    for number, lease in enumerate(leases):
        assert await kept.read_events(lease.job.id, 0, 9) == ([] if number == 3 else events[number])


async def test_one_that_is_refused_takes_nobody_along() -> None:
    tries: list[Sequence[int]] = []

    async def tell(rows: Sequence[int]) -> Sequence[int]:
        tries.append(rows)
        await asyncio.sleep(0)
        if 13 in rows:
            raise connections.RefusedError("no")
        return [2 * row for row in rows]

    gathering = Gathering(tell, lambda row: 1)
    found = await asyncio.gather(*(gathering.do(number) for number in (12, 13, 14)), return_exceptions=True)
    assert [one if isinstance(one, int) else type(one) for one in found] == [24, connections.RefusedError, 28]
    assert tries == [[12, 13, 14], [12], [13], [14]]


async def test_who_gives_up_is_not_told_and_a_database_that_is_away_is_so_for_all() -> None:
    told_of: Counter[int] = Counter()
    let = asyncio.Event()

    async def tell(rows: Sequence[int]) -> Sequence[int]:
        told_of.update(rows)
        await let.wait()
        if 3 in rows:
            raise StoreError("away")
        return rows

    gathering = Gathering(tell, lambda row: 1)
    first = asyncio.create_task(gathering.do(1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(gathering.do(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    others[0].cancel()
    let.set()
    assert await first == 1
    found = await asyncio.gather(*others, return_exceptions=True)
    assert [type(one) for one in found] == [asyncio.CancelledError, StoreError, StoreError]
    assert told_of == Counter({1: 1, 3: 1, 4: 1})
    assert await gathering.do(5) == 5
